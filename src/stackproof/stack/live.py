"""A stack made live: for each role the adapter that fills it, and the embedded one for what it lacks."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from stackproof.adapters import registry
from stackproof.envs.bridge.bridging import bridged
from stackproof.errors import Conflict, NotFound, RefusedInput, Unavailable, UnknownName
from stackproof.facts.loader import tools_of_facts
from stackproof.roles import ROLES
from stackproof.roles.adapter import Health, Option, Setting
from stackproof.roles.stack import RoleChoice, Stack
from stackproof.stack.file import with_secrets
from stackproof.stack.servers.state import running_servers
from stackproof.stack.tool_environments import ToolEnvironments, lives_apart

EMBEDDED = "embedded"
CLOSE = 0.8
_KINDS: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
}


@dataclass(frozen=True, slots=True)
class Filling:
    """What fills a role. `tool` is what stack.toml names, `by` what runs; `because` says why they differ.

    `beside`: the further tools that fill it together with `by`, in their order: those that have an adapter.
    """

    role: str
    tool: str
    by: str
    because: str
    beside: tuple[str, ...] = ()


def fillings(stack: Stack) -> list[Filling]:
    """For each role what will fill it, in the order of the roles. Nothing is imported or started.

    Raises `UnknownName` for a slip of the pen: a name that no facts have, nearly that of a tool that can fill the role.
    """
    adapters = [(entry.role, entry.tool) for entry in registry.entries()]
    return [_filling(role, stack.roles[role], {tool for of, tool in adapters if of == role}) for role in ROLES]


def _filling(role: str, choice: RoleChoice, known: Collection[str]) -> Filling:
    """`known`: the tools that have an adapter for the role."""
    for tool in (choice.tool, *choice.beside):
        _refuse_slip(role, tool, known)
    if choice.deferred:
        return Filling(role, choice.tool, EMBEDDED, choice.deferred)
    if choice.tool not in known:
        because = f"this version of Stackproof has no adapter for {choice.tool} yet"
        return Filling(role, choice.tool, EMBEDDED, because)
    beside = tuple(tool for tool in choice.beside if tool in known)
    lacking = [tool for tool in choice.beside if tool not in beside]
    because = f"without {' and '.join(lacking)}, which has no adapter" if lacking else ""
    return Filling(role, choice.tool, choice.tool, because, beside)


def _refuse_slip(role: str, tool: str, known: Collection[str]) -> None:
    """Else it would end up embedded, as a tool of the facts or of one's own does that has no adapter."""
    near = next(iter(get_close_matches(tool, known, n=1, cutoff=CLOSE)), tool)
    is_part = tool.startswith(f"{near}-") or tool.endswith(f"-{near}")
    if near != tool and not is_part and tool not in tools_of_facts():
        raise UnknownName(f"tool for the role {role}", tool, known)


class LiveStack:
    """Opens each adapter when it is first asked for, and closes them all.

    `environments`: where the tools live that have an environment of their own.
    """

    def __init__(self, stack: Stack, home: Path, environments: ToolEnvironments) -> None:
        self.stack = stack
        self._home = home
        self._environments = environments
        self._filled = {filling.role: filling for filling in fillings(stack)}
        self._open: dict[tuple[str, str], Any] = {}

    def adapter(self, role: str, capability: str) -> Any:
        """The adapter of the first of the role's tools that has the capability, else the embedded one."""
        return self._adapter(role, self.tool(role, capability))

    def tool(self, role: str, capability: str) -> str:
        """Which of the role's tools does this. Nothing is started."""
        filling = self._filled[role]
        for tool in (filling.by, *filling.beside):
            if capability in registry.load(registry.find(role, tool)).capabilities:
                return tool
        return EMBEDDED

    def able(self, role: str, capability: str) -> bool:
        """Whether one of the role's tools, or the embedded part, has the capability. Nothing is started."""
        return capability in registry.load(registry.find(role, self.tool(role, capability))).capabilities

    def link(self, role: str, capability: str, identifier: str) -> str:
        """Where the UI of the tool that does this shows what the ledger calls `identifier`; "" for nowhere."""
        tool = self.tool(role, capability)
        if "links" not in registry.load(registry.find(role, tool)).capabilities:
            return ""
        server = running_servers(self._home).get(tool)
        try:
            shown: str = self._adapter(role, tool).link(identifier, server.url if server else "")
        except (Unavailable, NotFound):
            return ""
        return shown

    def shares_store(self, role: str, capability: str) -> bool:
        """Whether what does this writes to the project's own store, so that it can be one write with the ledger."""
        return self.tool(role, capability) == EMBEDDED

    def health(self, role: str, tool: str | None = None) -> Health:
        """The health of a tool of the role, of the one that fills it if none is named.

        A tool that cannot be loaded, reached or started is not healthy. Never raises for it.
        """
        try:
            health: Health = self._adapter(role, tool or self._filled[role].by).health()
        except (NotFound, RefusedInput, Unavailable, Conflict) as problem:
            return Health(ok=False, version="", detail=str(problem))
        return health

    def close(self) -> None:
        for adapter in self._open.values():
            adapter.close()
        self._open.clear()

    def _adapter(self, role: str, tool: str) -> Any:
        if (role, tool) not in self._open:
            self._open[role, tool] = self._made(role, tool)
        return self._open[role, tool]

    def _made(self, role: str, tool: str) -> Any:
        entry, choice = registry.find(role, tool), self.stack.roles[role]
        adapter_class = registry.load(entry)
        given = choice.options if choice.tool == tool else {}
        server = running_servers(self._home).get(tool)
        there = {**with_secrets(given), **(server.options if server else {})}
        options = checked_options(role, tool, there, adapter_class.options)
        setting = Setting(home=tool_home(self._home, role, tool), options=options)
        setting.home.mkdir(parents=True, exist_ok=True)
        if not lives_apart(choice, tool):
            return adapter_class(setting)  # type: ignore[call-arg]  # the protocol fixes no constructor
        log = self._home / "logs" / "tools" / f"{role}-{tool}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        python = self._environments.python(tool)
        return bridged(role, tool, adapter=entry.path, python=python, setting=setting, log=log)


def tool_home(home: Path, role: str, tool: str) -> Path:
    """Where an adapter keeps what is its own, below the project's home."""
    return home if tool == EMBEDDED else home / "tools" / f"{role}-{tool}"


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
