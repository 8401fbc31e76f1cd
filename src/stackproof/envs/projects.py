"""Which projects use which environments: one small file for each project that was applied."""

import datetime
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stackproof.envs.locking import Lock, as_document, from_document
from stackproof.errors import RefusedInput
from stackproof.store.files import make_folders, write_durably


@dataclass(frozen=True, slots=True)
class Registered:
    """A project that applied its stack. `locks`: tool to the lock that it runs on from then on."""

    project: str
    folder: Path
    applied: datetime.datetime
    locks: Mapping[str, Lock]

    @property
    def there(self) -> bool:
        """A project whose folder is gone uses nothing."""
        return self.folder.is_dir()


class Projects:
    """The register in a folder, which need not exist yet."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def register(self, project: str, folder: Path, locks: Sequence[Lock], now: datetime.datetime) -> None:
        """Write down what a project uses, in place of what it used before. Durable when it returns."""
        make_folders(self._folder)
        home = folder.resolve()
        document = {
            "project": project,
            "folder": str(home),
            "applied": now.isoformat(),
            "locks": [as_document(lock) for lock in locks],
        }
        write_durably(self._path(home), json.dumps(document, indent=1).encode())

    def of(self, folder: Path) -> Registered | None:
        """What the project in this folder applied last; None when nothing. Raises `RefusedInput` for a broken file."""
        path = self._path(folder.resolve())
        return _read(path) if path.exists() else None

    def all(self) -> list[Registered]:
        """Every project, also those whose folder is gone, by name. Raises `RefusedInput` for a broken file."""
        found = [_read(path) for path in self._folder.glob("*.json")]
        return sorted(found, key=lambda project: (project.project, str(project.folder)))

    def _path(self, folder: Path) -> Path:
        return self._folder / f"{hashlib.sha256(str(folder).encode()).hexdigest()[:16]}.json"


def _read(path: Path) -> Registered:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        locks = [from_document(entry) for entry in document["locks"]]
        return Registered(
            project=document["project"],
            folder=Path(document["folder"]),
            applied=datetime.datetime.fromisoformat(document["applied"]),
            locks={lock.tool: lock for lock in locks},
        )
    except (ValueError, KeyError, TypeError, AttributeError) as broken:
        raise RefusedInput(
            "The note of which environments a project uses can't be read",
            got=f"{path}: {broken}",
            allowed="a file that only Stackproof writes; applying the project again writes it anew",
            next_command=f"rm '{path}'",
        ) from broken
