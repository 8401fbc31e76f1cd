"""The content of versions in DVC's cache: is it all there and unchanged, and how it is written out."""

import json
from pathlib import Path

from stackproof.adapters.versioning.content import Listing, clear, md5_of, sync_all, writes
from stackproof.adapters.versioning.dvc_kept import Kept
from stackproof.adapters.versioning.dvc_repository import DvcRepository
from stackproof.adapters.versioning.naming import damaged
from stackproof.errors import Corrupted


class DvcObjects:
    """DVC's cache names each file, and each list of a folder's files, by its MD5."""

    def __init__(self, repository: DvcRepository) -> None:
        self._repository = repository
        self._sound: dict[str, tuple[int, int, int]] = {}

    def files(self, kept: Kept) -> dict[str, str]:
        """Each file's name and md5; a single file's name is the dataset's. Raises `Corrupted`."""
        if kept.is_file:
            return {kept.version.name: kept.md5}
        if not self._is_object_sound(kept.md5):
            self._fetch(kept, {kept.md5})
        listed = json.loads(self._repository.object(kept.md5).read_bytes())
        return {file["relpath"]: file["md5"] for file in listed}

    def of(self, kept: Kept) -> set[str]:
        return {kept.md5, *self.files(kept).values()}

    def left_of(self, kept: Kept) -> set[str]:
        """Of a version that may be damaged."""
        try:
            return self.of(kept)
        except Corrupted:
            return {kept.md5}

    def is_sound(self, kept: Kept, written: frozenset[int] = frozenset()) -> bool:
        """Whether the cache has all of it unchanged. What changed is dropped, so that it is kept or fetched anew.

        `written`: inodes that we filled just now, which DVC linked into its cache.
        """
        if not self._is_object_sound(kept.md5, written):
            return False
        broken = [md5 for md5 in self.of(kept) if not self._is_object_sound(md5, written)]
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

    def make_durable(self, kept: Kept, written: frozenset[int]) -> None:
        places = [self._repository.object(md5) for md5 in self.of(kept)]
        with writes(self._repository.root):
            sync_all([place for place in places if place.stat().st_ino not in written])
            sync_all({place.parent for place in places})

    def write_or_mend(self, kept: Kept, target: Path) -> None:
        """What is damaged is fetched from the remote. Raises `Corrupted`, `Unavailable`."""
        try:
            self._write(kept, target)
        except Corrupted:
            clear(target)
            self._fetch(kept, self.of(kept))
            self._write(kept, target)

    def _write(self, kept: Kept, target: Path) -> None:
        names = {"": kept.md5} if kept.is_file else self.files(kept)
        if any(part in ("", ".", "..") for name in names if name for part in name.split("/")):
            raise damaged(kept.version, "it names a file outside of itself")
        files = {name: self._repository.object(md5) for name, md5 in names.items()}
        try:
            content = Listing(kept.is_file, files, kept.empty_folders).read(target)
        except FileNotFoundError as gone:
            raise damaged(kept.version, f"{gone.filename} is gone") from gone
        if content.digest != kept.version.digest:
            raise damaged(kept.version, "its bytes have another digest")

    def _fetch(self, kept: Kept, objects: set[str]) -> None:
        """Fetch from the remote what the cache has not, or has changed. Raises `Corrupted`, `Unavailable`."""
        with self._repository.writing():
            missing = {md5 for md5 in objects if not self._is_object_sound(md5)}
            gone = self._repository.fetch(missing, kept.version.id) if missing else set()
            if gone:
                raise damaged(kept.version, f"{len(gone)} files are neither in the cache nor in a remote")
            if [md5 for md5 in missing if not self._is_object_sound(md5)]:
                raise damaged(kept.version, "the remote's files have changed as well")
