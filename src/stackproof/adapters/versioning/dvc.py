"""Versions of files and folders in a repository of Git and DVC.

What a user of DVC finds there: for each dataset `data/<name>.dvc`, which names its newest snapshot, and for each
version a tag of Git, `<name>@<first 12 digits>`. So `dvc status`, `dvc pull` and `dvc get --rev <tag>` work as in any
other repository. The tag's message holds what DVC does not keep: our digest, the first instant, empty folders.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote
from uuid import uuid4

from stackproof.adapters.versioning.content import Content, Listing, bring, clear, listing, md5_of, sync, writes
from stackproof.adapters.versioning.dvc_repository import DvcRepository, Storage, foreign
from stackproof.errors import Conflict, Corrupted, NotFound, RefusedInput, StackproofError, did_you_mean
from stackproof.roles.adapter import Health, Option, Setting
from stackproof.roles.versioning import DatasetVersion, Difference

DATA = "data"
TOLD = "Stackproof: "
WITHOUT = "no folders named .git, .hg or .dvc, and nothing that a .dvcignore names"
SHORTEST_PREFIX = 6
TAG_DIGITS = 12
_NAME = re.compile(r"[a-z0-9._-]+")
_DIGITS = re.compile(rf"[0-9a-f]{{{SHORTEST_PREFIX},64}}")
_RESERVED = re.compile(r"[.-].*|.*\.\..*|.*\.|.*\.(dvc|lock)|dvc\.yaml")
"""Names that Git or DVC keep for themselves, for a file or for a tag."""
_KEYS = ("profile", "access_key_id", "secret_access_key")


@dataclass(frozen=True, slots=True)
class _Kept:
    """A version, and how DVC names its content: `md5` ends in ".dir" for a folder."""

    version: DatasetVersion
    md5: str
    empty_folders: tuple[str, ...]

    @property
    def is_file(self) -> bool:
        return not self.md5.endswith(".dir")

    @property
    def tag(self) -> str:
        return f"{_safe(self.version.name)}@{self.version.digest.removeprefix('sha256:')[:TAG_DIGITS]}"

    @property
    def file(self) -> str:
        return _stage_file(self.version.name)


def now() -> datetime:
    return datetime.now(UTC)


class DvcSnapshots:
    """Fills the role `versioning`. Each new version is one commit; equal files are kept once.

    A version is there when its tag is: that is written last, when DVC's cache is durable and the remote has it all.
    """

    tool: ClassVar[str] = "dvc"
    capabilities: ClassVar[frozenset[str]] = frozenset({"snapshot"})
    options: ClassVar[Mapping[str, Option]] = {
        "repository": Option(
            "string", "folder of a Git and DVC repository for the datasets; by default the project's own"
        ),
        "remote": Option("string", "where content is kept beside the cache: a folder, or s3://bucket/path"),
        "endpoint_url": Option("string", "address of an S3-compatible server"),
        "region": Option("string", "region of the bucket"),
        "profile": Option("string", "profile of the AWS configuration"),
        "access_key_id": Option("string", "key for the bucket; by default what the AWS configuration says"),
        "secret_access_key": Option("string", "secret for the bucket, as ${VARIABLE}; it is never written to a file"),
        "shared_remote": Option("boolean", "others use `remote` too: what a removed version had there stays", True),
    }

    def __init__(self, setting: Setting, clock: Callable[[], datetime] = now) -> None:
        options = {name: value for name, value in setting.options.items() if value not in (None, "")}
        own = "repository" not in options
        root = setting.home / "repository" if own else _folder("repository", str(options["repository"]))
        storage = _storage(options, setting.home / "remote")
        self._repository = DvcRepository(root, own=own, storage=storage, caches=setting.home / "seen")
        self._clock = clock
        self._sound: dict[str, tuple[int, int, int]] = {}

    def health(self) -> Health:
        release = ""
        try:
            release = version("dvc")
            count = len(self.versions())
            with self._repository.writing() as dvc, foreign("DVC's remote cannot be reached"):
                if self._repository.has_remote:
                    odb = dvc.cloud.get_remote_odb()
                    odb.fs.exists(odb.path)
        except PackageNotFoundError:
            return Health(ok=False, version="", detail="DVC is not installed in this environment")
        except StackproofError as problem:
            return Health(ok=False, version=release, detail=str(problem))
        return Health(ok=True, version=release, detail=f"{count} dataset versions in {self._repository.root}")

    def close(self) -> None:
        self._repository.close()

    def snapshot(self, name: str, path: Path) -> DatasetVersion:
        _check_name(name)
        wanted = listing(path).read()
        with self._repository.writing() as dvc:
            known = self._named(name, wanted.digest.removeprefix("sha256:"))
            if known and self._is_sound(known[0]):
                self._make_current(dvc, known[0])
                return known[0].version
            if known:
                clear(self._place(name))  # damaged: every file is written anew
            return self._keep(dvc, name, path, wanted).version

    def versions(self, name: str | None = None) -> list[DatasetVersion]:
        if name is not None:
            _check_name(name)
        return [kept.version for kept in self._all(name)]

    def get(self, name: str, digest: str) -> DatasetVersion:
        return self._find(name, digest).version

    def restore(self, name: str, digest: str, into: Path) -> Path:
        found = self._find(name, digest)
        if into.exists() or into.is_symlink():
            raise Conflict("The place to restore to exists already", got=into, allowed="a path that does not exist")
        unfinished = into.parent / f".{uuid4().hex}.tmp"
        with writes(into):
            into.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._write_or_mend(found, unfinished)
                unfinished.rename(into)
                sync([into.parent])
            finally:
                clear(unfinished)
        return into

    def diff(self, name: str, older: str, newer: str) -> Difference:
        before, after = (self._files(self._find(name, digest)) for digest in (older, newer))
        return Difference(
            added=tuple(sorted(after.keys() - before.keys())),
            removed=tuple(sorted(before.keys() - after.keys())),
            changed=tuple(sorted(file for file in before.keys() & after.keys() if before[file] != after[file])),
        )

    def remove(self, name: str, digest: str) -> None:
        with self._repository.writing() as dvc:
            found = self._find(name, digest)
            objects = self._objects_left(found)
            was_current = self._is_current(found)
            self._repository.git("tag", "--delete", found.tag)
            if was_current:
                self._forget_current(dvc, found)
            used = {md5 for kept in self._all(None) for md5 in self._objects_left(kept)}
            self._repository.free(objects - used)

    # Versions are tags

    def _all(self, name: str | None) -> list[_Kept]:
        """Oldest first."""
        if not self._repository.exists:
            return []
        pattern = f"refs/tags/{'*' if name is None else _safe(name)}@*"
        told = self._repository.git("for-each-ref", "--format=%(contents)%00", pattern).split("\0")
        found = [kept for message in told if (kept := _kept_of(message)) is not None]
        return sorted(found, key=lambda kept: kept.version.created_at)

    def _named(self, name: str, digits: str) -> list[_Kept]:
        return [kept for kept in self._all(name) if kept.version.digest.startswith(f"sha256:{digits}")]

    def _find(self, name: str, digest: str) -> _Kept:
        _check_name(name)
        found = self._named(name, _digits(digest))
        if len(found) == 1:
            return found[0]
        if found:
            raise RefusedInput(
                f"Several versions of {name!r} begin with {digest}",
                got=digest,
                allowed=", ".join(kept.version.digest for kept in found),
            )
        names = sorted({kept.version.name for kept in self._all(None)})
        if name not in names:
            raise NotFound(
                f"There is no dataset named {name!r}{did_you_mean(name, names)}",
                allowed=", ".join(names) or "none was kept yet",
                next_command="stackproof data",
            )
        raise NotFound(f"The dataset {name!r} has no version {digest}", next_command=f"stackproof data {name}")

    # Keeping

    def _keep(self, dvc: Any, name: str, source: Path, wanted: Content) -> _Kept:
        """As a user would: put the data in the working tree, `dvc add`, `dvc push`, commit; then tag the commit."""
        repository = self._repository
        try:
            with foreign(f"DVC could not keep a version of {name!r}"):
                kept, content, stage = self._add(dvc, name, source, wanted)
                stage.desc = f"{kept.version.id}, kept by Stackproof"
                stage.meta = {
                    "sha256": kept.version.digest.removeprefix("sha256:"),
                    "created_at": kept.version.created_at.isoformat(),
                }
                stage.dump()
            self._push(kept, content)
        except StackproofError:
            self._take_back(dvc, name)
            raise
        self._commit(name, f"{kept.version.id}: {kept.version.files} files, {kept.version.size} bytes")
        if not repository.has_tag(kept.tag):
            repository.git("tag", "--annotate", "--cleanup=verbatim", "--file=-", kept.tag, given=_message(kept))
        return kept

    def _add(self, dvc: Any, name: str, source: Path, wanted: Content) -> tuple[_Kept, Content, Any]:
        """Raises `RefusedInput` for files that DVC leaves out, `Corrupted` when its cache has not what was written."""
        target = self._place(name)
        for _ in range(2):
            with writes(target):
                target.parent.mkdir(exist_ok=True)
                content = bring(listing(source), wanted, target)
            (stage,) = dvc.add([str(target)])
            found = self._named(name, content.digest.removeprefix("sha256:"))
            kept = found[0] if found else self._new(name, content, stage.outs[0].hash_info.value)
            if self._is_sound(kept, content.inodes):
                self._check_complete(kept, content)
                self._make_durable(kept, content.inodes)
                return kept, content, stage
        raise _damaged(kept, "DVC's cache changes what is written to it")

    def _push(self, kept: _Kept, content: Content) -> None:
        objects = self._objects(kept)
        if self._repository.has_tag(kept.tag):
            # It was damaged here, so it may be there too, and DVC never writes over what a remote has.
            mended = {md5 for md5 in objects if self._repository.object(md5).stat().st_ino in content.inodes}
            self._repository.delete_from_remote({kept.md5, *mended})
        self._repository.push(objects, kept.version.id)

    def _new(self, name: str, content: Content, md5: str) -> _Kept:
        made = DatasetVersion(name, content.digest, len(content.files), content.size, self._clock())
        return _Kept(made, md5, content.empty_folders)

    def _check_complete(self, kept: _Kept, content: Content) -> None:
        """DVC leaves out what its ignore files name, and folders of Git and of itself, without a word."""
        names = {file or kept.version.name for file, _, _ in content.files}
        left_out = sorted(names - self._files(kept).keys())
        if left_out:
            raise RefusedInput(
                f"DVC leaves out files of {kept.version.name!r}, so that it could not be restored",
                faults=left_out[:20],
                got=f"{len(left_out)} of {len(names)} files",
                allowed=WITHOUT,
            )

    def _take_back(self, dvc: Any, name: str) -> None:
        """What was added and not committed."""
        file = _stage_file(name)
        clear(self._place(name))
        (self._repository.root / file).unlink(missing_ok=True)
        if self._repository.blob("HEAD", file):
            self._repository.git("checkout", "--quiet", "HEAD", "--", file)
            with foreign(f"DVC could not check out the version of {name!r} before"):
                dvc.checkout(targets=[str(self._repository.root / file)], force=True)

    def _make_current(self, dvc: Any, kept: _Kept) -> None:
        """Let the newest commit name this version, which the cache has."""
        if self._is_current(kept) and self._place(kept.version.name).exists():
            return
        with foreign(f"DVC could not check out {kept.version.id}"):
            self._repository.git("checkout", "--quiet", kept.tag, "--", kept.file)
            dvc.checkout(targets=[str(self._repository.root / kept.file)], force=True)
        self._commit(kept.version.name, f"{kept.version.id} again")

    def _forget_current(self, dvc: Any, removed: _Kept) -> None:
        """Let the newest commit name the version before, or nothing."""
        left = [kept for kept in self._all(removed.version.name) if self._is_sound(kept)]
        if left:
            self._make_current(dvc, left[-1])
            return
        with foreign(f"DVC could not remove {removed.version.id}"):
            dvc.remove(str(self._repository.root / removed.file), outs=True)
        self._commit(removed.version.name, f"{removed.version.id} is removed")

    def _is_current(self, kept: _Kept) -> bool:
        return self._repository.blob("HEAD", kept.file) == self._repository.blob(kept.tag, kept.file)

    def _commit(self, name: str, message: str) -> None:
        self._repository.commit([_stage_file(name), f"{DATA}/.gitignore"], message)

    def _place(self, name: str) -> Path:
        return self._repository.root / DATA / _safe(name)

    # Content in DVC's cache

    def _files(self, kept: _Kept) -> dict[str, str]:
        """Each file's name and md5; a single file's name is the dataset's. Raises `Corrupted`."""
        if kept.is_file:
            return {kept.version.name: kept.md5}
        if not self._is_object_sound(kept.md5):
            self._fetch(kept, {kept.md5})
        listed = json.loads(self._repository.object(kept.md5).read_bytes())
        return {file["relpath"]: file["md5"] for file in listed}

    def _objects(self, kept: _Kept) -> set[str]:
        return {kept.md5, *self._files(kept).values()}

    def _objects_left(self, kept: _Kept) -> set[str]:
        """Of a version that may be damaged."""
        try:
            return self._objects(kept)
        except Corrupted:
            return {kept.md5}

    def _is_sound(self, kept: _Kept, written: frozenset[int] = frozenset()) -> bool:
        """Whether the cache has all of it unchanged. What changed is dropped, so that it is kept or fetched anew.

        `written`: inodes that we filled just now, which DVC linked into its cache.
        """
        if not self._is_object_sound(kept.md5, written):
            return False
        broken = [md5 for md5 in self._objects(kept) if not self._is_object_sound(md5, written)]
        return not broken

    def _is_object_sound(self, md5: str, written: frozenset[int] = frozenset()) -> bool:
        place = self._repository.object(md5)
        try:
            status = place.stat()
            state = status.st_mtime_ns, status.st_size, status.st_ino
            known = self._sound.get(md5) == state or status.st_ino in written
            if not known and md5_of(place) != md5.removesuffix(".dir"):
                place.unlink()
                return False
        except FileNotFoundError:
            return False
        self._sound[md5] = state
        return True

    def _make_durable(self, kept: _Kept, written: frozenset[int]) -> None:
        places = [self._repository.object(md5) for md5 in self._objects(kept)]
        with writes(self._repository.root):
            sync([place for place in places if place.stat().st_ino not in written])
            sync({place.parent for place in places})

    def _write_or_mend(self, kept: _Kept, target: Path) -> None:
        try:
            self._write(kept, target)
        except Corrupted:
            clear(target)
            self._fetch(kept, self._objects(kept))
            self._write(kept, target)

    def _write(self, kept: _Kept, target: Path) -> None:
        names = {"": kept.md5} if kept.is_file else self._files(kept)
        if any(part in ("", ".", "..") for name in names if name for part in name.split("/")):
            raise _damaged(kept, "it names a file outside of itself")
        files = {name: self._repository.object(md5) for name, md5 in names.items()}
        try:
            content = Listing(kept.is_file, files, kept.empty_folders).read(target)
        except FileNotFoundError as gone:
            raise _damaged(kept, f"{gone.filename} is gone") from gone
        if content.digest != kept.version.digest:
            raise _damaged(kept, "its bytes have another digest")

    def _fetch(self, kept: _Kept, objects: set[str]) -> None:
        """Fetch from the remote what the cache has not, or has changed. Raises `Corrupted`, `Unavailable`."""
        with self._repository.writing():
            missing = {md5 for md5 in objects if not self._is_object_sound(md5)}
            gone = self._repository.fetch(missing, kept.version.id) if missing else set()
            if gone:
                raise _damaged(kept, f"{len(gone)} files are neither in the cache nor in a remote")
            if [md5 for md5 in missing if not self._is_object_sound(md5)]:
                raise _damaged(kept, "the remote's files have changed as well")


