"""A repository of Git and DVC: made, locked, committed to, and its remote. DVC is imported when it is first used."""

import fcntl
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from threading import RLock
from typing import Any
from uuid import uuid4

from stackproof.adapters.versioning.content import clear, writes
from stackproof.errors import Conflict, NotFound, RefusedInput, StackproofError, Unavailable

REMOTE = "storage"
LOCK_WAIT_S = 300.0
GIT_WAIT_S = 120
REMOTE_WAIT_S = 30
LIST_WRITTEN_WITHIN_S = 0.2
_GIT = ("-c", "core.fsync=all", "-c", "gc.autoDetach=false", "-c", "commit.gpgSign=false", "-c", "tag.gpgSign=false")
_OF_THE_CALLER = frozenset(
    {
        *("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR"),
        *("GIT_NAMESPACE", "GIT_PREFIX", "GIT_ALTERNATE_OBJECT_DIRECTORIES"),
    }
)
"""Set inside of Git's hooks, where they name another repository."""
_OF_THE_NETWORK = frozenset({"aiohttp", "aiobotocore", "botocore", "urllib3"})
_WRONG_KEYS = frozenset({"NoCredentialsError", "PartialCredentialsError", "ProfileNotFound", "PermissionError"})


@dataclass(frozen=True, slots=True)
class Storage:
    """The remote. `named`: in stack.toml. `shared`: others use it too, so that nothing is deleted from it.

    `public` goes into DVC's configuration, which is committed; `secret` stays in this process.
    """

    named: bool
    shared: bool
    public: Mapping[str, str]
    secret: Mapping[str, str]

    @property
    def url(self) -> str:
        return self.public["url"]

    @property
    def settings(self) -> dict[str, Any]:
        """What DVC gets beside its own configuration."""
        waits = {"connect_timeout": REMOTE_WAIT_S, "read_timeout": REMOTE_WAIT_S} if "://" in self.url else {}
        return {**self.public, **self.secret, **waits}


