"""A version as a tag of Git and a .dvc file name it."""

import json
import re
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from stackproof.roles.versioning import DatasetVersion

DATA = "data"
TOLD = "Stackproof: "
TAG_DIGITS = 12
_RESERVED = re.compile(r"[.-].*|.*\.\..*|.*\.|.*\.(dvc|lock)|dvc\.yaml")
"""Names that Git or DVC keep for themselves, for a file or for a tag."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A version, and how DVC names its content: `md5` ends in ".dir" for a folder."""

    version: DatasetVersion
    md5: str
    empty_folders: tuple[str, ...]

    @property
    def is_file(self) -> bool:
        return not self.md5.endswith(".dir")

    @property
    def tag(self) -> str:
        return f"{safe(self.version.name)}@{self.version.digest.removeprefix('sha256:')[:TAG_DIGITS]}"

    @property
    def file(self) -> str:
        return stage_file(self.version.name)


def safe(name: str) -> str:
    """A file name and a part of a tag's name: the dataset's name, unless Git or DVC would take it for their own."""
    return quote(name, safe="").replace(".", "%2E").replace("-", "%2D") if _RESERVED.fullmatch(name) else name


def stage_file(name: str) -> str:
    """A dataset's .dvc file, in the repository."""
    return f"{DATA}/{safe(name)}.dvc"


def message_of(kept: Kept) -> str:
    """What its tag says. DVC itself keeps no digest of ours, no first instant and no empty folders."""
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


def kept_of(message: str) -> Kept | None:
    """None for a tag that is none of ours."""
    _, ours, told = message.partition(f"\n{TOLD}")
    if not ours:
        return None
    said = json.loads(told)
    made = DatasetVersion(
        said["name"], said["digest"], said["files"], said["size"], datetime.fromisoformat(said["created_at"])
    )
    return Kept(made, said["md5"], tuple(said["empty_folders"]))
