"""The environments in which a project's external tools run, as they were applied."""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from stackproof.envs.environments import Environments
from stackproof.envs.locking import Lock, locked_tools
from stackproof.errors import NotFound
from stackproof.roles.stack import RoleChoice


def lives_apart(choice: RoleChoice, tool: str) -> bool:
    """Whether a tool of the choice runs in an environment of its own: so said, and there is a lock for it."""
    return choice.environment == "own" and tool in locked_tools()


class ToolEnvironments:
    """Gives the interpreter of a tool's environment, and keeps it from being removed until closed."""

    def __init__(
        self, folder: Path, environments: Environments | None = None, locks: Mapping[str, Lock] | None = None
    ) -> None:
        """`locks`: tool to the lock to use whatever the project applied."""
        self._folder = folder
        self._locks = locks or {}
        self._environments = environments or Environments()
        self._used: dict[str, Path] = {}
        self._using = ExitStack()

    def lock(self, tool: str) -> Lock | None:
        """The lock that was given, or that the project applied for the tool; None when it applied none."""
        if tool in self._locks:
            return self._locks[tool]
        registered = self._environments.projects.of(self._folder)
        return registered.locks.get(tool) if registered else None

    def installed(self, tool: str) -> bool:
        """Whether the environment is there and sound. Makes nothing."""
        lock = self.lock(tool)
        return lock is not None and self._environments.find(lock) is not None

    def python(self, tool: str) -> Path:
        """The interpreter; an environment that was removed by hand is made again from its lock.

        Raises `NotFound` for a tool that was not applied, and as `Environments.ensure`.
        """
        if tool not in self._used:
            lock = self.lock(tool)
            if lock is None:
                raise NotFound(
                    f"{tool} has no environment for this project yet",
                    got=str(self._folder),
                    next_command="stackproof apply",
                )
            handle = self._environments.ensure(lock)
            self._using.callback(self._environments.use(handle).close)
            self._used[tool] = handle.python
        return self._used[tool]

    def close(self) -> None:
        """Idempotent."""
        self._using.close()
        self._used.clear()
