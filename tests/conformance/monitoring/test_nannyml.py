"""NannyML 0.13, in an environment of its own, keeps the contract of monitoring: drift, performance and its estimate."""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import numpy as np
import polars as pl
import pytest

from stackproof.envs.bridge.bridging import bridged
from stackproof.errors import RefusedInput, UnknownName
from stackproof.roles.adapter import Setting
from stackproof.roles.monitoring import ColumnKind, Policy
from stackproof.testing.monitoring import MonitoringConformance

pytestmark = pytest.mark.tools
ADAPTER = "stackproof.adapters.monitoring.nannyml:NannymlMonitoring"
NOTHING_STARTED = "test_a_name_that_was_not_started_is_not_found"
COLUMNS = {"speed": ColumnKind.NUMERIC, "carrier": ColumnKind.CATEGORICAL}
BY_ITSELF = """
import json, os, sys, warnings

os.environ["NML_DISABLE_USAGE_LOGGING"] = "1"
warnings.simplefilter("ignore")
import nannyml as nml
import pandas as pd

known, labels, predictions = json.load(sys.stdin)
names = {"y_pred_proba": "p", "y_pred": "said", "y_true": "y"}
estimator = nml.CBPE(metrics=["roc_auc"], problem_type="classification_binary", chunk_number=1, **names)
reference = pd.DataFrame({"p": known, "y": labels})
analysis = pd.DataFrame({"p": predictions})
for frame in (reference, analysis):
    frame["said"] = (frame["p"] >= 0.5).astype(int)
told = estimator.fit(reference.astype({"y": int})).estimate(analysis).filter(period="analysis").to_df()
print(json.dumps(float(told["roc_auc", "value"].iloc[0])))
"""
READ_BACK = """
import json, sys
import pandas as pd

print(json.dumps({path: pd.read_parquet(path).to_dict("list") for path in sys.argv[1:]}, default=str))
"""


@pytest.fixture(scope="module")
def python(tool_python: Callable[[str], Path]) -> Path:
    return tool_python("nannyml")


@pytest.fixture(scope="module")
def made(python: Path) -> Iterator[Callable[..., Any]]:
    """Adapters, each in a child of its own; those that are still open at the end are closed."""
    adapters = []

    def make(home: Path, **options: object) -> Any:
        setting = Setting(home, options)
        adapters.append(bridged("monitoring", "nannyml", adapter=ADAPTER, python=python, setting=setting))
        return adapters[-1]

    yield make
    for adapter in adapters:
        adapter.close()


@pytest.fixture(scope="module")
def shared(made: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    return made(tmp_path_factory.mktemp("home"))


class TestNannyml(MonitoringConformance):
    """One child serves all tests that share nothing: NannyML takes seconds to import."""

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

    def test_a_large_reference_with_an_outlier_is_compared_value_by_value(self, adapter: Any) -> None:
        """NannyML by itself would count 12 thousand values in bins between the least and the largest."""
        reference = flights(12_000)
        reference[0, "speed"] = 1e12
        adapter.start("outlier", reference, COLUMNS, Policy(window=200, every=25))
        assert adapter.observe("outlier", flights(400, seed=1)) == []
        changed = flights(200, seed=2).with_columns(speed=pl.col("speed") * 0.447)
        (finding,) = adapter.observe("outlier", changed)
        assert finding.column == "speed"
        assert 0.2 < finding.statistic < 1

    def test_the_first_row_alone_is_no_alarm_however_large_the_reference(self, adapter: Any) -> None:
        reference = flights(20_000)
        adapter.start("first", reference, COLUMNS, Policy(window=50, every=1))
        largest = reference.select(pl.col("speed").max() + 1.0, carrier=pl.lit("UA"))
        assert adapter.observe("first", largest) == []

    @pytest.mark.slow
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

    def test_the_estimate_is_what_nannyml_says_by_itself(self, adapter: Any, python: Path) -> None:
        chance = np.random.default_rng(1)
        known = chance.uniform(size=1000) ** 2
        labels = [bool(label) for label in chance.uniform(size=1000) < np.sqrt(known)]
        predictions = chance.uniform(0.2, 0.6, size=500)
        given = [known.tolist(), labels, predictions.tolist()]
        told = ran(python, BY_ITSELF, text=json.dumps(given))
        assert adapter.estimate(*given).auc == pytest.approx(told, abs=1e-12)


def test_its_own_users_find_plots_and_figures_of_each_alarm(
    made: Callable[..., Any], python: Path, tmp_path: Path
) -> None:
    adapter = made(tmp_path)
    adapter.start("flights é/..", flights(2000), COLUMNS, Policy(window=200, every=25))
    assert adapter.link("deployment:flights é/..@3", "") == ""
    changed = flights(200, seed=2).with_columns(speed=pl.col("speed") * 0.447)
    (finding,) = adapter.observe("flights é/..", pl.concat([flights(400, seed=1), changed]))
    page = Path(url2pathname(urlsplit(adapter.link("deployment:flights é/..@3", "")).path))
    assert page.is_relative_to(tmp_path)
    assert page.name == f"rows-{finding.first}-{finding.last}-drift.html"
    assert "Kolmogorov-Smirnov statistic for <b>speed</b>" in page.read_text().encode().decode("unicode_escape")
    assert (page.parent / "plotly.min.js").stat().st_size > 1_000_000
    figures = ran(python, READ_BACK, *sorted(map(str, page.parent.glob("*.parquet"))))
    assert [Path(path).stem.rpartition("-")[2] for path in figures] == ["drift", "missing"]
    drift = figures[str(page.with_suffix(".parquet"))]
    assert drift["chunk_period"] == ["reference"] * 10 + ["analysis"]
    assert drift["speed_kolmogorov_smirnov_value"][-1] == pytest.approx(finding.statistic)
    assert drift["speed_kolmogorov_smirnov_alert"][-1] is True


def test_reports_are_kept_of_the_looks_that_the_option_names(made: Callable[..., Any], tmp_path: Path) -> None:
    for reports, pages in (("none", 0), ("all", 2)):
        home = tmp_path / reports
        home.mkdir()
        adapter = made(home, reports=reports)
        adapter.start("flights", flights(500), COLUMNS, Policy(window=100, every=50))
        adapter.observe("flights", flights(100, seed=1).with_columns(speed=pl.col("speed") * 9))
        assert len(list(home.glob("reports/*/*-drift.html"))) == pages


def test_wrong_options_are_told(made: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="did you mean 'reports'"):
        made(tmp_path, report="all")
    with pytest.raises(RefusedInput, match="alarms, all, none"):
        made(tmp_path, reports="some")


def ran(python: Path, code: str, *arguments: str, text: str = "") -> Any:
    """What the code prints as JSON, run with the tool's interpreter."""
    command = [str(python), "-W", "ignore", "-c", code, *arguments]
    told = subprocess.run(command, input=text, capture_output=True, text=True, check=True)
    return json.loads(told.stdout.splitlines()[-1])


def flights(count: int, seed: int = 0) -> pl.DataFrame:
    chance = np.random.default_rng(seed)
    carriers = chance.choice(["UA", "B6", "DL", "EV", "AA", "OO"], count, p=[0.4, 0.25, 0.2, 0.1, 0.04, 0.01])
    return pl.DataFrame({"speed": chance.gamma(4, 2.5, count).round(), "carrier": carriers})
