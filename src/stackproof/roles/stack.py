"""The types of a stack: a tool and its options for each role, as stack.toml says it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

SCHEMA = 1

Environment = Literal["shared", "own"]


@dataclass(frozen=True, slots=True)
class RoleChoice:
    """What fills one role.

    `environment`: "own" for one of its own made from a tested lock, "shared" for the caller's.
    `beside`: further tools that fill the role together with `tool`. `deferred`: why the decision
    said that the role can wait and until when, "" when it did not.
    """

    tool: str
    environment: Environment = "shared"
    options: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    beside: tuple[str, ...] = ()
    deferred: str = ""


@dataclass(frozen=True, slots=True)
class Stack:
    """What stack.toml says. `roles` has every one of the nine roles."""

    project: str
    roles: Mapping[str, RoleChoice]
    schema: int = SCHEMA
