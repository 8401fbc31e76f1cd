"""`prove` runs candidates for real, says what is wrong first, and its proofs reach the decision."""

import datetime
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from stackproof.adapters import registry
from stackproof.cli.main import cli
from stackproof.cli.prove import prove
from stackproof.envs.environments import Environments
from stackproof.envs.locking import Locks
from stackproof.errors import NotFound, RefusedInput, UnknownName
from stackproof.roles.proof import Figure, Proof
from stackproof.usecases import prove as use
from stackproof.usecases.proofs import read_proofs, this_machine, write_proofs

FLIGHTS = Path(__file__).parents[2] / "examples" / "flights" / "answers.toml"
AT = datetime.datetime(2026, 11, 20, 10, tzinfo=datetime.UTC)


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(prove, list(arguments))


def proof(tool: str, *rates: float, correct: bool = True) -> Proof:
    figures = (Figure("points_written", "1/s", rates), Figure("install_size", "MB", (50.0 * len(tool),)))
    faults = () if correct else ("after SIGKILL 3 of 40 acknowledged points are gone",)
    return Proof(
        "tracking", tool, "runs and points, smoke", AT, this_machine(), {tool: "1.0"}, "", correct, faults, figures,
        lacking=("registry",), notes=("a <note> & more",),
    )  # fmt: skip


@pytest.fixture
def proofs(tmp_path: Path) -> Path:
    """The embedded one is behind."""
    write_proofs([proof("embedded", 10.0, 11.0, 12.0), proof("mlflow", 20.0, 21.0, 22.0)], tmp_path)
    return tmp_path


def nothing_as(monkeypatch: pytest.MonkeyPatch, role: str, tool: str, path: str) -> None:
    """One more registered adapter."""
    monkeypatch.setattr(registry, "ADAPTERS", (*registry.ADAPTERS, registry.Entry(role, tool, path, "")))


@pytest.fixture(scope="module")
def proved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Path]:
    """A real one, over the bridge: the quickest scenario."""
    folder = tmp_path_factory.mktemp("proved") / "proofs"
    result = invoke("orchestration", "embedded", "--repeats", "1", "--out", str(folder))
    return result, folder


def test_a_real_run_ends_with_a_verdict_the_figures_and_a_proof(proved: tuple[Result, Path]) -> None:
    result, folder = proved
    assert result.exit_code == 0, result.output
    assert "embedded (stackproof 0.1.0): correct" in result.stdout
    for words in ("Trivial tasks run", "Peak memory", "From the kill to the answer", "Load during", "wrote "):
        assert words in result.stdout
    (found,) = read_proofs(folder, this_machine())
    assert (found.role, found.tool, found.correct, found.faults) == ("orchestration", "embedded", True, ())
    figures = {figure.name: figure.values for figure in found.figures}
    assert figures["lines_of_code"] == figures["lines_of_stack"] == (0.0,)
    assert min(min(figures[name]) for name in ("tasks_run", "peak_memory", "import", "start_up", "install_size")) > 0
    assert any("bridge" in note for note in found.notes)


def test_how_far_it_is_goes_to_standard_error(proved: tuple[Result, Path]) -> None:
    assert "embedded: warming up" in proved[0].stderr
    assert "warming up" not in proved[0].stdout


def test_a_candidate_that_can_not_do_the_work_is_not_correct_and_the_exit_code_is_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    nothing_as(monkeypatch, "tracking", "nothing", "stackproof.prove.nothing:Nothing")
    result = invoke("tracking", "nothing", "--repeats", "1", "--out", str(tmp_path), "--format", "json")
    assert result.exit_code == 1, result.output
    (outcome,) = json.loads(result.stdout)["outcomes"]
    assert (outcome["correct"], outcome["proofs"][0]["correct"]) == (False, False)
    assert outcome["proofs"][0]["faults"] == ["it failed: The tool nothing has no start_run in the role tracking"]


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ((), RefusedInput, "nothing to prove"),
        (("tracking",), RefusedInput, "nothing to prove"),
        (("tuning", "embedded"), UnknownName, "scenario for a role"),
        (("trackin", "embedded"), UnknownName, "did you mean 'tracking'"),
        (("tracking", "mlfow"), UnknownName, "did you mean 'mlflow'"),
        (("tracking", "embedded", "embedded"), RefusedInput, "named twice"),
        (("tracking", "embedded", "--size", "huge"), UnknownName, "full, medium, smoke"),
        (("tracking", "embedded", "--data", "x.csv"), RefusedInput, "takes no data"),
        (("features", "embedded", "--model", "x"), RefusedInput, "takes no model"),
        (("features", "embedded", "--data", "no.csv"), NotFound, "no data file"),
        (("serving", "embedded", "--model", "nothing-here"), RefusedInput, "no model package"),
        (("tracking", "embedded", "--option", "uri=x"), RefusedInput, "TOOL.NAME=VALUE"),
        (("tracking", "embedded", "--option", "mlflow.uri=x"), RefusedInput, "options for no candidate"),
        (("tracking", "mlflow", "--option", "mlflow.ui=x"), UnknownName, "did you mean 'uri'"),
    ],
)
def test_what_can_not_be_proven_is_refused_before_anything_is_made(
    tmp_path: Path, arguments: tuple[str, ...], error: type[Exception], said: str
) -> None:
    result = invoke(*arguments, "--out", str(tmp_path / "proofs"))
    assert type(result.exception) is error
    assert said in str(result.exception)
    assert not (tmp_path / "proofs").exists()


