"""Tracking in Weights & Biases, offline: runs that `wandb sync` sends. No registry: the embedded adapter fills that."""

import math
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar

from stackproof.adapters.option_values import check_names
from stackproof.adapters.tracking.journal import JournalTracking, folder_name, hashed, sync_below
from stackproof.adapters.tracking.journal_folder import Folder, to_seconds
from stackproof.adapters.tracking.journal_lines import Lines
from stackproof.errors import NotFound, StackproofError, Unavailable
from stackproof.roles.adapter import Health, Option, Setting
from stackproof.roles.tracking import Metric, Param, RunStatus

STEP = "step"
_EXIT_CODES = {RunStatus.FINISHED: 0, RunStatus.FAILED: 1, RunStatus.KILLED: 137}
_QUIET: Mapping[str, object] = {
    "mode": "offline",
    "silent": True,
    "console": "off",
    "save_code": False,
    "disable_code": True,
    "disable_git": True,
    "disable_job_creation": True,
    "x_disable_machine_info": True,
    "x_disable_meta": True,
    "x_disable_stats": True,
    "x_save_requirements": False,
}


class WandbTracking(JournalTracking):
    """ "write-runs" and "read-runs" of `roles.tracking`. Nothing is sent: `wandb sync` does that, when you say so.

    Weights & Biases writes an offline run in one process, makes nothing of it durable before its end, and has no way
    to read it. So a run is a journal of lines first, which every read and restart uses, and becomes an offline run
    of Weights & Biases when it ends: parameters are its config, points its history with "step" as the axis, and
    artifacts its artifacts. What others wrote, or what was changed after `wandb sync`, is not seen.
    """

    tool: ClassVar[str] = "wandb"
    capabilities: ClassVar[frozenset[str]] = frozenset({"write-runs", "read-runs"})
    pattern: ClassVar[str] = "journal.jsonl"
    options: ClassVar[Mapping[str, Option]] = {
        "dir": Option("string", "the folder in which `wandb/` lies with the offline runs; none: the home"),
        "entity": Option("string", "the user or team whose runs they are when they are sent; none: your default"),
    }

    def __init__(self, setting: Setting) -> None:
        check_names("tracking.wandb", setting.options, self.options)
        home = setting.home.absolute()
        super().__init__(home / "journal", home / "artifacts", setting.home / "wandb.lock")
        self._home = home
        self._offline = Path(str(setting.options.get("dir") or home)).absolute() / "wandb"
        self._entity = str(setting.options.get("entity") or "") or None
        self._lines = Lines()
        self._wandb: Any = None

    def health(self) -> Health:
        """Whether the folder can be written."""
        try:
            found = version("wandb")
        except PackageNotFoundError:
            return Health(False, "", "wandb is not installed")
        nearest = next(folder for folder in (self._offline, *self._offline.parents) if folder.exists())
        writable = os.access(nearest, os.W_OK) and not self._closed
        return Health(writable, found, f"offline, {'writes' if writable else 'cannot write'} {self._offline}")

    def close(self) -> None:
        """Flush, end the process that wandb started, and release."""
        super().close()
        if self._wandb is not None:
            self._wandb.teardown()
            self._wandb = None

    @property
    def _codec(self) -> Lines:
        return self._lines

    def _file_name(self, at: datetime) -> str:
        return self.pattern

    def _tell_end(self, folder: Folder, at: datetime, status: RunStatus) -> bytes:
        """Make the offline run, whole or not at all."""
        identifier = folder_name(folder.id.removeprefix("run:"))
        unfinished = self._home / "unfinished" / hashed(folder.id)
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        with _mapped(self._library()):
            made = self._make_offline(folder, identifier, unfinished, at, status)
        self._offline.mkdir(parents=True, exist_ok=True)
        for earlier in self._offline.glob("offline-run-*"):
            if earlier.name.split("-", 3)[3:] == [identifier]:
                shutil.rmtree(earlier)
        sync_below(made)
        made.rename(self._offline / made.name)
        self._unsynced.add(self._offline)
        shutil.rmtree(unfinished, ignore_errors=True)
        return b""

    def _make_offline(self, folder: Folder, identifier: str, unfinished: Path, at: datetime, status: RunStatus) -> Path:
        wandb = self._library()
        run = folder.run()
        about = {"run": run.id, "experiment": run.experiment, "tags": dict(run.tags), "status": status.value}
        times = {"started_at": run.started_at.isoformat(), "ended_at": at.isoformat()}
        written = wandb.init(
            entity=self._entity,
            project=folder_name(run.experiment),
            id=identifier,
            name=run.name or run.id,
            dir=str(unfinished),
            config={name: _plain(value) for name, value in run.params.items()} | {"stackproof": about | times},
            reinit="create_new",
            settings=wandb.Settings(**_QUIET),
        )
        try:
            self._write_points(written, folder)
            self._write_artifacts(written, folder)
        finally:
            written.finish(exit_code=_EXIT_CODES[status])
        return Path(written.settings.sync_dir)

    def _write_points(self, written: Any, folder: Folder) -> None:
        axis = STEP if STEP not in folder.metrics else "stackproof/step"
        written.define_metric("*", step_metric=axis)
        for row in _rows(folder):
            values = {metric.name: metric.value for metric in row}
            written.log({**values, axis: row[0].step, "_timestamp": to_seconds(row[0].at)})
        written.summary.update(dict(folder.run().metrics))

    def _write_artifacts(self, written: Any, folder: Folder) -> None:
        for name, (artifact, place) in sorted(folder.artifacts.items()):
            kept = self._files / place
            metadata = {"name": name, "digest": artifact.digest}
            sent = self._library().Artifact(_artifact_name(name), type="artifact", metadata=metadata)
            if kept.is_dir():
                sent.add_dir(str(kept))
            else:
                sent.add_file(str(kept), name=Path(name).name)
            written.log_artifact(sent)

    def _library(self) -> Any:
        """The module `wandb`, set up by its own environment variables to keep everything below the home."""
        if self._wandb is None:
            folders = {
                f"WANDB_{kind.upper()}_DIR": str(self._home / "own" / kind) for kind in ("data", "cache", "config")
            }
            os.environ.update({"WANDB_ERROR_REPORTING": "false", **folders})
            try:
                self._wandb = import_module("wandb")
            except ModuleNotFoundError as missing:
                raise NotFound(
                    f"The adapter tracking.wandb needs the module {missing.name!r}, which is not installed",
                    next_command="pip install wandb",
                ) from missing
        return self._wandb


@contextmanager
def _mapped(wandb: Any) -> Iterator[None]:
    try:
        yield
    except (wandb.errors.CommError, TimeoutError) as error:
        raise Unavailable("wandb's own process does not answer", got=str(error)) from error
    except wandb.Error as error:
        raise StackproofError("wandb failed", got=str(error)) from error


def _rows(folder: Folder) -> Iterator[list[Metric]]:
    """Points of one step and instant together, as one call of `log` would have them; each metric in its order."""
    points = sorted((p for history in folder.metrics.values() for p in history), key=lambda p: (p.at, p.step))
    for _, together in groupby(points, key=lambda point: (point.at, point.step)):
        row: dict[str, Metric] = {}
        for point in together:
            if point.name in row:
                yield list(row.values())
                row = {}
            row[point.name] = point
        yield list(row.values())


def _plain(value: Param) -> Param:
    """wandb writes a float that is no number as null."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _artifact_name(name: str) -> str:
    """Letters, digits, "-", "_" and "." are all that one may have."""
    plain = re.sub(r"[^A-Za-z0-9_.-]", "_", name)
    return plain if plain == name and len(name) <= 100 else f"{plain[:80]}-{hashed(name)}"
