"""Evidently 0.7, in an environment of its own, keeps the contract of monitoring: its capability "drift"."""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from stackproof.envs.bridge.bridging import bridged
from stackproof.errors import RefusedInput, UnknownName
from stackproof.roles.adapter import Setting
from stackproof.roles.monitoring import ColumnKind, Policy
from stackproof.testing.monitoring import MonitoringConformance

ADAPTER = "stackproof.adapters.monitoring.evidently:EvidentlyMonitoring"
NOTHING_STARTED = "test_a_name_that_was_not_started_is_not_found"
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
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def python(tool_python: Callable[[str], Path]) -> Path:
    return tool_python("evidently")


@pytest.fixture(scope="module")
def made(python: Path) -> Iterator[Callable[..., Any]]:
    """Adapters, each in a child of its own; those that are still open at the end are closed."""
    adapters = []

    def make(home: Path, **options: object) -> Any:
        setting = Setting(home, options)
        adapters.append(bridged("monitoring", "evidently", adapter=ADAPTER, python=python, setting=setting))
        return adapters[-1]

    yield make
    for adapter in adapters:
        adapter.close()


@pytest.fixture(scope="module")
def shared(made: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    return made(tmp_path_factory.mktemp("home"))


@pytest.mark.tools
class TestEvidently(MonitoringConformance):
    """One child serves all tests that share nothing: Evidently takes seconds to import."""

    @pytest.fixture(autouse=True)
    def _made(self, made: Callable[..., Any]) -> None:
        self.made = made

    @pytest.fixture
    def adapter(self, shared: Any, home: Path, request: pytest.FixtureRequest) -> Any:
        return self.make(home) if request.node.originalname == NOTHING_STARTED else shared

    def make(self, home: Path) -> Any:
        return self.made(home)

    def test_a_few_unseen_values_are_no_alarm_and_many_are(self, adapter: Any) -> None:
        adapter.start("unseen", flights(2000), COLUMNS, Policy(window=200, every=25))
        few, many = flights(200, seed=1), flights(200, seed=2)
        few[5, "carrier"], few[6, "carrier"] = "new", "newer"
        assert adapter.observe("unseen", few) == []
        (finding,) = adapter.observe("unseen", many.with_columns(carrier=pl.col("carrier").str.to_lowercase()))
        assert "unseen" in finding.test
        assert "unseen" in finding.effect

    def test_streams_from_the_reference_keep_the_policy(self, adapter: Any) -> None:
        """400 thousand rows of which a policy of 100 false alarms per million allows 40 on average."""
        policy, alarms = Policy(false_alarms_per_million=100, window=100, every=100), 0
        for seed in range(4):
            adapter.start("quiet", flights(2000, seed=seed), COLUMNS, policy)
            alarms += len(adapter.observe("quiet", flights(100_000, seed=100 + seed)))
        assert alarms <= 40

    def test_a_policy_that_cannot_be_kept_is_refused(self, adapter: Any) -> None:
        for policy in (Policy(false_alarms_per_million=0), Policy(window=0), Policy(every=0)):
            with pytest.raises(RefusedInput, match="policy"):
                adapter.start("flights", flights(10), COLUMNS, policy)
        with pytest.raises(RefusedInput, match="column"):
            adapter.start("flights", flights(10), {}, Policy())


@pytest.mark.tools
def test_its_own_users_find_a_report_of_each_alarm_in_the_workspace(
    made: Callable[..., Any], python: Path, tmp_path: Path
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


@pytest.mark.tools
def test_wrong_options_are_told(made: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="did you mean 'reports'"):
        made(tmp_path, report="all")
    with pytest.raises(RefusedInput, match="alarms, all, none"):
        made(tmp_path, reports="some")


def flights(count: int, seed: int = 0) -> pl.DataFrame:
    chance = np.random.default_rng(seed)
    carriers = chance.choice(["UA", "B6", "DL", "EV", "AA", "OO"], count, p=[0.4, 0.25, 0.2, 0.1, 0.04, 0.01])
    return pl.DataFrame({"speed": chance.gamma(4, 2.5, count).round(), "carrier": carriers})
