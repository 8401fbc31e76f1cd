"""A tool's server that is killed in the middle of a run: one clear end, nothing recorded twice, nothing lost."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.tools

Stackproof = Callable[..., "subprocess.CompletedProcess[str]"]

PROJECT = """
import json
import os
import signal
from pathlib import Path

import polars as pl
import stackproof as sp

project = sp.Project("tiny", __file__)


@project.dataset()
def rows() -> pl.DataFrame:
    return pl.DataFrame({"x": [1.0, 2.0, 3.0]})


@project.step
def counted(rows: pl.DataFrame, run: sp.Run) -> dict[str, float]:
    for step in range(50):
        run.log_metrics({"before": float(step)}, step=step)
    victim = Path("kill.json")
    if victim.exists():
        os.kill(json.loads(victim.read_text()), signal.SIGKILL)
        victim.unlink()
    for step in range(50):
        run.log_metrics({"after": float(step)}, step=step)
    return {"sum": rows["x"].sum()}


train = project.pipeline("train", [counted])
"""


def servers(stackproof: Stackproof, folder: Path) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in json.loads(stackproof("status", "--format", "json", cwd=folder).stdout)}


def test_a_run_outlives_its_tracking_server_or_says_so_and_nothing_is_there_twice(
    stackproof: Stackproof, tmp_path: Path
) -> None:
    (tmp_path / "tiny.py").write_text(PROJECT)
    (tmp_path / "stack.toml").write_text('schema = 1\nproject = "tiny"\n[roles.tracking]\ntool = "mlflow"\n')
    applied = stackproof("apply", cwd=tmp_path)
    assert applied.returncode == 0, applied.stderr
    up = stackproof("up", cwd=tmp_path)
    try:
        assert up.returncode == 0, up.stdout + up.stderr
        before = servers(stackproof, tmp_path)["mlflow"]
        (tmp_path / "kill.json").write_text(json.dumps(before["pid"]))
        first = stackproof("run", "train", "--format", "json", cwd=tmp_path)
        assert "Traceback" not in first.stderr
        if first.returncode != 0:
            assert first.returncode == 4
            assert len(first.stderr.strip().splitlines()) == 1, first.stderr
        assert stackproof("up", cwd=tmp_path).returncode == 0
        after = servers(stackproof, tmp_path)["mlflow"]
        assert (after["url"], after["pid"] != before["pid"]) == (before["url"], True)
        second = stackproof("run", "train", "--format", "json", cwd=tmp_path)
        assert second.returncode == 0, second.stderr
        told = {run["id"]: run for run in json.loads(stackproof("runs", "--format", "json", cwd=tmp_path).stdout)}
        assert len(told) == 2
        finished = [run for run in told.values() if run["status"] == "finished"]
        assert len(finished) == (2 if first.returncode == 0 else 1)
        assert {run["status"] for run in told.values()} <= {"finished", "failed"}
        for run in finished:
            assert run["metrics"] == {"before": 49.0, "after": 49.0}
            for name in ("before", "after"):
                assert points(tmp_path, run["id"], name) == [float(step) for step in range(50)]
    finally:
        stackproof("down", cwd=tmp_path)


def points(folder: Path, run_id: str, name: str) -> list[float]:
    """What MLflow's own database holds of a metric of a run, in the order of the steps."""
    import sqlite3
    from contextlib import closing

    query = (
        "SELECT metrics.value FROM metrics JOIN tags USING (run_uuid)"
        " WHERE tags.key = 'stackproof.run' AND tags.value = ? AND metrics.key = ? ORDER BY step"
    )
    database = folder / ".stackproof" / "tools" / "tracking-mlflow" / "mlflow.db"
    with closing(sqlite3.connect(database)) as connection:
        return [value for (value,) in connection.execute(query, (run_id, name))]