def _message(kept: _Kept) -> str:
    found = kept.version
    told = {
        "name": found.name,
        "digest": found.digest,
        "files": found.files,
        "size": found.size,
        "created_at": found.created_at.isoformat(),
        "md5": kept.md5,
        "empty_folders": kept.empty_folders,
    }
    return f"{found.id}: {found.files} files, {found.size} bytes\n\n{TOLD}{json.dumps(told)}\n"


def _kept_of(message: str) -> _Kept | None:
    """None for a tag that is none of ours."""
    _, ours, told = message.partition(f"\n{TOLD}")
    if not ours:
        return None
    said = json.loads(told)
    made = DatasetVersion(
        said["name"], said["digest"], said["files"], said["size"], datetime.fromisoformat(said["created_at"])
    )
    return _Kept(made, said["md5"], tuple(said["empty_folders"]))


def _storage(options: Mapping[str, object], own: Path) -> Storage:
    """Raises `RefusedInput` for a remote that this environment cannot reach, and for keys without one."""
    told = {name: str(value) for name, value in options.items()}
    secret = {name: told[name] for name in _KEYS if name in told}
    public = {key: told[name] for key, name in (("endpointurl", "endpoint_url"), ("region", "region")) if name in told}
    url = told.get("remote", "")
    if url.startswith("s3://"):
        return Storage(True, bool(options.get("shared_remote", True)), {"url": url, **public}, secret)
    if secret or public:
        raise RefusedInput(
            "The options name a bucket's server or keys, and no bucket",
            got=", ".join(sorted(name for name in told if name in {*_KEYS, "endpoint_url", "region"})),
            allowed='remote = "s3://bucket/path" beside them',
        )
    if not url:
        return Storage(False, False, {"url": str(own), "verify": "true"}, {})
    if "://" in url:
        raise RefusedInput(
            "DVC's remote is of a kind that is not set up", got=url, allowed="a folder, or s3://bucket/path"
        )
    return Storage(True, bool(options.get("shared_remote", True)), {"url": str(_folder("remote", url))}, {})


