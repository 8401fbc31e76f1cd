"""How datasets and their versions are named and asked for, and what is said when that names nothing."""

import re
from collections.abc import Callable, Mapping, Sequence

from stackproof.errors import Corrupted, NotFound, RefusedInput, did_you_mean
from stackproof.roles.versioning import DatasetVersion, Difference

SHORTEST_PREFIX = 6
_NAME = re.compile(r"[a-z0-9._-]+")
_DIGITS = re.compile(rf"[0-9a-f]{{{SHORTEST_PREFIX},64}}")


def check_name(name: str) -> None:
    """Raises `RefusedInput` for what is no dataset's name."""
    if not _NAME.fullmatch(name):
        raise RefusedInput(
            "That is no name for a dataset", got=repr(name), allowed='lower-case letters, digits, "-", "_" and "."'
        )


def digits_of(digest: str) -> str:
    """Those that are asked for, without "sha256:". Raises `RefusedInput`."""
    digits = digest.removeprefix("sha256:")
    if not _DIGITS.fullmatch(digits):
        raise RefusedInput(
            "That is no digest of a version",
            got=repr(digest),
            allowed=f'"sha256:" and 64 hex digits, or the first {SHORTEST_PREFIX} or more of them',
        )
    return digits


def check_one(name: str, digest: str, found: Sequence[DatasetVersion], names: Callable[[], Sequence[str]]) -> None:
    """Raises `RefusedInput` for several versions, `NotFound` for none. `names`: those of all datasets, sorted."""
    if len(found) == 1:
        return
    if found:
        raise RefusedInput(
            f"Several versions of {name!r} begin with {digest}",
            got=digest,
            allowed=", ".join(version.digest for version in found),
        )
    known = names()
    if name not in known:
        raise NotFound(
            f"There is no dataset named {name!r}{did_you_mean(name, known)}",
            allowed=", ".join(known) or "none was kept yet",
            next_command="stackproof data",
        )
    raise NotFound(f"The dataset {name!r} has no version {digest}", next_command=f"stackproof data {name}")


def difference(before: Mapping[str, str], after: Mapping[str, str]) -> Difference:
    """Of two versions' files: what names each one's content, by the file's name."""
    return Difference(
        added=tuple(sorted(after.keys() - before.keys())),
        removed=tuple(sorted(before.keys() - after.keys())),
        changed=tuple(sorted(file for file in before.keys() & after.keys() if before[file] != after[file])),
    )


def damaged(version: DatasetVersion, why: str) -> Corrupted:
    return Corrupted(
        f"The version {version.id} is damaged",
        got=why,
        allowed="the content that was kept",
        next_command="take the snapshot of the original again: that mends it",
    )