class DvcRepository:
    """`own`: one of the project, made when it is first written to. Many threads and processes may use it."""

    def __init__(self, root: Path, *, own: bool, storage: Storage, caches: Path) -> None:
        """`caches`: a folder for what DVC remembers of files that it has seen."""
        self.root = root
        self.storage = storage
        self._own = own
        self._caches = caches
        self._lock = RLock()
        self._locked = False
        self._opened: Any = None

    @property
    def exists(self) -> bool:
        return (self.root / ".dvc").is_dir()

    @property
    def dvc(self) -> Any:
        """DVC's own object for it, opened once; the repository is made when there is none."""
        with self._lock:
            if self._opened is None:
                with foreign(f"DVC could not open the repository {self.root}"):
                    self._opened = self._open()
            return self._opened

    def close(self) -> None:
        with self._lock:
            if self._opened is not None:
                self._opened.close()
            self._opened = None

    @contextmanager
    def writing(self) -> Iterator[Any]:
        """One writer at a time, of all threads and processes. Raises `Unavailable` when another takes too long."""
        with self._lock:
            dvc = self.dvc
            if self._locked:
                yield dvc
                return
            with locked(self.root):
                self._locked = True
                try:
                    _drop_torn(self.root / ".dvc" / "tmp" / "rwlock")
                    yield dvc
                finally:
                    self._locked = False

    def object(self, md5: str) -> Path:
        """Where DVC's cache has, or would have, that content."""
        return Path(self.dvc.cache.local.oid_to_path(md5))

    # Git

    def git(self, *arguments: str, at: Path | None = None, given: str = "", may_fail: bool = False) -> str:
        """What Git prints; "" when it fails and may. Raises `Unavailable` when another holds Git's own lock."""
        try:
            done = subprocess.run(
                [_executable(), "-C", str(at or self.root), *self._identity, *_GIT, *arguments],
                input=given.encode(), capture_output=True, timeout=GIT_WAIT_S, check=False, env=_environment(),
            )  # fmt: skip
        except subprocess.TimeoutExpired as late:
            raise Unavailable(f"git {arguments[0]} took too long", got=f"more than {GIT_WAIT_S} s") from late
        if done.returncode == 0:
            return done.stdout.decode()
        if may_fail:
            return ""
        raise self._git_failed(arguments[0], done.stderr.decode(errors="replace").strip())

    def _git_failed(self, command: str, said: str) -> StackproofError:
        last = said.splitlines()[-1] if said else "nothing was said"
        if ".lock': File exists" in said:
            lock = said.partition("'")[2].partition("'")[0]
            return Unavailable(
                f"Another git command works in {self.root}, or one was killed there", got=last,
                next_command=f"rm {lock}  # when no git command runs there",
            )  # fmt: skip
        return StackproofError(
            f"git {command} failed in {self.root}", got=last, next_command=f"git -C {self.root} status"
        )

    @cached_property
    def _identity(self) -> tuple[str, ...]:
        """For commits on a machine whose user never told Git a name."""
        told = subprocess.run(
            [_executable(), "config", "--get", "user.email"], capture_output=True, check=False,
            cwd=self.root if self.root.exists() else "/", env=_environment(),
        )  # fmt: skip
        return () if told.stdout.strip() else ("-c", "user.name=Stackproof", "-c", "user.email=stackproof@localhost")

    def blob(self, revision: str, file: str) -> str:
        """The name of a file's content at a revision, "" for none."""
        return self.git("rev-parse", "--verify", "--quiet", f"{revision}:{file}", may_fail=True)

    def has_tag(self, tag: str) -> bool:
        return bool(self.git("rev-parse", "--verify", "--quiet", f"refs/tags/{tag}", may_fail=True))

    def commit(self, files: Iterable[str], message: str) -> None:
        """Commit these files alone, whatever else is staged. A file that is gone is removed."""
        paths = list(files)
        for path in paths:
            if (self.root / path).exists():
                self.git("add", "--force", "--", path)
            else:
                self.git("rm", "--cached", "--quiet", "--ignore-unmatch", "--", path)
        changed = self.git("diff", "--cached", "--name-only", "-z", "--", *paths).split("\0")[:-1]
        if changed:
            self.git("commit", "--quiet", "--no-verify", f"--message={message}", "--only", "--", *changed)

    # The remote

    @property
    def has_remote(self) -> bool:
        return bool(self.dvc.config["core"].get("remote"))

    def push(self, objects: set[str], what: str) -> None:
        """Lists of folders go last, so that a remote which has one has its files. Raises `Unavailable`."""
        if not self.has_remote:
            return
        lists = {md5 for md5 in objects if md5.endswith(".dir")}
        with foreign(f"DVC could not push {what}"):
            failed = [md5 for lot in (objects - lists, lists) for md5 in self._pushed(lot).failed]
        if failed:
            raise Unavailable(
                f"The remote did not take {what}", got=f"{len(failed)} files failed",
                next_command=f"cd {self.root} && dvc push",
            )  # fmt: skip

    def _pushed(self, objects: set[str]) -> Any:
        return self.dvc.cloud.push({_hash_info(md5) for md5 in objects})

    def delete_from_remote(self, objects: set[str]) -> None:
        """None there is no error. Raises `Unavailable`."""
        if not self.has_remote:
            return
        with foreign(f"DVC could not delete in {self.storage.url}"):
            odb = self.dvc.cloud.get_remote_odb()
            for md5 in odb.list_oids_exists(sorted(objects)):
                odb.delete(md5)
            import_module("dvc_data.hashfile.db").get_index(odb).clear()  # what DVC believes the remote to have

    def fetch(self, objects: set[str], what: str) -> set[str]:
        """Bring objects into the cache. Returns those that the remote has not. Raises `Unavailable`."""
        if not self.has_remote:
            return objects
        with foreign(f"DVC could not fetch {what}"):
            there = set(self.dvc.cloud.get_remote_odb().list_oids_exists(sorted(objects)))
            failed = self.dvc.cloud.pull({_hash_info(md5) for md5 in there}).failed
        if failed:
            raise Unavailable(f"The remote did not give {what}", got=f"{len(failed)} files failed")
        return objects - there

    def free(self, objects: set[str]) -> None:
        """Delete objects from the cache and from a remote of our own; in a user's repository not what others name."""
        others = set() if self._own else self._named_elsewhere()
        for md5 in objects - others:
            self.object(md5).unlink(missing_ok=True)
        if not self.storage.shared:
            self.delete_from_remote(objects - others)

    def _named_elsewhere(self) -> set[str]:
        """By any branch or tag: a repository that we did not make has data beside ours."""
        with foreign(f"DVC could not find out what {self.root} uses"):
            fresh = import_module("dvc.repo").Repo(str(self.root))
            try:
                used = fresh.used_objs(all_branches=True, all_tags=True)
            finally:
                fresh.close()
        return {named.value for all_named in used.values() for named in all_named}

    # Opening

    def _open(self) -> Any:
        kind = import_module("dvc.repo").Repo
        with writes(self.root):
            self.root.parent.mkdir(parents=True, exist_ok=True)
        with locked(self.root.parent):
            if not self.exists:
                self._make(kind)
            if self._own or self.storage.named:
                self._settle_remote(kind)
        settings: dict[str, Any] = {"core": {"site_cache_dir": str(self._caches)}}
        if self._own or self.storage.named:
            settings["remote"] = {REMOTE: self.storage.settings}
        return kind(str(self.root), config=settings)

    def _make(self, kind: Any) -> None:
        """Whole or not at all."""
        if self.root.exists() and any(self.root.iterdir()):
            raise RefusedInput(
                "The folder holds no DVC repository", got=self.root,
                allowed="a Git and DVC repository, or a new folder",
                next_command=f"cd {self.root} && git init && dvc init",
            )  # fmt: skip
        unfinished = self.root.with_name(f".{uuid4().hex}.tmp")
        try:
            unfinished.mkdir()
            self.git("init", "--quiet", "--initial-branch=main", at=unfinished)
            made = kind.init(str(unfinished))
            with made.config.edit("repo") as written:
                # Statistics of use, and questions after a newer release, would leave the machine.
                written["core"].update(analytics=False, check_update=False)
                written["cache"]["type"] = "reflink,hardlink,copy"
            made.close()
            self.git("add", "--all", at=unfinished)
            self.git("commit", "--quiet", "--no-verify", "--message=A repository for datasets", at=unfinished)
            unfinished.rename(self.root)
        finally:
            clear(unfinished)

    def _settle_remote(self, kind: Any) -> None:
        """Write the remote into DVC's own configuration, so that `dvc pull` of a user needs nothing more."""
        repository = kind(str(self.root))
        try:
            name, has = _default_remote(repository)
            if has is not None and has != self.storage.url and not self._has_moved(has):
                raise Conflict(
                    f"The repository keeps its content elsewhere than in {self.storage.url}", got=has,
                    next_command=f"cd {self.root} && dvc pull --all-tags && dvc remote modify {name} url "
                    f"{self.storage.url} && dvc push --all-tags",
                )  # fmt: skip
            if has is None or name == REMOTE:
                self._write_remote(repository)
        finally:
            repository.close()

    def _has_moved(self, url: str) -> bool:
        """Whether that was the project's own folder, before the project was moved."""
        return not self.storage.named and "://" not in url and not Path(url).exists()

    def _write_remote(self, repository: Any) -> None:
        wanted = dict(self.storage.public)
        if repository.config.read("repo").get("remote", {}).get(REMOTE) == wanted:
            return
        with repository.config.edit("repo") as written:
            written["core"]["remote"] = REMOTE
            written["remote"][REMOTE] = wanted
        self.commit([".dvc/config"], "Where content is kept")


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """The only one of all processes that works in the folder."""
    descriptor, until = os.open(folder, os.O_RDONLY), time.monotonic() + LOCK_WAIT_S
    try:
        while not _take(descriptor):
            if time.monotonic() > until:
                raise Unavailable(
                    f"Another process works in {folder}", got=f"for more than {LOCK_WAIT_S:.0f} s",
                    next_command=f"fuser {folder}",
                )  # fmt: skip
            time.sleep(0.02)
        yield
    finally:
        os.close(descriptor)


