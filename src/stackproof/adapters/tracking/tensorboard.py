"""Tracking in TensorBoard's event files. No registry: the embedded adapter fills that."""

import os
import re
import socket
from collections.abc import Mapping
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from threading import Lock
from typing import ClassVar
from urllib.parse import quote

from stackproof.adapters.option_values import check_names
from stackproof.adapters.tracking.journal import JournalTracking
from stackproof.adapters.tracking.journal_folder import Folder
from stackproof.adapters.tracking.tensorboard_events import HPARAMS, NOTES, Events
from stackproof.errors import RefusedInput
from stackproof.roles.adapter import PORT, Health, Option, ServerSpec, Setting
from stackproof.roles.tracking import RunStatus

LONGEST_PLACE = 1000
RELOAD_S = 5


class TensorBoardTracking(JournalTracking):
    """ "write-runs" and "read-runs" of `roles.tracking`: a folder "experiment/run" of one event file for each run.

    Metrics are scalars with all their digits, parameters go to the dashboard of hyperparameters when the run ends,
    and all else is text below "stackproof/". Artifacts, which TensorBoard has not, are kept as files beside the logs.
    Event files that others wrote are read as runs too: "run:" and their folder.
    """

    tool: ClassVar[str] = "tensorboard"
    capabilities: ClassVar[frozenset[str]] = frozenset({"write-runs", "read-runs", "links"})
    pattern: ClassVar[str] = "*tfevents*"
    options: ClassVar[Mapping[str, Option]] = {
        "logdir": Option("string", "the folder that TensorBoard is started with; none: `logs` in the home"),
        "port": Option("integer", "of TensorBoard, which `stackproof up` starts; none: one that is free"),
    }

    def __init__(self, setting: Setting) -> None:
        check_names("tracking.tensorboard", setting.options, self.options)
        super().__init__(_logdir(setting), setting.home.absolute() / "artifacts", setting.home / "tensorboard.lock")
        self._connecting = Lock()
        self._made: Events | None = None

    @staticmethod
    def server(setting: Setting, python: Path) -> ServerSpec:
        """See `HasServer.server`. It only reads the event files, which this adapter goes on writing."""
        logs = _logdir(setting)
        logs.mkdir(parents=True, exist_ok=True)
        return ServerSpec(
            name="tensorboard",
            arguments=(
                *(str(python), "-m", "tensorboard.main", "--logdir", str(logs)),
                *("--host", "127.0.0.1", "--port", PORT, "--reload_interval", str(RELOAD_S)),
            ),
            folder=setting.home,
            url=f"http://127.0.0.1:{PORT}",
            health=f"http://127.0.0.1:{PORT}/data/environment",
            port=int(str(setting.options.get("port") or 0)),
        )

    def link(self, identifier: str, ui: str) -> str:
        """Of a run: its time series, the other runs filtered out."""
        if not ui or not identifier.startswith("run:"):
            return ""
        folder = self._find(identifier)
        if folder is None:
            return ""
        shown = folder.path.relative_to(self._root).as_posix()
        return f"{ui}/?runFilter={quote(re.escape(shown), safe='')}#timeseries"

    def health(self) -> Health:
        """Whether the folder of logs can be written."""
        try:
            found = version("tensorboard")
        except PackageNotFoundError:
            return Health(False, "", "TensorBoard is not installed")
        nearest = next(folder for folder in (self._root, *self._root.parents) if folder.exists())
        writable = os.access(nearest, os.W_OK) and not self._closed
        return Health(writable, found, f"{'writes' if writable else 'cannot write'} {self._root}")

    @property
    def _codec(self) -> Events:
        with self._connecting:
            if self._made is None:
                self._made = Events()
            return self._made

    def _file_name(self, at: datetime) -> str:
        return f"events.out.tfevents.{int(at.timestamp()):010d}.{socket.gethostname()}.{os.getpid()}.0"

    def _check_metric(self, name: str) -> None:
        if name.startswith((NOTES, HPARAMS)):
            raise RefusedInput("That name of a metric is taken", got=name, allowed="any other name")

    def _tell_end(self, folder: Folder, at: datetime, status: RunStatus) -> bytes:
        told = self._codec.hyperparameters(folder.run().started_at, folder.params, folder.id)
        return told + self._codec.ending(at, status)

    def _foreign_place(self, name: str) -> list[Path]:
        path = self._root / name
        outside = Path(name).is_absolute() or ".." in Path(name).parts or "\0" in name
        return [] if outside or len(name) > LONGEST_PLACE else [path]


def _logdir(setting: Setting) -> Path:
    return Path(str(setting.options.get("logdir") or setting.home / "logs")).absolute()
