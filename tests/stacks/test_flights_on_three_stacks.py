"""One user file, three stacks: the same model, the same predictions, the same answers, one trace across all tools."""

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from stackproof.stack.live import EMBEDDED
from stackproof.stack.workspace import find_project, open_workspace

pytestmark = pytest.mark.tools

EXAMPLE = Path(__file__).parents[2] / "examples" / "flights"
EXPECTED = {
    "embedded": {},
    "standard": {
        "tracking": "mlflow",
        "features": "feast",
        "serving": "bentoml",
        "orchestration": "prefect",
        "monitoring": "evidently",
        "versioning": "dvc",
    },
    "third": {
        "tracking": "tensorboard",
        "serving": "mlserver",
        "orchestration": "dagster",
        "monitoring": "nannyml",
        "validation": "great-expectations",
    },
}


@dataclass(frozen=True)
class Ran:
    """The quickstart of one stack: what it told, the folder in which it ran, how to run commands there."""

    told: dict[str, Any]
    folder: Path
    stackproof: Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session", params=list(EXPECTED))
def ran(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, stackproof: Callable[..., Any]
) -> Ran:
    return _run(request.param, tmp_path_factory, stackproof)


@pytest.fixture(scope="session")
def embedded(tmp_path_factory: pytest.TempPathFactory, stackproof: Callable[..., Any]) -> Ran:
    return _run("embedded", tmp_path_factory, stackproof)


_done: dict[str, Ran] = {}


def _run(name: str, tmp_path_factory: pytest.TempPathFactory, stackproof: Callable[..., Any]) -> Ran:
    if name not in _done:
        folder = tmp_path_factory.mktemp(name)
        for file in EXAMPLE.glob("*.*"):
            shutil.copyfile(file, folder / file.name)
        if name != "embedded":
            shutil.copyfile(EXAMPLE / "stacks" / f"{name}.toml", folder / "stack.toml")
        ended = stackproof("quickstart", ".", "--format", "json", cwd=folder)
        assert ended.returncode == 0, ended.stderr[-3000:] + ended.stdout[-3000:]
        _done[name] = Ran(json.loads(ended.stdout), folder, stackproof)
    return _done[name]


def checked(ran: Ran) -> dict[str, dict[str, Any]]:
    ended = ran.stackproof("check", "--format", "json", cwd=ran.folder)
    assert ended.returncode == 0, ended.stdout
    return {one["role"]: one for one in reversed(json.loads(ended.stdout))}


def predictions(ran: Ran) -> dict[tuple[Any, ...], Any]:
    """The probability that each model gave for each row of features, of all rows that it ever saw."""
    with open_workspace(find_project(ran.folder)) as workspace:
        rows = workspace.ledger.predictions.after(0, limit=1_000_000)
    return {
        (row.model, *sorted(row.features.items(), key=lambda one: one[0])): row.output["probability"] for _, row in rows
    }


def models(ran: Ran) -> list[tuple[str, Any]]:
    with open_workspace(find_project(ran.folder)) as workspace:
        found = workspace.ledger.find("model")
    return sorted((model.id, model.attributes["digest"]) for model in found)


def test_the_stack_file_alone_decides_which_tools_run(ran: Ran, request: pytest.FixtureRequest) -> None:
    runs = {role: one["runs"] for role, one in checked(ran).items() if one["runs"] != EMBEDDED}
    assert runs == EXPECTED[request.node.callspec.params["ran"]]


def test_the_three_questions_are_answered_yes(ran: Ran) -> None:
    assert {answer["question"]: answer["yes"] for answer in ran.told["answers"]} == {
        answer["question"]: True for answer in ran.told["answers"]
    }
    assert len(ran.told["answers"]) == 3


def test_a_change_of_units_is_noticed_and_a_control_stream_is_quiet(ran: Ran) -> None:
    assert ran.told["change"]["alerts"]
    assert not ran.told["control"]["alerts"]


def test_the_models_are_the_same_to_the_byte(ran: Ran, embedded: Ran) -> None:
    assert models(ran)[:2] == models(embedded)[:2]
    assert len(models(ran)) >= 2


def test_equal_rows_get_equal_predictions(ran: Ran, embedded: Ran) -> None:
    ours, theirs = predictions(embedded), predictions(ran)
    both = ours.keys() & theirs.keys()
    assert len(both) > 10_000
    assert {row: theirs[row] for row in both} == {row: ours[row] for row in both}


def test_one_trace_crosses_all_of_the_stacks_tools(ran: Ran) -> None:
    ended = ran.stackproof("trace", ran.told["prediction"], "--format", "json", cwd=ran.folder)
    trace = json.loads(ended.stdout)
    assert trace["ok"], trace
    crossed = {piece["tool"] for piece in trace["path"]}
    crossing = {one["runs"] for role, one in checked(ran).items() if role not in ("tuning", "automl")}
    assert crossing - {EMBEDDED} <= crossed
