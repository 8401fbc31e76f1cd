"""Files and folders below a run in MLflow, wherever its server keeps them."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import unquote, urlsplit

from stackproof.adapters.tracking.content import Content
from stackproof.adapters.tracking.escaping import unescaped
from stackproof.adapters.tracking.mlflow_form import Kept, path_key
from stackproof.errors import Corrupted, NotFound
from stackproof.roles.tracking import Artifact
from stackproof.store.files import sync


class RunFiles:
    """The files of one run. `place` is a path in MLflow, as `path_key` makes it."""

    def __init__(self, mlflow: Any, client: Any, run: Any) -> None:
        self._mlflow = mlflow
        self._client = client
        self._id: str = run.info.run_id
        self._uri: str = run.info.artifact_uri

    def uri(self, place: str) -> str:
        return f"{self._uri.rstrip('/')}/{place}"

    def put(self, place: str, path: Path, content: Content) -> None:
        """Upload under names that MLflow takes; to a folder of this machine, durably."""
        with TemporaryDirectory(prefix="stackproof-") as staging:
            if content.is_file:
                folder, _, name = place.rpartition("/")
                staged = Path(staging) / name
                staged.symlink_to(path.absolute())
                self._client.log_artifact(self._id, str(staged), folder or None)
            elif content.files:
                source = _staged(path, content, Path(staging))
                self._client.log_artifacts(self._id, str(source), place)
        root = _local(self._uri)
        if root is not None:
            _sync_place(root, place)

    def put_text(self, place: str, text: str) -> None:
        """Upload a file; to a folder of this machine, durably."""
        self._client.log_text(self._id, text, place)
        root = _local(self._uri)
        if root is not None:
            _sync_place(root, place)

    def remove(self, place: str) -> None:
        """None there is no error."""
        registry = self._mlflow.store.artifact.artifact_repository_registry
        registry.get_artifact_repository(self._uri, tracking_uri=self._client.tracking_uri).delete_artifacts(place)

    def get(self, place: str, kept: Kept, into: Path) -> Path:
        """Download below `into`, names as they were. Raises `Corrupted` when it is not there."""
        found = into / Path(place).name
        if kept.files:
            found = self._found(place, lambda: Path(self._client.download_artifacts(self._id, place, str(into))))
            _restore_names(found)
        else:
            found.mkdir()
        for folder in kept.empty_folders:
            (found / folder).mkdir(parents=True, exist_ok=True)
        return found

    def get_as_it_is(self, place: str, into: Path) -> Path:
        """Raises `NotFound`."""
        if not any(True for _ in self._below(place)) and not self._is_file(place):
            raise NotFound("The run has no such artifact", got=place)
        return Path(self._client.download_artifacts(self._id, place, str(into)))

    def listed(self) -> list[Artifact]:
        """All files by name, without digests, which MLflow does not keep."""
        return sorted(
            (Artifact(file.path, "", file.file_size or 0) for file in self._below(None)), key=lambda a: a.name
        )

    def _found(self, place: str, download: Callable[[], Path]) -> Path:
        if not any(True for _ in self._below(place)) and not self._is_file(place):
            raise Corrupted("MLflow lost an artifact that was logged", got=self.uri(place))
        return download()

    def _is_file(self, place: str) -> bool:
        folder, _, _ = place.rpartition("/")
        listed = self._client.list_artifacts(self._id, folder or None)
        return any(file.path == place and not file.is_dir for file in listed)

    def _below(self, place: str | None) -> Iterator[Any]:
        for file in self._client.list_artifacts(self._id, place):
            if file.is_dir:
                yield from self._below(file.path)
            else:
                yield file


def _staged(path: Path, content: Content, staging: Path) -> Path:
    """The folder itself, or one of links under other names where MLflow does not take a name."""
    if all(path_key(name) == name for name in content.files):
        return path
    for name in content.files:
        link = staging / path_key(name)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to((path / name).absolute())
    return staging


def _restore_names(root: Path) -> None:
    for folder, folders, files in os.walk(root, topdown=False):
        for name in (*folders, *files):
            if unescaped(name) != name:
                (Path(folder) / name).rename(Path(folder) / unescaped(name))


def _local(uri: str) -> Path | None:
    parts = urlsplit(uri)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    return Path(uri) if parts.scheme == "" else None


def _sync_place(root: Path, place: str) -> None:
    """MLflow copies without asking that it is durable."""
    target = root / place
    below = [Path(folder) for folder, _, _ in os.walk(target)]
    files = [path for folder in below for path in folder.iterdir() if path.is_file()] if below else [target]
    above = [folder for folder in target.parents if folder.is_relative_to(root.parent)]
    for path in (*files, *below, *above):
        if path.exists():
            sync(path)
