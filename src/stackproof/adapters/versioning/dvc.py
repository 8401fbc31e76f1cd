"""Versions of files and folders in a repository of Git and DVC.

What a user of DVC finds there: for each dataset `data/<name>.dvc`, which names its newest snapshot, and for each
version a tag of Git, `<name>@<first 12 digits>`. So `dvc status`, `dvc pull` and `dvc get --rev <tag>` work as in any
other repository. The tag's message holds what DVC does not keep: our digest, the first instant, empty folders.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, ClassVar
from uuid import uuid4

from stackproof.adapters.versioning.content import Content, bring, clear, listing, writes
from stackproof.adapters.versioning.dvc_kept import DATA, Kept, kept_of, message_of, safe, stage_file
from stackproof.adapters.versioning.dvc_objects import DvcObjects
from stackproof.adapters.versioning.dvc_repository import DvcRepository, Storage, foreign
from stackproof.adapters.versioning.naming import check_name, check_one, damaged, difference, digits_of
from stackproof.errors import Conflict, RefusedInput, StackproofError
from stackproof.roles.adapter import Health, Option, Setting
from stackproof.roles.versioning import DatasetVersion, Difference
from stackproof.store.files import sync

WITHOUT = "no folders named .git, .hg or .dvc, and nothing that a .dvcignore names"
_KEYS = ("profile", "access_key_id", "secret_access_key")


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
        self._objects = DvcObjects(self._repository)

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
        check_name(name)
        wanted = listing(path).read()
        with self._repository.writing() as dvc:
            known = self._named(name, wanted.digest.removeprefix("sha256:"))
            if known and self._objects.is_sound(known[0]):
                self._make_current(dvc, known[0])
                return known[0].version
            if known:
                clear(self._place(name))  # damaged: every file is written anew
            return self._keep(dvc, name, path, wanted).version

    def versions(self, name: str | None = None) -> list[DatasetVersion]:
        if name is not None:
            check_name(name)
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
                self._objects.write_or_mend(found, unfinished)
                unfinished.rename(into)
                sync(into.parent)
            finally:
                clear(unfinished)
        return into

    def diff(self, name: str, older: str, newer: str) -> Difference:
        return difference(*(self._objects.files(self._find(name, digest)) for digest in (older, newer)))

    def remove(self, name: str, digest: str) -> None:
        with self._repository.writing() as dvc:
            found = self._find(name, digest)
            objects = self._objects.left_of(found)
            was_current = self._is_current(found)
            self._repository.git("tag", "--delete", found.tag)
            if was_current:
                self._forget_current(dvc, found)
            used = {md5 for kept in self._all(None) for md5 in self._objects.left_of(kept)}
            self._repository.free(objects - used)

    # Versions are tags

    def _all(self, name: str | None) -> list[Kept]:
        """Oldest first."""
        if not self._repository.exists:
            return []
        pattern = f"refs/tags/{'*' if name is None else safe(name)}@*"
        told = self._repository.git("for-each-ref", "--format=%(contents)%00", pattern).split("\0")
        found = [kept for message in told if (kept := kept_of(message)) is not None]
        return sorted(found, key=lambda kept: kept.version.created_at)

    def _named(self, name: str, digits: str) -> list[Kept]:
        return [kept for kept in self._all(name) if kept.version.digest.startswith(f"sha256:{digits}")]

    def _find(self, name: str, digest: str) -> Kept:
        check_name(name)
        found = self._named(name, digits_of(digest))
        versions = [kept.version for kept in found]
        check_one(name, digest, versions, lambda: sorted({kept.version.name for kept in self._all(None)}))
        return found[0]

    # Keeping

    def _keep(self, dvc: Any, name: str, source: Path, wanted: Content) -> Kept:
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
            repository.git("tag", "--annotate", "--cleanup=verbatim", "--file=-", kept.tag, given=message_of(kept))
        return kept

    def _add(self, dvc: Any, name: str, source: Path, wanted: Content) -> tuple[Kept, Content, Any]:
        """Raises `RefusedInput` for files that DVC leaves out, `Corrupted` when its cache has not what was written."""
        target = self._place(name)
        for _ in range(2):
            with writes(target):
                target.parent.mkdir(exist_ok=True)
                content = bring(listing(source), wanted, target)
            (stage,) = dvc.add([str(target)])
            found = self._named(name, content.digest.removeprefix("sha256:"))
            kept = found[0] if found else self._new(name, content, stage.outs[0].hash_info.value)
            if self._objects.is_sound(kept, content.inodes):
                self._check_complete(kept, content)
                self._objects.make_durable(kept, content.inodes)
                return kept, content, stage
        raise damaged(kept.version, "DVC's cache changes what is written to it")

    def _push(self, kept: Kept, content: Content) -> None:
        objects = self._objects.of(kept)
        if self._repository.has_tag(kept.tag):
            # It was damaged here, so it may be there too, and DVC never writes over what a remote has.
            mended = {md5 for md5 in objects if self._repository.object(md5).stat().st_ino in content.inodes}
            self._repository.delete_from_remote({kept.md5, *mended})
        self._repository.push(objects, kept.version.id)

    def _new(self, name: str, content: Content, md5: str) -> Kept:
        made = DatasetVersion(name, content.digest, len(content.files), content.size, self._clock())
        return Kept(made, md5, content.empty_folders)

    def _check_complete(self, kept: Kept, content: Content) -> None:
        """DVC leaves out what its ignore files name, and folders of Git and of itself, without a word."""
        names = {file or kept.version.name for file, _, _ in content.files}
        left_out = sorted(names - self._objects.files(kept).keys())
        if left_out:
            raise RefusedInput(
                f"DVC leaves out files of {kept.version.name!r}, so that it could not be restored",
                faults=left_out[:20],
                got=f"{len(left_out)} of {len(names)} files",
                allowed=WITHOUT,
            )

    def _take_back(self, dvc: Any, name: str) -> None:
        """What was added and not committed."""
        file = stage_file(name)
        clear(self._place(name))
        (self._repository.root / file).unlink(missing_ok=True)
        if self._repository.blob("HEAD", file):
            self._repository.git("checkout", "--quiet", "HEAD", "--", file)
            with foreign(f"DVC could not check out the version of {name!r} before"):
                dvc.checkout(targets=[str(self._repository.root / file)], force=True)

    def _make_current(self, dvc: Any, kept: Kept) -> None:
        """Let the newest commit name this version, which the cache has."""
        if self._is_current(kept) and self._place(kept.version.name).exists():
            return
        with foreign(f"DVC could not check out {kept.version.id}"):
            self._repository.git("checkout", "--quiet", kept.tag, "--", kept.file)
            dvc.checkout(targets=[str(self._repository.root / kept.file)], force=True)
        self._commit(kept.version.name, f"{kept.version.id} again")

    def _forget_current(self, dvc: Any, removed: Kept) -> None:
        """Let the newest commit name the version before, or nothing."""
        left = [kept for kept in self._all(removed.version.name) if self._objects.is_sound(kept)]
        if left:
            self._make_current(dvc, left[-1])
            return
        with foreign(f"DVC could not remove {removed.version.id}"):
            dvc.remove(str(self._repository.root / removed.file), outs=True)
        self._commit(removed.version.name, f"{removed.version.id} is removed")

    def _is_current(self, kept: Kept) -> bool:
        return self._repository.blob("HEAD", kept.file) == self._repository.blob(kept.tag, kept.file)

    def _commit(self, name: str, message: str) -> None:
        self._repository.commit([stage_file(name), f"{DATA}/.gitignore"], message)

    def _place(self, name: str) -> Path:
        return self._repository.root / DATA / safe(name)


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
