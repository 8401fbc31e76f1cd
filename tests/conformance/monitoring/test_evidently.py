"""Evidently 0.7, in an environment of its own, keeps the contract of monitoring: its capability "drift"."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from stackproof.errors import RefusedInput, UnknownName
from stackproof.roles.monitoring import ColumnKind, Policy
from stackproof.testing.monitoring import MonitoringConformance

ROLE, TOOL = "monitoring", "evidently"
COLUMNS = {"speed": ColumnKind.NUMERIC, "carrier": ColumnKind.CATEGORICAL}
READ_BACK = """
import json, sys
from evidently.ui.workspace import Workspace

def configurations(run):
    return [result.metric_value_location.metric for result in run.metric_results.values()]


workspace, told = Workspace(sys.argv[1]), {}
for project in workspace.list_projects():
    runs = [workspace.get_run(project.id, run) for run in workspace.list_runs(project.id)]
    told[project.name] = [
        [run.name, run.tags, run.metadata, [c.params.get("column") for c in configurations(run)]] for run in runs
    ]
    told[f"dashboard of {project.name}"] = {
        panel.title: [[value.metric.rpartition(":")[2], value.legend] for value in panel.values]
        for panel in project.dashboard.model().panels
    }
print(json.dumps(told))
"""


@pytest.mark.tools
@pytest.mark.usefixtures("in_its_own_environment")
class TestEvidently(MonitoringConformance):
    """One child serves all tests that share nothing: Evidently takes seconds to import."""

    @pytest.fixture
    def adapter(self, mostly_shared: Any) -> Any:
        return mostly_shared

    def test_an_alarm_of_unseen_values_says_so(self, adapter: Any, flights: Callable[..., pl.DataFrame]) -> None:
        adapter.start("unseen", flights(2000), COLUMNS, Policy(window=200, every=25))
        changed = flights(200, seed=2).with_columns(carrier=pl.col("carrier").str.to_lowercase())
        (finding,) = adapter.observe("unseen", changed)
        assert "unseen" in finding.test
        assert "unseen" in finding.effect

    def test_streams_from_the_reference_keep_the_policy(
        self, adapter: Any, false_alarms: Callable[[Any, Policy], int]
    ) -> None:
        """400 thousand rows of which a policy of 100 false alarms per million allows 40 on average."""
        policy = Policy(false_alarms_per_million=100, window=100, every=100)
        assert false_alarms(adapter, policy) <= 40


@pytest.mark.tools
def test_its_own_users_find_a_report_of_each_alarm_in_the_workspace(
    made: Callable[..., Any], flights: Callable[..., pl.DataFrame], python: Path, tmp_path: Path
) -> None:
    adapter = made(tmp_path)
    adapter.start("flights é/..", flights(2000), COLUMNS, Policy(window=200, every=25))
    changed = flights(200, seed=2).with_columns(speed=pl.col("speed") * 0.447)
    (finding,) = adapter.observe("flights é/..", pl.concat([flights(400, seed=1), changed]))
    told = subprocess.run(
        [str(python), "-W", "ignore", "-c", READ_BACK, str(tmp_path / "workspace")],
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(told.stdout.splitlines()[-1])
    ((name, tags, metadata, columns),) = found["flights é/.."]
    assert name == f"flights é/.., rows {finding.first} to {finding.last}"
    assert tags == ["alarm"]
    assert metadata["speed"] == f"{finding.test}: {finding.effect}"
    assert {"speed", "carrier"} <= set(columns)
    assert found["dashboard of flights é/.."] == {
        "Share of drifted columns": [["DriftedColumnsCount", "share"]],
        "p-value of each column": [["ValueDrift", "speed"], ["ValueDrift", "carrier"]],
    }


@pytest.mark.tools
def test_wrong_options_are_told(made: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="did you mean 'reports'"):
        made(tmp_path, report="all")
    with pytest.raises(RefusedInput, match="alarms, all, none"):
        made(tmp_path, reports="some")
