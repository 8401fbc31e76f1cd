"""An environment of its own for each external tool, shared between projects, made from a lock, never half in use.

In the folder of all environments: one folder for each, named by its lock and Python version; `.building/` for what is
not in use yet or no longer; `.locks/` for locks between processes; `.projects/` for who uses what.
"""

import datetime
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

from stackproof.envs.holding import InUse, held, held_if_free
from stackproof.envs.installing import Installed, Stepped, answers, install, silent
from stackproof.envs.interpreters import choose_interpreter
from stackproof.envs.locking import Lock, Locks
from stackproof.envs.marker import Marker, damage, names_in, read_marker, write_marker
from stackproof.envs.projects import Projects
from stackproof.envs.sizes import disk_bytes, freed_bytes
from stackproof.errors import StackproofError, Unavailable
from stackproof.store.failures import write_errors
from stackproof.store.files import make_folders, sync_folder

WAIT_S = 3600.0
KEY = re.compile(r"py3\.\d+-[0-9a-f]{16}")

Told = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class EnvironmentHandle:
    """An environment that may be used. `python`: its interpreter. `digest`: that of its lock. `key`: its folder's name.

    `size_bytes`: on the disk when it was made, each file once. `seconds`: what making it took.
    """

    python: Path
    key: str
    digest: str
    python_version: str
    tools: tuple[str, ...]
    created: datetime.datetime
    packages: int
    size_bytes: int
    seconds: float

    @property
    def folder(self) -> Path:
        return self.python.parent.parent


@dataclass(frozen=True, slots=True)
class Listed:
    """One environment as it is now. `size_bytes`: on the disk; `freed_bytes`: what removing it alone gives back.

    They differ by files that are hard links to uv's cache or to other environments. `used_by`: projects.
    `damage`: "" when sound. `standing`: what is known of its lock, "" where its marker is gone as well.
    """

    key: str
    digest: str
    python_version: str
    tools: tuple[str, ...]
    packages: int
    created: datetime.datetime | None
    standing: str
    size_bytes: int
    freed_bytes: int
    used_by: tuple[str, ...]
    damage: str


@dataclass(frozen=True, slots=True)
class Listing:
    """`size_bytes` of all together, each file once: less than the sum where environments share files."""

    root: Path
    environments: tuple[Listed, ...]
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Pruned:
    """`removed`: or what would be. `running`: not removed, a process uses them. `freed_bytes`: what the disk got back.

    `size_bytes`: what they took; the rest of it is still in uv's cache. `dry_run`: nothing was touched.
    """

    removed: tuple[Listed, ...]
    running: tuple[str, ...]
    size_bytes: int
    freed_bytes: int
    dry_run: bool


