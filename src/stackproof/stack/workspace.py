"""A project opened for work: its live stack, its ledger, and where it keeps them."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from stackproof.envs.capture import Environment, capture_environment
from stackproof.envs.environments import Environments
from stackproof.envs.locking import Lock
from stackproof.errors import Conflict, NotFound
from stackproof.ledger import Entity, Ledger
from stackproof.roles.stack import Stack
from stackproof.roles.versioning import DatasetVersion
from stackproof.stack.code import CodeState, capture_code
from stackproof.stack.file import default_stack, read_stack
from stackproof.stack.live import LiveStack
from stackproof.stack.progress import Progress, silent
from stackproof.stack.project import HOME, STACK_FILE, Project, load_project, project_file
from stackproof.stack.tool_environments import ToolEnvironments
from stackproof.store import Store
from stackproof.store.files import make_folders

HOME_VARIABLE = "STACKPROOF_HOME"


@dataclass
class Workspace:
    """What a use case works with. `pins`: datasets that are not loaded but taken at a version."""

    project: Project
    home: Path
    stack: Stack
    live: LiveStack
    environments: ToolEnvironments
    store: Store
    ledger: Ledger
    clock: Callable[[], datetime]
    progress: Progress
    pins: Mapping[str, DatasetVersion] = field(default_factory=dict)
    scratch: Path = Path()
    """A folder of this workspace alone, gone when it closes."""
    brought: dict[str, Any] = field(default_factory=dict)
    """The datasets that were brought in, by name; see `stack.data.Datasets`."""

    @cached_property
    def code(self) -> CodeState:
        """The project's code as it is now, recorded in the ledger."""
        state = capture_code(self.project.folder, self.store.blobs)
        self.ledger.record(Entity(state.id, "code", self.clock(), {"digest": state.digest, "files": state.files}))
        return state

    @cached_property
    def environment(self) -> Environment:
        """The environment of this process, recorded in the ledger."""
        environment = capture_environment(self.store.blobs, self.cache("locks"))
        lock = self.store.blobs.put_bytes(environment.lock.encode())
        self.ledger.record(
            Entity(environment.id, "env", self.clock(), {
                "digest": environment.digest, "python": environment.python, "system": environment.system,
                "lock": lock, "hashed": environment.hashed,
                "local": [[local.name, local.version, local.archive] for local in environment.local],
            })
        )  # fmt: skip
        return environment

    def cache(self, name: str) -> Path:
        """A folder below the home whose content can be made again."""
        folder = self.home / "cache" / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder


def home_of(project: Project) -> Path:
    """Where the project keeps its ledger: $STACKPROOF_HOME, or `.stackproof` beside the project file."""
    return Path(os.environ.get(HOME_VARIABLE) or project.folder / HOME)


def stack_of(project: Project) -> Stack:
    """What stack.toml beside the project file says; all embedded when there is none.

    Raises `Conflict` when it names another project.
    """
    file = project.folder / STACK_FILE
    if not file.exists():
        return default_stack(project.name)
    stack = read_stack(file)
    if stack.project != project.name:
        raise Conflict(
            f"{STACK_FILE} and {project.file.name} name different projects",
            got=f"{stack.project!r} and {project.name!r}",
            next_command=f"set project = {project.name!r} in {STACK_FILE}",
        )
    return stack


def find_project(path: Path) -> Project:
    """The project at `path` without its declarations, so that its file need not be imported.

    Enough for whatever only asks the ledger or serves. Loads the file where there is no stack.toml. A project that
    was attached has no file of its own: then it is stack.toml.
    """
    folder = path if path.is_dir() else path.parent
    if not (folder / STACK_FILE).exists():
        return load_project(path)
    try:
        file = project_file(path)
    except NotFound:
        file = folder / STACK_FILE
    return Project(read_stack(folder / STACK_FILE).project, str(file))


def utc_now() -> datetime:
    return datetime.now(UTC)


@contextmanager
def open_workspace(
    project: Project,
    *,
    home: Path | None = None,
    progress: Progress = silent,
    clock: Callable[[], datetime] = utc_now,
    pins: Mapping[str, DatasetVersion] | None = None,
    tools: Environments | None = None,
    stack: Stack | None = None,
    locks: Mapping[str, Lock] | None = None,
) -> Iterator[Workspace]:
    """Open the project's stack and ledger, and close them at the end.

    `tools`: the environments of external tools; the user's when left out. `stack`, `locks`: in place of the project's
    own stack.toml, and of what it applied.
    """
    home = (home or home_of(project)).resolve()
    make_folders(home)
    stack = stack or stack_of(project)
    with ExitStack() as opened:
        store = Store.open(home)
        opened.callback(store.close)
        environments = ToolEnvironments(project.folder, tools, locks)
        opened.callback(environments.close)
        live = LiveStack(stack, home, environments)
        opened.callback(live.close)
        scratch = Path(opened.enter_context(TemporaryDirectory(prefix="stackproof-")))
        ledger = Ledger(store, clock=clock)
        yield Workspace(project, home, stack, live, environments, store, ledger, clock, progress, pins or {}, scratch)
