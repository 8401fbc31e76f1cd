"""A stack made live: for each role the adapter that fills it, and the embedded one for what it lacks."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stackproof.adapters import registry
from stackproof.errors import NotFound, RefusedInput, UnknownName
from stackproof.roles import ROLES
from stackproof.roles.adapter import Health, Option, Setting
from stackproof.roles.stack import Stack
from stackproof.stack.file import with_secrets

EMBEDDED = "embedded"
_KINDS: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
}


@dataclass(frozen=True, slots=True)
class Filling:
    """What fills a role. `tool` is what stack.toml names, `by` what runs; `because` says why they differ."""

    role: str
    tool: str
    by: str
    because: str


def fillings(stack: Stack) -> list[Filling]:
    """For each role what will fill it, in the order of the roles. Nothing is imported or started."""
    return [_filling(role, stack) for role in ROLES]


def _filling(role: str, stack: Stack) -> Filling:
    choice = stack.roles[role]
    if choice.deferred:
        return Filling(role, choice.tool, EMBEDDED, choice.deferred)
    try:
        registry.find(role, choice.tool)
    except UnknownName:
        because = f"this version of Stackproof has no adapter for {choice.tool} yet"
        return Filling(role, choice.tool, EMBEDDED, because)
    return Filling(role, choice.tool, choice.tool, "")


class LiveStack:
    """Opens each adapter when it is first asked for, and closes them all."""

    def __init__(self, stack: Stack, home: Path) -> None:
        self.stack = stack
        self._home = home
        self._by = {filling.role: filling.by for filling in fillings(stack)}
        self._open: dict[tuple[str, str], Any] = {}

    def adapter(self, role: str, capability: str) -> Any:
        """The role's adapter if it has the capability, else the embedded one."""
        chosen = self._adapter(role, self._by[role])
        return chosen if capability in chosen.capabilities else self._adapter(role, EMBEDDED)

    def health(self, role: str) -> Health:
        """The health of what fills the role; a tool that cannot be loaded is not healthy."""
        try:
            health: Health = self._adapter(role, self._by[role]).health()
        except (NotFound, RefusedInput) as problem:
            return Health(ok=False, version="", detail=str(problem))
        return health

    def close(self) -> None:
        for adapter in self._open.values():
            adapter.close()
        self._open.clear()

    def _adapter(self, role: str, tool: str) -> Any:
        if (role, tool) not in self._open:
            adapter_class = registry.load(registry.find(role, tool))
            given = self.stack.roles[role].options if self.stack.roles[role].tool == tool else {}
            options = checked_options(role, tool, with_secrets(given), adapter_class.options)
            home = self._home if tool == EMBEDDED else self._home / "tools" / f"{role}-{tool}"
            home.mkdir(parents=True, exist_ok=True)
            self._open[role, tool] = adapter_class(Setting(home=home, options=options))  # type: ignore[call-arg]  # the protocol fixes no constructor
        return self._open[role, tool]


def checked_options(role: str, tool: str, given: Mapping[str, Any], allowed: Mapping[str, Option]) -> dict[str, Any]:
    """The options with defaults filled in. Raises `RefusedInput` for an unknown one or a wrong type."""
    options: dict[str, Any] = {name: option.default for name, option in allowed.items() if option.default is not None}
    for name, value in given.items():
        if name not in allowed:
            raise UnknownName(f"option of {tool} in roles.{role}.options", name, allowed)
        option = allowed[name]
        if not isinstance(value, _KINDS[option.kind]) or (option.kind != "boolean" and isinstance(value, bool)):
            raise RefusedInput(
                f"The option {name!r} of {role}.{tool} has the wrong type",
                got=repr(value),
                allowed=option.kind,
            )
        if option.allowed and value not in option.allowed:
            raise RefusedInput(
                f"The option {name!r} of {role}.{tool} has a value that is not allowed",
                got=repr(value),
                allowed=", ".join(option.allowed),
            )
        options[name] = value
    return options