def data_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Stackproof's folder among the user's data; it need not exist."""
    data = environ.get("XDG_DATA_HOME", "")
    base = Path(data) if Path(data).is_absolute() else Path.home() / ".local" / "share"
    return base / "stackproof"


def user_locks() -> Locks:
    """The shipped locks, behind those that this user accepted."""
    return Locks(data_folder() / "locks")


def use_lock(python: Path) -> Path:
    """The file whose lock keeps the environment of this interpreter from being removed; see `Environments.use`."""
    folder = python.parent.parent
    return folder.parent / ".locks" / f"{folder.name}.use"


class Environments:
    """Makes environments and finds them again. Any number of processes may use the same folder.

    `told` gets one line for what a person should know; `stepped` how far an installation is.
    """

    def __init__(
        self,
        root: Path | None = None,
        *,
        told: Told = lambda line: None,
        stepped: Stepped = silent,
        clock: Callable[[], datetime.datetime] = lambda: datetime.datetime.now(datetime.UTC),
    ) -> None:
        self.root = (root or data_folder() / "environments").absolute()
        self.projects = Projects(self.root / ".projects")
        self._told, self._stepped, self._clock = told, stepped, clock

    def find(self, lock: Lock) -> EnvironmentHandle | None:
        """The environment of this lock if it is there and sound. Takes the time of starting an interpreter."""
        folder = self.root / lock.key
        marker = read_marker(folder)
        return None if marker is None or damage(folder, lock) else self._handle(lock.key, marker)

    def ensure(self, lock: Lock, interpreter: Path | None = None) -> EnvironmentHandle:
        """The environment of this lock, made when it is not there or is damaged.

        `interpreter`: of the lock's minor version; found when left out. Waits where another process makes the same
        one. Raises `NotFound` when no interpreter does, `StorageFull`, `Corrupted` for a wrong digest,
        `RefusedInput` for a broken lock and for a tool that does not import, `Unavailable` for the rest; then no
        environment is in use that was not before, and nothing half made is left.
        """
        found = self.find(lock)
        if found is None:
            make_folders(self.root)
            with held(self._lock_file(lock.key), WAIT_S, lambda: self._wait(lock)) as descriptor:
                self._clean(lock.key)
                found = self.find(lock) or self._make(lock, interpreter, descriptor)
        if lock.tool not in found.tools:
            found = self._share(lock)
        return found

    def use(self, handle: EnvironmentHandle) -> InUse:
        """Keep `prune` away from an environment until the result is closed or this process ends."""
        return InUse(use_lock(handle.python))

    def list_environments(self, locks: Locks | None = None) -> Listing:
        """Every environment, with what it takes and who uses it. Walks all of their files."""
        keys = self._keys()
        used = self._used()
        known = _known(locks or user_locks(), self.projects)
        listed = [self._listed(key, used.get(key, ()), known.get(key)) for key in keys]
        listed.sort(key=lambda one: (one.tools, one.python_version))
        return Listing(self.root, tuple(listed), disk_bytes(self.root / key for key in keys))

    def prune(self, keep: Set[str] = frozenset(), *, dry_run: bool = False) -> Pruned:
        """Remove the environments that no project uses. `keep`: digests of locks to leave alone as well.

        One that a process holds with `use` stays. What interrupted installations left is removed too.
        """
        going = [one for one in self.list_environments().environments if not one.used_by and one.digest not in keep]
        folders = {one.key: self.root / one.key for one in going}
        size, freed = disk_bytes(folders.values()), freed_bytes(folders.values())
        if dry_run:
            return Pruned(tuple(going), (), size, freed, dry_run)
        running = [one.key for one in going if not self.remove(one.key)]
        if running:
            left = [folders[key] for key in running]
            size, freed = size - disk_bytes(left), freed - freed_bytes(left)
        self._clean_all()
        return Pruned(tuple(one for one in going if one.key not in running), tuple(running), size, freed, dry_run)

    def remove(self, key: str) -> bool:
        """Remove one environment, at once out of use. False when a process uses or makes it."""
        with held_if_free(self._lock_file(key)) as making, held_if_free(self._lock_file(key, "use")) as using:
            if not (making and using):
                return False
            self._clean(key)
            self._away(key)
            return True

    def _make(self, lock: Lock, interpreter: Path | None, descriptor: int) -> EnvironmentHandle:
        if (self.root / lock.key).exists():
            self._told(f"The environment of {lock.tool} is damaged ({damage(self.root / lock.key, lock)}): made anew")
            self._away(lock.key)
        chosen = interpreter or choose_interpreter(lock.tool, [lock.python], lock.python)[1]
        with self._unfinished(lock.key) as folder:
            installed = install(lock, chosen, folder, hold=[descriptor], stepped=self._stepped)
            marker = self._finish(lock, folder, installed)
            with write_errors(folder):
                folder.rename(self.root / lock.key)
        sync_folder(self.root)
        whence = "from uv's cache, without the network" if installed.cached else f"{installed.megabytes:.0f} MB loaded"
        self._told(
            f"Made the environment of {lock.tool}: Python {marker.python}, {marker.packages} packages, "
            f"{marker.size_bytes / 1e6:.0f} MB, {marker.seconds:.0f} s, {whence}"
        )
        return self._handle(lock.key, marker)

    def _finish(self, lock: Lock, folder: Path, installed: Installed) -> Marker:
        """Make all of it durable, then write the marker that says so."""
        os.sync()
        marker = Marker(
            lock=lock.digest,
            python=answers(folder / "bin" / "python"),
            tools=(lock.tool,),
            created=self._clock(),
            packages=len(lock.pins),
            size_bytes=disk_bytes([folder]),
            seconds=round(installed.seconds, 1),
            names=names_in(folder),
        )
        write_marker(folder, marker)
        return marker

    @contextmanager
    def _unfinished(self, key: str) -> Iterator[Path]:
        """A folder to build in, beside which more may lie under its name; all of it is gone in the end."""
        make_folders(self.root / ".building")
        try:
            yield self._aside(key)
        finally:
            self._clean(key)

    def _share(self, lock: Lock) -> EnvironmentHandle:
        """Write down that one more tool uses this environment."""
        folder = self.root / lock.key
        with held(self._lock_file(lock.key), WAIT_S):
            marker = read_marker(folder)
            if marker is None:
                raise Unavailable(f"The environment of {lock.tool} was removed meanwhile", next_command="try again")
            write_marker(folder, marker.shared_with(lock.tool))
        return self._handle(lock.key, marker.shared_with(lock.tool))

    def _wait(self, lock: Lock) -> None:
        self._told(f"Another process makes the environment of {lock.tool}: waiting for it")

    def _handle(self, key: str, marker: Marker) -> EnvironmentHandle:
        return EnvironmentHandle(
            python=self.root / key / "bin" / "python",
            key=key,
            digest=marker.lock,
            python_version=marker.python,
            tools=marker.tools,
            created=marker.created,
            packages=marker.packages,
            size_bytes=marker.size_bytes,
            seconds=marker.seconds,
        )

    def _keys(self) -> list[str]:
        """Names of folders like those that we make; whatever else lies there is not ours to touch."""
        found = self.root.iterdir() if self.root.is_dir() else ()
        return sorted(path.name for path in found if path.is_dir() and KEY.fullmatch(path.name))

    def _used(self) -> dict[str, tuple[str, ...]]:
        used: dict[str, tuple[str, ...]] = {}
        for project in self.projects.all():
            for key in {lock.key for lock in project.locks.values()} if project.there else ():
                used[key] = (*used.get(key, ()), project.project)
        return used

    def _listed(self, key: str, used_by: tuple[str, ...], lock: Lock | None) -> Listed:
        folder = self.root / key
        marker = read_marker(folder)
        made = marker.created.date() if marker else None
        standing = f"installed and imported {made}" if made else ""
        if lock is not None:
            standing = replace(lock, imported=lock.imported or made).standing
        return Listed(
            key=key,
            digest=marker.lock if marker else "",
            python_version=marker.python if marker else key.partition("-")[0].removeprefix("py"),
            tools=marker.tools if marker else (),
            packages=marker.packages if marker else 0,
            created=marker.created if marker else None,
            standing=standing,
            size_bytes=disk_bytes([folder]),
            freed_bytes=freed_bytes([folder]),
            used_by=used_by,
            damage=damage(folder),
        )

    def _away(self, key: str) -> None:
        """Out of use in one step, then removed. The caller holds the key's lock."""
        make_folders(self.root / ".building")
        with write_errors(self.root / key):
            if (self.root / key).exists():
                (self.root / key).rename(self._aside(key))
        self._clean(key)

    def _aside(self, key: str) -> Path:
        return self.root / ".building" / f"{key}+{uuid4().hex[:8]}"

    def _lock_file(self, key: str, kind: str = "lock") -> Path:
        return self.root / ".locks" / f"{key}.{kind}"

    def _clean(self, key: str) -> None:
        """Remove what an interrupted installation of this environment left. The caller holds the key's lock."""
        for left in (self.root / ".building").glob(f"{key}+*"):
            shutil.rmtree(left, ignore_errors=True)

    def _clean_all(self) -> None:
        for key in {path.name.partition("+")[0] for path in (self.root / ".building").glob("*+*")}:
            with held_if_free(self._lock_file(key)) as free:
                if free:
                    self._clean(key)


def _known(locks: Locks, projects: Projects) -> dict[str, Lock]:
    """Key to lock: those to install from, those that projects use."""
    known = []
    for tool in locks.recipes:
        for python in locks.pythons(tool):
            with suppress(StackproofError):  # a broken lock is told when it is to be installed, not in a listing
                known.append(locks.find(tool, python))
    in_use = [lock for project in projects.all() for lock in project.locks.values()]
    return {lock.key: lock for lock in (*in_use, *known)}
