"""Weights & Biases offline, in an environment of its own, keeps the contract of tracking, but for a registry."""

import json
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from stackproof.errors import StackproofError, UnknownName
from stackproof.roles.tracking import Metric, RunStatus
from stackproof.testing.tracking import TrackingConformance

pytestmark = pytest.mark.tools

ROLE, TOOL = "tracking", "wandb"
AT = datetime(2026, 2, 3, 4, 5, 6, 789012, tzinfo=UTC)

READ = """
import json, struct, sys
from pathlib import Path
from wandb.proto.wandb_internal_pb2 import Record
def records(path):
    # wandb's log: a header of 7 bytes, then blocks of 32 KiB that hold pieces of records
    data, place, record = path.read_bytes(), 7, b""
    while place + 7 <= len(data):
        if 32768 - place % 32768 < 7:
            place += 32768 - place % 32768
            continue
        _, length, kind = struct.unpack("<IHB", data[place : place + 7])
        record += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):
            yield Record.FromString(record)
            record = b""
def named(items):
    return {".".join([item.key] if item.key else item.nested_key): json.loads(item.value_json) for item in items}
(path,) = Path(sys.argv[1]).glob("offline-run-*/*.wandb")
told = {"history": [], "artifacts": [], "summary": {}}
for record in records(path):
    kind = record.WhichOneof("record_type")
    if kind == "run":
        told["run"] = [record.run.project, record.run.run_id, record.run.display_name]
        told["config"] = named(record.run.config.update)
    elif kind == "history":
        told["history"].append({k: v for k, v in named(record.history.item).items() if k not in ("_runtime", "_step")})
    elif kind == "summary":
        told["summary"].update(named(record.summary.update))
    elif kind == "artifact":
        entries = [entry.path for entry in record.artifact.manifest.contents]
        told["artifacts"].append([record.artifact.name, record.artifact.type, entries])
    elif kind == "exit":
        told["exit"] = record.exit.exit_code
    elif kind == "metric":
        told["axis"] = [record.metric.glob_name, record.metric.step_metric]
print(json.dumps(told))
"""


@pytest.mark.usefixtures("in_its_own_environment")
class TestWandb(TrackingConformance):
    """On a home of its own, without options."""


def offline_run(python: Path, folder: Path) -> dict[str, Any]:
    done = subprocess.run([python, "-c", READ, str(folder)], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_an_ended_run_is_an_offline_run_as_wandbs_users_expect(
    tracking: Any, python: Path, home: Path, tmp_path: Path
) -> None:
    curve = tmp_path / "curve.txt"
    curve.write_text("curve")
    later = AT + timedelta(seconds=1)
    tracking.start_run("delays", run_id="run:01", name="first", tags={"owner": "ana"})
    tracking.log_params("run:01", {"depth": 3, "rate": 0.1, "kind": "tree", "fast": True, "none": None})
    tracking.log_metrics("run:01", [Metric("loss", 0.5, 0, AT), Metric("auc", 0.75, 0, AT)])
    tracking.log_metrics("run:01", [Metric("loss", 0.1 + 0.2, 7, later), Metric("loss", 0.25, -2, later)])
    tracking.log_artifact("run:01", "curve.txt", curve)
    tracking.end_run("run:01", RunStatus.FAILED)
    told = offline_run(python, home / "wandb")
    about = told["config"].pop("stackproof")
    assert (about["run"], about["experiment"], about["tags"], about["status"]) == (
        "run:01",
        "delays",
        {"owner": "ana"},
        "failed",
    )
    told["config"].pop("_wandb", None)
    assert told["config"] == {"depth": 3, "rate": 0.1, "kind": "tree", "fast": True, "none": None}
    assert told["run"] == ["delays", "01", "first"]
    assert told["axis"] == ["*", "step"]
    assert told["history"] == [
        {"loss": 0.5, "auc": 0.75, "step": 0, "_timestamp": AT.timestamp()},
        {"loss": 0.25, "step": -2, "_timestamp": later.timestamp()},
        {"loss": 0.1 + 0.2, "step": 7, "_timestamp": later.timestamp()},
    ]
    assert (told["summary"]["loss"], told["summary"]["auc"]) == (0.1 + 0.2, 0.75)
    assert told["artifacts"] == [["curve.txt", "artifact", ["curve.txt"]]]
    assert told["exit"] == 1


def test_strange_names_become_an_offline_run_all_the_same(tracking: Any, python: Path, home: Path) -> None:
    strange = "Größe/größer: 'x' 日本語 🚀 #%?"
    tracking.start_run(strange * 5, run_id=f"run:{strange}", name=strange, tags={strange: strange})
    tracking.log_params(f"run:{strange}", {strange: strange, "nan": float("nan")})
    tracking.log_metrics(f"run:{strange}", [Metric(strange, float("inf"), 0, AT), Metric("step", 1.0, 0, AT)])
    tracking.end_run(f"run:{strange}", RunStatus.FINISHED)
    told = offline_run(python, home / "wandb")
    assert told["config"][strange] == strange
    assert told["config"]["nan"] == "nan"
    assert told["config"]["stackproof"]["experiment"] == strange * 5
    assert told["axis"] == ["*", "stackproof/step"]
    assert told["history"][0][strange] == float("inf")


def test_a_run_that_did_not_end_is_kept_and_none_of_wandbs(
    tracking: Any, made: Callable[..., Any], python: Path, home: Path
) -> None:
    tracking.start_run("delays", run_id="run:01")
    tracking.log_metrics("run:01", [Metric("loss", 1.0, 0, AT)])
    tracking.flush()
    tracking.bridge.close()
    assert not (home / "wandb").exists()
    again = made(home)
    assert dict(again.get_run("run:01").metrics) == {"loss": 1.0}
    again.end_run("run:01", RunStatus.KILLED)
    assert offline_run(python, home / "wandb")["exit"] == 137


def test_a_run_has_not_ended_when_its_offline_run_could_not_be_made(
    made: Callable[..., Any], home: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    tracking = made(home, dir=str(tmp_path / "file"))
    tracking.start_run("delays", run_id="run:01")
    with pytest.raises(StackproofError):
        tracking.end_run("run:01", RunStatus.FINISHED)
    assert tracking.get_run("run:01").status is RunStatus.RUNNING
    (tmp_path / "file").unlink()
    assert tracking.end_run("run:01", RunStatus.FINISHED).status is RunStatus.FINISHED
    assert len(list((tmp_path / "file" / "wandb").iterdir())) == 1


def test_an_unknown_option_says_which_one_was_meant(made: Callable[..., Any], home: Path) -> None:
    with pytest.raises(UnknownName, match="did you mean 'entity'"):
        made(home, entitty="x")
