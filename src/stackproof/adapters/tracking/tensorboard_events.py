"""Records of event files: TensorBoard's own messages, framed as its own writer frames them.

What TensorBoard has no field for is a text summary below "stackproof/", which its text dashboard shows.
"""

import json
import struct
import sys
from collections.abc import Iterator, Mapping
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any

from stackproof.adapters.tracking.journal_folder import from_seconds, to_seconds
from stackproof.errors import Corrupted, NotFound
from stackproof.roles.tracking import Metric, Param, RunStatus

NOTES = "stackproof/"
HPARAMS = "_hparams_/"
_VERSION = "brain.Event:2"
_STATUSES = {RunStatus.FINISHED: 1, RunStatus.FAILED: 2, RunStatus.KILLED: 2}
_PARTS = (
    "compat.proto.event_pb2",
    "compat.proto.summary_pb2",
    "compat.proto.tensor_pb2",
    "compat.proto.tensor_shape_pb2",
    "compat.proto.types_pb2",
    "compat.tensorflow_stub.pywrap_tensorflow",
    "plugins.scalar.metadata",
    "plugins.text.metadata",
    "plugins.hparams.metadata",
    "plugins.hparams.plugin_data_pb2",
    "util.tensor_util",
)


class Events:
    """Makes and reads records. Raises `NotFound` when TensorBoard is not installed."""

    def __init__(self) -> None:
        try:
            modules = [import_module(f"tensorboard.{part}") for part in _PARTS]
        except ModuleNotFoundError as missing:
            raise NotFound(
                f"The adapter tracking.tensorboard needs the module {missing.name!r}, which is not installed",
                next_command="pip install tensorboard",
            ) from missing
        (self._event, self._summary, self._tensor, self._shape, self._types) = modules[:5]
        (self._framing, self._scalar, self._text, self._hparams, self._hparams_data, self._tensors) = modules[5:]
        self._scalar_metadata = self._scalar.create_summary_metadata(display_name="", description="")
        self._text_metadata = self._text.create_summary_metadata(display_name="", description="")

    # writing

    def first(self, at: datetime) -> bytes:
        """What every event file begins with."""
        source = self._event.SourceMetadata(writer="stackproof")
        event = self._event.Event(wall_time=to_seconds(at), file_version=_VERSION, source_metadata=source)
        return self._framed(event)

    def point(self, metric: Metric) -> bytes:
        """A scalar, with all its digits: TensorBoard's own writers round to 32 bits."""
        return self._valued(metric.name, self._types.DT_DOUBLE, metric, double_val=[float(metric.value)])

    def note(self, name: str, at: datetime, content: Mapping[str, Any]) -> bytes:
        """A text summary "stackproof/name" that holds `content` as JSON."""
        text = json.dumps(content, ensure_ascii=False)
        tensor = self._tensor.TensorProto(
            dtype=self._types.DT_STRING, string_val=[text.encode()], tensor_shape=self._shape.TensorShapeProto()
        )
        return self._summarised(NOTES + name, tensor, self._text_metadata, to_seconds(at), 0)

    def hyperparameters(self, started_at: datetime, params: Mapping[str, Param], group: str) -> bytes:
        """What the dashboard of hyperparameters shows of a run."""
        data = self._hparams_data.SessionStartInfo(group_name=group, start_time_secs=to_seconds(started_at))
        for name, value in params.items():
            if isinstance(value, bool):
                data.hparams[name].bool_value = value
            elif isinstance(value, (int, float)) and abs(value) <= sys.float_info.max:
                data.hparams[name].number_value = float(value)
            else:
                data.hparams[name].string_value = str(value)
        content = self._hparams_data.HParamsPluginData(session_start_info=data)
        return self._about_session("session_start_info", content, started_at)

    def ending(self, ended_at: datetime, status: RunStatus) -> bytes:
        data = self._hparams_data.SessionEndInfo(status=_STATUSES[status], end_time_secs=to_seconds(ended_at))
        content = self._hparams_data.HParamsPluginData(session_end_info=data)
        return self._about_session("session_end_info", content, ended_at)

    def _about_session(self, name: str, content: Any, at: datetime) -> bytes:
        metadata = self._hparams.create_summary_metadata(content)
        return self._summarised(HPARAMS + name, self._hparams.NULL_TENSOR, metadata, to_seconds(at), 0)

    def _valued(self, tag: str, kind: int, metric: Metric, **values: Any) -> bytes:
        shape = self._shape.TensorShapeProto()
        tensor = self._tensor.TensorProto(dtype=kind, tensor_shape=shape, **values)
        return self._summarised(tag, tensor, self._scalar_metadata, to_seconds(metric.at), metric.step)

    def _summarised(self, tag: str, tensor: Any, metadata: Any, wall_time: float, step: int) -> bytes:
        value = self._summary.Summary.Value(tag=tag, tensor=tensor, metadata=metadata)
        summary = self._summary.Summary(value=[value])
        return self._framed(self._event.Event(wall_time=wall_time, step=step, summary=summary))

    def _framed(self, event: Any) -> bytes:
        data: bytes = event.SerializeToString()
        header = struct.pack("<Q", len(data))
        return header + self._check(header) + data + self._check(data)

    def _check(self, data: bytes) -> bytes:
        return struct.pack("<I", self._framing.masked_crc32c(data))

    # reading

    def read(self, path: Path, offset: int) -> Iterator[tuple[int, Any]]:
        """Events from the byte `offset`, each with the offset behind it. A last one that is not whole is not there yet.

        Raises `Corrupted`.
        """
        with path.open("rb") as file:
            file.seek(offset)
            data = file.read()
        place = 0
        while place + 12 <= len(data):
            header = data[place : place + 8]
            (length,) = struct.unpack("<Q", header)
            end = place + 12 + length + 4
            if data[place + 8 : place + 12] != self._check(header):
                raise _damaged(path, offset + place)
            if end > len(data):
                return
            content = data[place + 12 : end - 4]
            if data[end - 4 : end] != self._check(content):
                raise _damaged(path, offset + place)
            yield offset + end, self._event.Event.FromString(content)
            place = end

    def wall_time(self, event: Any) -> float:
        seconds: float = event.wall_time
        return seconds

    def points(self, event: Any) -> Iterator[Metric]:
        """The scalars of an event, whoever wrote it. Those without a plugin's name are scalars of old writers."""
        at = from_seconds(event.wall_time)
        for value in event.summary.value:
            if value.WhichOneof("value") == "simple_value":
                yield Metric(value.tag, value.simple_value, event.step, at)
            elif value.metadata.plugin_data.plugin_name == "scalars" and value.HasField("tensor"):
                yield Metric(value.tag, self._number(value.tensor), event.step, at)

    def _number(self, tensor: Any) -> float:
        if tensor.dtype == self._types.DT_DOUBLE and len(tensor.double_val) == 1:
            return float(tensor.double_val[0])
        return float(self._tensors.make_ndarray(tensor).item())

    def notes(self, event: Any) -> Iterator[tuple[str, dict[str, Any]]]:
        """What `note` wrote: name and content."""
        for value in event.summary.value:
            if value.tag.startswith(NOTES) and value.metadata.plugin_data.plugin_name == "text":
                yield value.tag.removeprefix(NOTES), json.loads(value.tensor.string_val[0])

    def session(self, event: Any) -> Iterator[tuple[str, Any]]:
        """What the dashboard of hyperparameters was told: "session_start_info" or "session_end_info"."""
        for value in event.summary.value:
            if value.metadata.plugin_data.plugin_name == "hparams":
                data = self._hparams_data.HParamsPluginData.FromString(value.metadata.plugin_data.content)
                kind = data.WhichOneof("data")
                if kind in ("session_start_info", "session_end_info"):
                    yield kind, getattr(data, kind)


def _damaged(path: Path, offset: int) -> Corrupted:
    return Corrupted("An event file is damaged", got=f"{path}, byte {offset}", next_command="restore it from a backup")
