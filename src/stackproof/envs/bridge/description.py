"""What a child says of the adapter's class that it imported."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from stackproof.roles.adapter import Option


@dataclass(frozen=True, slots=True)
class Description:
    """`methods`: those of the contract that the class has. `keyed`: those that it makes idempotent by `call_key`."""

    tool: str
    capabilities: frozenset[str]
    options: Mapping[str, Option]
    methods: frozenset[str]
    keyed: frozenset[str]
    python: str
    pid: int

    def as_plain(self) -> tuple[Any, ...]:
        """In the order of the fields: this class is no value of a contract, and does not cross as itself."""
        return tuple(getattr(self, name.name) for name in fields(self))
