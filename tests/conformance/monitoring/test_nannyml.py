"""NannyML 0.13, in an environment of its own, keeps the contract of monitoring: drift, performance and its estimate."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import numpy as np
import polars as pl
import pytest

from stackproof.errors import RefusedInput, UnknownName
from stackproof.roles.monitoring import ColumnKind, Policy
from stackproof.testing.monitoring import MonitoringConformance

pytestmark = pytest.mark.tools
ROLE, TOOL = "monitoring", "nannyml"
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


@pytest.mark.usefixtures("in_its_own_environment")
class TestNannyml(MonitoringConformance):
    """One child serves all tests that share nothing: NannyML takes seconds to import."""

    @pytest.fixture
    def adapter(self, mostly_shared: Any) -> Any:
        return mostly_shared

    def test_an_alarm_of_unseen_values_says_so(self, adapter: Any, flights: Callable[..., pl.DataFrame]) -> None:
        adapter.start("unseen", flights(2000), COLUMNS, Policy(window=200, every=25))
        changed = flights(200, seed=2).with_columns(carrier=pl.col("carrier").str.to_lowercase())
        (finding,) = adapter.observe("unseen", changed)
        assert "unseen" in finding.test
        assert "unseen" in finding.effect

    def test_a_large_reference_with_an_outlier_is_compared_value_by_value(
        self, adapter: Any, flights: Callable[..., pl.DataFrame]
    ) -> None:
        """NannyML by itself would count 12 thousand values in bins between the least and the largest."""
        reference = flights(12_000)
        reference[0, "speed"] = 1e12
        adapter.start("outlier", reference, COLUMNS, Policy(window=200, every=25))
        assert adapter.observe("outlier", flights(400, seed=1)) == []
        changed = flights(200, seed=2).with_columns(speed=pl.col("speed") * 0.447)
        (finding,) = adapter.observe("outlier", changed)
        assert finding.column == "speed"
        assert 0.2 < finding.statistic < 1

    @pytest.mark.slow
    def test_streams_from_the_reference_keep_the_policy(
        self, adapter: Any, false_alarms: Callable[[Any, Policy], int]
    ) -> None:
        """400 thousand rows of which a policy of 100 false alarms per million allows 40 on average."""
        policy = Policy(false_alarms_per_million=100, window=100, every=100)
        assert false_alarms(adapter, policy) <= 40

    def test_the_estimate_is_what_nannyml_says_by_itself(self, adapter: Any, python: Path) -> None:
        chance = np.random.default_rng(1)
        known = chance.uniform(size=1000) ** 2
        labels = [bool(label) for label in chance.uniform(size=1000) < np.sqrt(known)]
        predictions = chance.uniform(0.2, 0.6, size=500)
        given = [known.tolist(), labels, predictions.tolist()]
        told = ran(python, BY_ITSELF, text=json.dumps(given))
        assert adapter.estimate(*given).auc == pytest.approx(told, abs=1e-12)


def test_its_own_users_find_plots_and_figures_of_each_alarm(
    made: Callable[..., Any], flights: Callable[..., pl.DataFrame], python: Path, tmp_path: Path
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


def test_reports_are_kept_of_the_looks_that_the_option_names(
    made: Callable[..., Any], flights: Callable[..., pl.DataFrame], tmp_path: Path
) -> None:
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
