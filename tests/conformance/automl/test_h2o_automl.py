"""H2O's AutoML keeps the contract of `automl`, and its own client finds the leader and predicts the same."""

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import polars as pl
import pytest

from stackproof.adapters.automl.columns import read_examples
from stackproof.adapters.automl.h2o_automl import H2oAutoml
from stackproof.adapters.automl.h2o_automl_run import ALGORITHMS
from stackproof.errors import NotCapable, RefusedInput, Unavailable
from stackproof.roles.automl import Candidate, Problem
from stackproof.roles.serving import Signature
from stackproof.testing.automl import BINARY, AutoMLConformance, search

pytestmark = pytest.mark.tools
ROLE, TOOL = "automl", "h2o-automl"
LITTLE_MEMORY = {"memory_gb": 1}


@pytest.fixture
def usual_options() -> Mapping[str, object]:
    return LITTLE_MEMORY


@pytest.fixture(scope="module")
def shared(made_to_last: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    return made_to_last(tmp_path_factory.mktemp("home"), **LITTLE_MEMORY)


@pytest.mark.usefixtures("in_its_own_environment")
class TestH2oAutoml(AutoMLConformance):
    """One child serves all tests that share nothing: H2O's server takes seconds to start."""

    deviations = H2oAutoml.deviations

    @pytest.fixture
    def adapter(self, shared: Any) -> Any:
        return shared


def timetable(rows: int = 600) -> pl.DataFrame:
    """Names that H2O could misread, many categories, and missing values; `late` and `delay` follow from it."""
    source = random.Random(8)
    airports = [f"airport {number}" for number in range(40)] + [
        "",
        "NA",
        "a,b",
        'say "x"',
        "a\nb",
        "Ω.1",
        "missing(NA)",
    ]
    slow = set(source.sample(airports, 20))
    records = []
    for _ in range(rows):
        origin, wind, night = source.choice(airports), source.gauss(0, 1), source.random() < 0.4
        delay = 3 * wind + (6 if origin in slow else 0) * (1 if night else -1) + source.gauss(0, 0.5)
        missing = source.random()
        records.append(
            {
                'the "origin", quoted': None if missing < 0.1 else origin,
                "wind\n": None if 0.1 < missing < 0.25 else wind * 1e4,
                "": None if missing > 0.9 else night,
                "delay": delay,
                "late": delay > 0,
            }
        )
    return pl.DataFrame(records)


TIMETABLE = timetable()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("problem", list(Problem))
def test_a_leader_of_each_kind_is_served_as_it_predicts_in_h2o(
    made: Callable[..., Any], tmp_path: Path, algorithm: str, problem: Problem
) -> None:
    adapter = made(tmp_path, algorithms=algorithm, most_models=2)
    target, other = ("late", "delay") if problem is Problem.BINARY else ("delay", "late")
    leaderboard = search(
        adapter, TIMETABLE.drop(other), tmp_path / "package", target=target, problem=problem, budget_s=120
    )
    adapter.close()
    best = leaderboard.candidates[0]
    assert best.score is not None
    assert best.params
    assert not [candidate.note for candidate in leaderboard.candidates if "not served" in candidate.note]


READ = """
import json, sys
import h2o
h2o.connect(url=sys.argv[1], verbose=False, strict_version_check=False)
h2o.no_progress()
(model,) = [h2o.load_model(path) for path in sys.argv[2:]]
names = [row[0] for row in h2o.ls().values.tolist()]
(key,) = [name for name in names if name.startswith("stackproof_") and name.endswith("_table")]
table = h2o.get_frame(key)
told = model.predict(table)["true"].as_data_frame(use_pandas=False, header=False)
print(json.dumps({
    "model": model.model_id,
    "types": table.types,
    "levels": table["origin"].levels()[0],
    "rows": table.nrows,
    "predicted": [float(value) for value, in told],
}))
"""


def test_its_own_client_finds_the_table_and_the_leader_and_predicts_the_same(
    made: Callable[..., Any], python: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    adapter = made(home)
    leaderboard = search(adapter, BINARY, tmp_path / "package", budget_s=0.0)
    url = adapter.health().detail.rpartition(" ")[2]
    saved = [str(path) for path in (home / "models").iterdir()]
    told = subprocess.run([str(python), "-c", READ, url, *saved], capture_output=True, text=True, check=True)
    found = json.loads(next(line for line in told.stdout.splitlines() if line.startswith("{")))
    assert found["model"] == leaderboard.candidates[0].name
    assert found["types"] == {"wind": "real", "stops": "int", "origin": "enum", "holiday": "int", "late": "enum"}
    assert found["levels"] == ["JFK", "Zürich", "北京"]
    session = onnxruntime.InferenceSession(tmp_path / "package" / Signature.read(tmp_path / "package").file)
    matrix = read_examples(BINARY, "late", Problem.BINARY).matrix.astype(np.float32)
    ours = session.run(None, {"input": matrix})[0][:, 0]
    assert found["rows"] == len(ours)
    assert np.abs(ours - np.array(found["predicted"])).max() < 1e-4
    adapter.close()


def processes_of(home: Path) -> list[int]:
    """Those that name this home in their command."""
    told = subprocess.run(["ps", "-ww", "-eo", "pid=,args="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 1) for line in told.splitlines()]
    return [int(pid) for pid, command in rows if str(home) in command and "h2o.jar" in command]


def unpacked() -> set[Path]:
    """What H2O's libraries have unpacked for Java where all may write."""
    return set(Path("/tmp").glob("libxgboost4j*"))  # Java's own default


def are_gone_soon(home: Path) -> bool:
    until = time.monotonic() + 20
    while processes_of(home) and time.monotonic() < until:
        time.sleep(0.2)
    return not processes_of(home)


def test_a_closed_adapter_leaves_no_server_and_only_logs_and_the_leader(
    made: Callable[..., Any], tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    adapter = made(home)
    before = unpacked()
    search(adapter, BINARY, tmp_path / "package", budget_s=0.0)
    assert processes_of(home)
    adapter.close()
    assert not processes_of(home)
    assert unpacked() <= before
    assert sorted(path.name for path in home.iterdir()) == ["logs", "models", "server.log"]


def test_no_server_outlives_a_killed_adapter(made: Callable[..., Any], tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    adapter = made(home)
    search(adapter, BINARY, tmp_path / "package", budget_s=0.0)
    assert processes_of(home)
    os.kill(adapter.bridge.pid, signal.SIGKILL)
    assert are_gone_soon(home)


def test_a_server_that_dies_in_a_search_is_told_and_the_next_search_starts_another(
    made: Callable[..., Any], tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    adapter = made(home)

    def kill(candidate: Candidate) -> None:
        for pid in processes_of(home):
            os.kill(pid, signal.SIGKILL)

    with pytest.raises(Unavailable, match="H2O's server ended"):
        search(adapter, BINARY, tmp_path / "package", budget_s=60, on_candidate=kill)
    assert not (tmp_path / "package").exists()
    assert search(adapter, BINARY, tmp_path / "package", budget_s=0.0).candidates[0].score is not None
    adapter.close()


def test_an_error_of_the_listener_ends_the_search(made: Callable[..., Any], tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    adapter = made(home)

    def listen(candidate: Candidate) -> None:
        raise ValueError("not mine")

    with pytest.raises(ValueError, match="not mine"):
        search(adapter, BINARY, tmp_path / "package", budget_s=600, on_candidate=listen)
    assert are_gone_soon(home)
    assert not (tmp_path / "package").exists()
    adapter.close()


def test_a_column_that_says_nothing_gives_no_model_and_says_why(shared: Any, tmp_path: Path) -> None:
    constant = BINARY.select("late", stops=pl.lit(1))
    with pytest.raises(NotCapable, match="H2O"):
        search(shared, constant, tmp_path / "package")
    assert not (tmp_path / "package").exists()


@pytest.mark.parametrize("options", [{"folds": 1}, {"algorithms": "XGBoost"}, {"thread": 2}, {"memory_gb": "all"}])
def test_options_that_cannot_be_followed_are_refused(
    made: Callable[..., Any], tmp_path: Path, options: dict[str, object]
) -> None:
    with pytest.raises(RefusedInput):
        made(tmp_path, **options)
