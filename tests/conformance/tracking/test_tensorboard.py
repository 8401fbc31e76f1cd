"""TensorBoard, in an environment of its own, keeps the contract of tracking, but for a registry."""

import json
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from stackproof.errors import Conflict, Corrupted, NotFound, RefusedInput, UnknownName
from stackproof.roles.tracking import Metric, RunStatus
from stackproof.testing.tracking import TrackingConformance

pytestmark = pytest.mark.tools

ROLE, TOOL = "tracking", "tensorboard"
AT = datetime(2026, 2, 3, 4, 5, 6, 789012, tzinfo=UTC)

READ = """
import json, sys
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins.hparams import metadata
logs = EventMultiplexer().AddRunsFromDirectory(sys.argv[1])
logs.Reload()
provider = MultiplexerDataProvider(logs, sys.argv[1])
context = RequestContext()
found = provider.read_scalars(context, experiment_id="", plugin_name="scalars", downsample=1000)
hparams = provider.list_tensors(context, experiment_id="", plugin_name="hparams")
start = {
    run: {
        name: getattr(value, value.WhichOneof("kind"))
        for name, value in metadata.parse_session_start_info_plugin_data(
            tags[metadata.SESSION_START_INFO_TAG].plugin_content).hparams.items()
    }
    for run, tags in hparams.items()
}
end = metadata.parse_session_end_info_plugin_data
texts = provider.list_tensors(context, experiment_id="", plugin_name="text")
print(json.dumps({
    "scalars": {run: {tag: [[p.step, p.value, p.wall_time] for p in points] for tag, points in tags.items()}
                for run, tags in found.items()},
    "hparams": start,
    "status": {run: end(tags[metadata.SESSION_END_INFO_TAG].plugin_content).status for run, tags in hparams.items()},
    "texts": {run: sorted(tags) for run, tags in texts.items()},
}))
"""

WRITE = """
import sys
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter
for part, steps in enumerate([(0, 1), (2,)]):
    writer = EventFileWriter(sys.argv[1], filename_suffix=f".{part}")
    for step in steps:
        value = Summary.Value(tag="loss", simple_value=1 / 4 ** step)
        writer.add_event(Event(wall_time=1700000000 + step, step=step, summary=Summary(value=[value])))
    writer.close()
"""


@pytest.mark.usefixtures("in_its_own_environment")
class TestTensorBoard(TrackingConformance):
    """On a home of its own, without options."""


@pytest.fixture
def logdir(tmp_path: Path) -> Path:
    return tmp_path / "logs"


@pytest.fixture
def tracking(made: Callable[..., Any], home: Path, logdir: Path) -> Any:
    return made(home, logdir=str(logdir))


def in_its_environment(python: Path, code: str, folder: Path) -> str:
    done = subprocess.run([python, "-c", code, str(folder)], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_tensorboard_itself_shows_scalars_hyperparameters_and_the_end_of_a_run(
    tracking: Any, python: Path, logdir: Path
) -> None:
    tracking.start_run("delays", run_id="run:01", name="first", tags={"owner": "ana"})
    tracking.log_params("run:01", {"depth": 3, "kind": "tree", "fast": True, "none": None})
    tracking.log_metrics("run:01", [Metric("loss", 0.1 + 0.2, 0, AT), Metric("loss", 0.25, 1, AT)])
    tracking.log_params("run:01", {"rate": 0.1})
    tracking.end_run("run:01", RunStatus.FINISHED)
    shown = json.loads(in_its_environment(python, READ, logdir).splitlines()[-1])
    at = AT.timestamp()
    assert shown == {
        "scalars": {"delays/01": {"loss": [[0, 0.1 + 0.2, at], [1, 0.25, at]]}},
        "hparams": {"delays/01": {"depth": 3.0, "kind": "tree", "fast": True, "none": "None", "rate": 0.1}},
        "status": {"delays/01": 1},
        "texts": {"delays/01": ["stackproof/end", "stackproof/params", "stackproof/run"]},
    }


def test_event_files_that_others_wrote_are_read_and_not_written(tracking: Any, python: Path, logdir: Path) -> None:
    in_its_environment(python, WRITE, logdir / "theirs" / "deep" / "train")
    run = tracking.get_run("run:theirs/deep/train")
    assert (run.experiment, run.name, run.status) == ("theirs/deep", "train", RunStatus.RUNNING)
    assert dict(run.metrics) == {"loss": 0.0625}
    history = tracking.metric_history(run.id, "loss")
    assert [(point.step, point.value) for point in history] == [(0, 1.0), (1, 0.25), (2, 0.0625)]
    assert history[0].at == datetime.fromtimestamp(1700000000, UTC)
    assert tracking.search_runs("theirs/deep") == [run]
    with pytest.raises(Conflict, match="only reads"):
        tracking.set_tags(run.id, {"a": "1"})
    with pytest.raises(NotFound):
        tracking.get_run("run:../logs/theirs/deep/train")


def test_a_record_that_a_killed_writer_left_torn_is_written_over(tracking: Any, logdir: Path) -> None:
    tracking.start_run("delays", run_id="run:01")
    tracking.log_metrics("run:01", [Metric("loss", 1.0, 0, AT)])
    (file,) = (logdir / "delays" / "01").iterdir()
    with file.open("ab") as torn:
        torn.write(file.read_bytes()[-30:-10][:7])
    tracking.log_metrics("run:01", [Metric("loss", 2.0, 1, AT)])
    tracking.end_run("run:01", RunStatus.FINISHED)
    assert [point.value for point in tracking.metric_history("run:01", "loss")] == [1.0, 2.0]


def test_a_damaged_event_file_is_reported(
    tracking: Any, made: Callable[..., Any], tmp_path: Path, logdir: Path
) -> None:
    tracking.start_run("delays", run_id="run:01", tags={"owner": "a name to be found"})
    (file,) = (logdir / "delays" / "01").iterdir()
    file.write_bytes(file.read_bytes().replace(b"a name to be found", b"a name to be bound"))
    other = made(tmp_path / "other", logdir=str(logdir))
    with pytest.raises(Corrupted, match="damaged"):
        other.get_run("run:01")


def test_names_that_tensorboard_or_this_adapter_uses_are_refused(tracking: Any) -> None:
    tracking.start_run("delays", run_id="run:01")
    for name in ("stackproof/run", "_hparams_/session_start_info"):
        with pytest.raises(RefusedInput):
            tracking.log_metrics("run:01", [Metric(name, 1.0, 0, AT)])
    assert dict(tracking.get_run("run:01").metrics) == {}


def test_long_and_strange_identifiers_are_folders_and_come_back(tracking: Any, logdir: Path) -> None:
    names = ["run:" + "x" * 500, "run:../up", "run:.", "run:a/b", "run:Ünï 日本 [1]*?", "run:nul\0"]
    for name in names:
        tracking.start_run(name, run_id=name)
    assert sorted(run.id for run in tracking.search_runs()) == sorted(names)
    assert all(tracking.get_run(name).experiment == name for name in names)
    assert all(len(path.relative_to(logdir).parts) == 3 for path in logdir.rglob("*tfevents*"))


def test_an_unknown_option_says_which_one_was_meant(made: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="did you mean 'logdir'"):
        made(tmp_path, log_dir="x")