def _folder(option: str, given: str) -> Path:
    path = Path(given).expanduser()
    if not path.is_absolute():
        raise RefusedInput(
            f"The option {option!r} of versioning.dvc is no absolute path", got=given, allowed="/a/folder"
        )
    return path


def _safe(name: str) -> str:
    """A file name and a part of a tag's name: the dataset's name, unless Git or DVC would take it for their own."""
    return quote(name, safe="").replace(".", "%2E").replace("-", "%2D") if _RESERVED.fullmatch(name) else name


def _stage_file(name: str) -> str:
    """A dataset's .dvc file, in the repository."""
    return f"{DATA}/{_safe(name)}.dvc"


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise RefusedInput(
            "That is no name for a dataset", got=repr(name), allowed='lower-case letters, digits, "-", "_" and "."'
        )


def _digits(digest: str) -> str:
    digits = digest.removeprefix("sha256:")
    if not _DIGITS.fullmatch(digits):
        raise RefusedInput(
            "That is no digest of a version",
            got=repr(digest),
            allowed=f'"sha256:" and 64 hex digits, or the first {SHORTEST_PREFIX} or more of them',
        )
    return digits


def _damaged(kept: _Kept, why: str) -> Corrupted:
    return Corrupted(
        f"The version {kept.version.id} is damaged",
        got=why,
        allowed="the content that was kept",
        next_command="take the snapshot of the original again: that mends it",
    )
