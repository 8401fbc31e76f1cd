"""What every adapter is, whatever its role."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Protocol


@dataclass(frozen=True, slots=True)
class Option:
    """One key that `options` of a role in stack.toml may hold.

    `kind` is one of "string", "integer", "number", "boolean". `default` None means that the
    adapter chooses. `allowed`, when not empty, lists the only values accepted.
    """

    kind: str
    help: str
    default: str | int | float | bool | None = None
    allowed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Setting:
    """What an adapter is made from. `home` exists and is the adapter's to write below."""

    home: Path
    options: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Health:
    """Whether the tool can be used now. `detail` is one line for a person."""

    ok: bool
    version: str
    detail: str


class Adapter(Protocol):
    """The code with which a tool fills a role.

    A class is constructed with one `Setting`, does no work at import and little in `__init__`,
    may be used from many threads, and is closed once. `capabilities` names which of the role's
    capabilities it has; a method outside of them is never called.
    """

    tool: ClassVar[str]
    capabilities: ClassVar[frozenset[str]]
    options: ClassVar[Mapping[str, Option]]

    def health(self) -> Health:
        """Never raises: what is wrong is the `detail`."""
        ...

    def close(self) -> None:
        """Release what is held. Idempotent."""
        ...