def test_the_report_shows_who_is_ahead_also_when_it_is_not_ours(proofs: Path) -> None:
    result = invoke("--report", str(proofs))
    assert result.exit_code == 0, result.output
    assert re.search(r"Points written, 1,000 a call +1/s +11 \(10–12\) +21 \(20–22\)\*", result.stdout)
    assert "75 %" in result.stdout.replace("\u00a0", " ")


def test_what_is_wrong_is_ahead_in_nothing_and_said_first(tmp_path: Path) -> None:
    write_proofs([proof("embedded", 10.0, 11.0), proof("mlflow", 90.0, 95.0, correct=False)], tmp_path)
    result = invoke("--report", str(tmp_path))
    assert result.exit_code == 1
    assert "mlflow (mlflow 1.0): NOT CORRECT\n    - after SIGKILL 3 of 40 acknowledged points are gone" in result.stdout
    assert "*" not in result.stdout.partition("The work")[2].partition("Medians")[0]


def test_the_page_needs_nothing_else_and_escapes_what_it_shows(proofs: Path) -> None:
    assert invoke("--report", str(proofs)).exit_code == 0
    page = (proofs / "proofs.html").read_text("utf-8")
    assert "a &lt;note&gt; &amp; more" in page
    assert not re.search(r"(src|href)=\"(?!#|data:)", page)
    assert "<script" not in page
    assert "default-src 'none'" in page
    assert page.count("<svg") == 2


def test_only_the_newest_proof_of_each_tool_is_shown(proofs: Path) -> None:
    write_proofs([replace(proof("mlflow", 5.0), at=AT + datetime.timedelta(days=1))], proofs)
    outcome = use.report(proofs)[0]
    assert [one.figures[0].values for one in outcome.proofs] == [(10.0, 11.0, 12.0), (5.0,)]


def test_proofs_of_other_work_or_of_another_machine_stand_apart(proofs: Path) -> None:
    other = [
        replace(proof("wandb", 9.0), scenario="runs and points, full"),
        replace(proof("aim", 9.0), machine={"name": "another"}),
    ]
    write_proofs(other, proofs)
    together = {tuple(one.tool for one in outcome.proofs) for outcome in use.report(proofs)}
    assert together == {("wandb",), ("aim",), ("embedded", "mlflow")}
    assert use.report(proofs, "tracking") == use.report(proofs)
    with pytest.raises(NotFound, match="no proof of serving"):
        use.report(proofs, "serving")


def test_a_report_of_nothing_says_how_to_make_one(tmp_path: Path) -> None:
    result = invoke("--report", str(tmp_path))
    assert isinstance(result.exception, NotFound)
    assert "stackproof prove tracking embedded mlflow" in str(result.exception)


def test_a_proof_replaces_a_rating_in_the_decision_and_the_decision_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """From the run to the decision: the embedded features stand in for a tool that the catalogue rates."""
    nothing_as(monkeypatch, "features", "feast", "stackproof.adapters.features.embedded:EmbeddedFeatures")
    folder = tmp_path / "proofs"
    request = use.Request("features", ("feast",), repeats=2, folder=folder)
    outcome = use.prove(request, Environments(tmp_path / "environments"), locks=Locks(shipped=tmp_path))
    assert outcome.correct, outcome.proofs[0].faults
    answers = tmp_path / "answers.toml"
    answers.write_text(f"{FLIGHTS.read_text('utf-8')}\n[weights]\nonline-latency = 10\n", "utf-8")
    explain = ["explain", "features", "--answers", str(answers), "--format", "json"]
    before, after = (
        json.loads(CliRunner().invoke(cli, [*explain, *more]).stdout) for more in ([], ["--proofs", str(folder)])
    )
    rated, measured = (lookups_of(document, "feast") for document in (before, after))
    assert not rated["measured"]
    assert measured["measured"]
    assert re.fullmatch(r"[\d.]+ ms, measured 2 times", measured["word"])
    assert measured["source"] == "proof of feast: join and lookup, smoke"
    (reason,) = [one for one in after["reasons"] if one["kind"] == "proof"]
    assert "measured 2 times" in reason["text"]


def test_every_option_and_exit_code_is_on_the_page() -> None:
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "prove.md").read_text("utf-8")
    options = {name for parameter in prove.params for name in parameter.opts if name.startswith("--")}
    assert {name for name in options if f"`{name}" not in page} == set()
    assert "## Options and exit codes" in page


def lookups_of(document: Any, tool: str) -> Any:
    ranked = [one for ranking in document["rankings"] for one in ranking["tools"]]
    (scored,) = [one for one in ranked if one["tool"] == tool]
    (found,) = [one for one in scored["criteria"] if one["id"] == "online-latency"]
    return found
