"""The contract's object over a bridge: made from the protocols of the role, for any adapter of it."""

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from stackproof.envs.bridge.bridge import Bridge, Hosted
from stackproof.envs.bridge.contracts import methods_of
from stackproof.envs.bridge.description import Description
from stackproof.envs.bridge.limits import Limits
from stackproof.errors import NotCapable, StackproofError, UnknownName
from stackproof.roles.adapter import Health, Option, Setting


class BridgedAdapter:
    """Base of the objects that `BridgedClass` makes: `Adapter`, and the methods of the role's contract.

    `tool`, `capabilities` and `options` are the adapter's own.
    """

    def __init__(self, bridge: Bridge, description: Description) -> None:
        self.bridge = bridge
        self.tool = description.tool
        self.capabilities = description.capabilities
        self.options: Mapping[str, Option] = description.options

    def health(self) -> Health:
        """Never raises: a child that can't be had is the `detail`."""
        try:
            health: Health = self.bridge.call("health", (), {})
        except StackproofError as problem:
            return Health(ok=False, version="", detail=str(problem))
        return health

    def close(self) -> None:
        """Close the adapter and end its process. Idempotent."""
        self.bridge.close()


class BridgedClass:
    """Stands for an adapter's class that only another environment can import: it is asked, and it is called, alike.

    `tool`, `capabilities` and `options` start the child, which the first adapter made then uses.
    """

    def __init__(self, hosted: Hosted, limits: Limits | None = None) -> None:
        self._hosted = hosted
        self._limits = limits or Limits()
        self._next: Bridge | None = None
        self._described: Description | None = None

    @property
    def tool(self) -> str:
        return self._description().tool

    @property
    def capabilities(self) -> frozenset[str]:
        return self._description().capabilities

    @property
    def options(self) -> Mapping[str, Option]:
        return self._description().options

    def __call__(self, setting: Setting) -> Any:
        """An adapter in a child of its own. Raises `NotFound` for a module that its environment lacks, `Unavailable`
        when the child does not start, `UnknownName` for an option that there is not, and what the constructor raises.
        """
        bridge, self._next = self._next or Bridge(self._hosted, self._limits), None
        try:
            description = bridge.describe()
            self._check(setting, description)
            bridge.open(setting)
        except BaseException:
            bridge.close()
            raise
        return _class_of(self._hosted.role, description)(bridge, description)

    def _check(self, setting: Setting, description: Description) -> None:
        for name in setting.options:
            if name not in description.options:
                raise UnknownName(f"option of {self._hosted.name}", name, description.options)

    def close(self) -> None:
        """End a child that was only asked. Idempotent."""
        if self._next is not None:
            self._next.close()
            self._next = None

    def _description(self) -> Description:
        if self._described is None:
            self._next = Bridge(self._hosted, self._limits)
            try:
                self._described = self._next.describe()
            except BaseException:
                self.close()
                raise
        return self._described


def bridged(
    role: str,
    tool: str,
    *,
    adapter: str,
    python: Path,
    setting: Setting,
    limits: Limits | None = None,
    log: Path | None = None,
) -> Any:
    """The contract's object of `role`, run in a child process of the interpreter `python`.

    `adapter`: "module:Class", as `registry.Entry.path` has it. `log`: a file for what the child prints. Raises as
    `BridgedClass.__call__`.
    """
    return BridgedClass(Hosted(role, tool, adapter, python, log), limits)(setting)


def _class_of(role: str, description: Description) -> type[BridgedAdapter]:
    methods = {
        name: _forward(name, method) if name in description.methods else _lacking(role, name)
        for name, method in methods_of(role).items()
    }
    return type(f"Bridged{role.capitalize()}", (BridgedAdapter,), methods)


def _forward(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    signature = inspect.signature(method)

    def forward(self: BridgedAdapter, *args: Any, **kwargs: Any) -> Any:
        signature.bind(self, *args, **kwargs)
        return self.bridge.call(name, args, kwargs)

    forward.__name__, forward.__doc__ = name, method.__doc__
    forward.__signature__ = signature  # type: ignore[attr-defined]  # inspect reads it, the type of functions lacks it
    return forward


def _lacking(role: str, name: str) -> Callable[..., Any]:
    def lacking(self: BridgedAdapter, *args: Any, **kwargs: Any) -> Any:
        raise NotCapable(f"The tool {self.tool} has no {name} in the role {role}")

    return lacking