def _drop_torn(place: Path) -> None:
    """DVC's list of who reads and writes. It is written in place: cut short by a kill, it would stop DVC for good."""
    for pause_s in (LIST_WRITTEN_WITHIN_S, 0.0):
        try:
            json.loads(place.read_bytes())
        except FileNotFoundError:
            return
        except ValueError:
            time.sleep(pause_s)  # a command of the user may be writing it just now
        else:
            return
    place.unlink(missing_ok=True)


@contextmanager
def foreign(what: str) -> Iterator[None]:
    """Map what DVC and the drivers below it raise."""
    try:
        yield
    except StackproofError:
        raise
    except Exception as error:  # DVC's drivers raise what their own libraries raise
        raise _mapped(what, error) from error


def _mapped(what: str, error: Exception) -> StackproofError:
    kinds = {kind.__name__ for kind in type(error).__mro__}
    homes = {kind.__module__.partition(".")[0] for kind in type(error).__mro__}
    got = f"{type(error).__name__}: {error}"
    if kinds & _WRONG_KEYS:
        return RefusedInput(what, got=got, allowed="keys that may write there: the options, or the AWS configuration")
    if "LockError" in kinds:
        return Unavailable(what, got="another DVC command works there", next_command="try again when it has ended")
    if kinds & {"FileTransferError", "ConnectionError", "TimeoutError"} or homes & _OF_THE_NETWORK:
        return Unavailable(what, got=got, next_command="try again when the remote answers")
    if "IgnoreInCollectedDirError" in kinds:
        return RefusedInput(what, got=got, allowed="no .dvcignore inside of a dataset")
    if "ConfigError" in kinds:
        return RefusedInput(what, got=got, allowed="a configuration that `dvc config --list` reads")
    if isinstance(error, OSError) and "://" not in str(error.filename or ""):
        with writes(Path(str(error.filename or "."))):
            raise error
    return StackproofError(what, got=got)


def _default_remote(repository: Any) -> tuple[str, str | None]:
    name = repository.config["core"].get("remote", "")
    return name, repository.config["remote"].get(name, {}).get("url")


def _hash_info(md5: str) -> Any:
    return import_module("dvc_data.hashfile.hash_info").HashInfo("md5", md5)


def _executable() -> str:
    found = shutil.which("git")
    if found is None:
        raise NotFound("DVC keeps versions in Git, which is not installed", next_command="git --version")
    return found


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in _OF_THE_CALLER}


def _take(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
