"""What every adapter is, whatever its role."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar, Protocol, runtime_checkable


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

    A class may have `deviations`, a mapping of a test of the role's conformance suite to the reason why the tool can't
    pass it: a known failure, told wherever the tool is shown. Without it there is none.
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


class LinksToItsUi(Protocol):
    """Capability "links", of any role."""

    def link(self, identifier: str, ui: str) -> str:
        """Where the tool itself shows what `identifier` names, as an address that a browser opens; "" for what it
        does not hold or show.

        `identifier`: a run, model version, dataset version, feature view or deployment, as the ledger names it
        ("run:…", "model:delay@3", "data:flights@…", "features:plane@…", "deployment:delay@2"). `ui`: the address of
        the tool's UI, without a "/" at its end; "" when none runs, then a file that a browser can show, or "".
        Raises `Unavailable` when the tool does not answer.
        """
        ...


PORT = "{port}"
"""Stands in the texts of a `ServerSpec` where the port will stand."""


@dataclass(frozen=True, slots=True)
class ServerSpec:
    """A server that a stack needs: the process to start, and how to see that it is well.

    `name`: the tool's. `arguments`: the command; the first is an absolute path, such as the interpreter of the tool's
    environment. `folder`: where it runs; it exists. `variables`: of its environment, beside those of whoever starts
    it; of these, those that begin with one of `without` are left out. It must stay in the foreground, end on SIGTERM
    and listen on loopback.

    `url`: what a person opens, without a "/" at its end; "" for a process that listens nowhere. `health`: the
    address that answers with a status of 200 to 299 when the server can be used; "" for a process that is well while
    it lives. That one is ready once it printed the text `ready`, at once where that is "" too.

    `port`: the one that the user asked for, 0 for any that is free. It is written wherever `PORT` stands in
    `arguments`, `variables`, `url`, `health` and `options`. `start_s`: seconds that a start may take on a busy machine.
    `options`: those of the adapter with which it uses this server rather than what it keeps by itself.
    """

    name: str
    arguments: tuple[str, ...]
    folder: Path
    url: str = ""
    health: str = ""
    ready: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)
    without: tuple[str, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)
    port: int = 0
    start_s: float = 120.0

    def at(self, port: int) -> "ServerSpec":
        """The same, with the port written in all of its texts."""

        def placed(text: str) -> str:
            return text.replace(PORT, str(port))

        return replace(
            self,
            arguments=tuple(placed(argument) for argument in self.arguments),
            url=placed(self.url),
            health=placed(self.health),
            variables={name: placed(value) for name, value in self.variables.items()},
            options={name: placed(value) for name, value in self.options.items()},
            port=port,
        )


@runtime_checkable
class HasServer(Protocol):
    """What an adapter's class has beside the role's contract when its tool brings a server: then `up` starts it."""

    @staticmethod
    def server(setting: Setting, python: Path) -> ServerSpec | None:
        """The server for this setting; None when the options name one that somebody else runs.

        `python`: the interpreter of the tool's environment. Called where the tool is not installed, so it imports
        nothing of it; it may write files below `setting.home`. Raises `RefusedInput` for options that cannot be
        followed.
        """
        ...
