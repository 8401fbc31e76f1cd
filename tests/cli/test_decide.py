"""`decide`, `explain` and `compare` as a person uses them, through the program's own front door."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from stackproof.cli.main import cli
from stackproof.errors import RefusedInput, UnknownName

FLIGHTS = Path(__file__).parents[2] / "examples" / "flights" / "answers.toml"


def invoke(*arguments: str, typed: str | None = None) -> Result:
    return CliRunner().invoke(cli, list(arguments), input=typed)


def write(folder: Path, text: str) -> str:
    file = folder / "answers.toml"
    file.write_text(text, "utf-8")
    return str(file)


@pytest.fixture(scope="module")
def shown() -> Result:
    """The decision of the flights team as text."""
    return invoke("decide", "--answers", str(FLIGHTS), "--no-sensitivity")


def test_the_table_fits_a_hundred_columns_and_has_every_role(shown: Result) -> None:
    assert shown.exit_code == 0
    assert max(len(line) for line in shown.output.splitlines()) <= 100
    for role, verdict in (("tracking", "use"), ("serving", "use"), ("automl", "skip")):
        assert re.search(rf"^{role} +{verdict} ", shown.output, flags=re.M)


def test_each_role_has_its_score_its_interval_and_its_hours(shown: Result) -> None:
    assert re.search(
        r"^tracking +use +mlflow +0\.\d\d \(0\.\d\d-0\.\d\d\) +- +[\d.]+-[\d.]+$", shown.output, flags=re.M
    )


def test_each_role_says_why_with_a_source_and_what_nearly_won(shown: Result) -> None:
    text = " ".join(shown.output.split())
    assert re.search(r"tracking: mlflow because .+? \[000_1ff43e1cb122fd45\.txt: .+?\] instead of [\w-]+: ", text)


def test_it_ends_with_the_cost_and_what_to_do_first(shown: Result) -> None:
    parts = ["Why", "What it costs, US dollars a year", "What to do first"]
    places = [shown.output.index(f"\n{part}\n") for part in parts]
    assert places == sorted(places)
    assert "The weakest of the three questions is trace" in shown.output
    assert "stackproof explain tracking --answers" in shown.output


def test_verbose_adds_everything_and_still_fits() -> None:
    brief = invoke("decide", "--answers", str(FLIGHTS))
    full = invoke("decide", "--answers", str(FLIGHTS), "--verbose")
    assert max(len(line) for line in full.output.splitlines()) <= 100
    for label in ("struck out", "would be", "hangs on", "followed"):
        assert f"  {label} " in full.output
        assert f"  {label} " not in brief.output
    assert "Other stacks" in full.output
    assert "--verbose" not in full.output


def test_contradicting_answers_are_told_as_questions_and_nothing_is_guessed(tmp_path: Path) -> None:
    answers = write(tmp_path, '[infrastructure]\nhosting = "self-hosted-only"\n[current]\ntracking = "wandb"\n')
    result = invoke("decide", "--answers", answers, "--no-sensitivity")
    text = " ".join(result.output.split())
    assert "Your answers contradict each other: which one is right?" in text
    assert "the budget is $0" in text
    assert "organization.budget_usd_per_year = 0 (assumed)" in text
    assert "current.tracking = wandb" in text
    assert "current.tracking = wandb (assumed)" not in text


def test_answers_that_agree_are_not_questioned(shown: Result) -> None:
    assert "contradict" not in shown.output


def test_html_is_a_whole_page() -> None:
    result = invoke("decide", "--answers", str(FLIGHTS), "--no-sensitivity", "--format", "html")
    assert result.stdout.lstrip().lower().startswith("<!doctype html>")


@pytest.mark.parametrize("format_", ["json", "markdown", "html"])
def test_what_is_written_is_told_on_standard_error_when_a_program_reads_the_output(
    tmp_path: Path, format_: str
) -> None:
    out = str(tmp_path / "out")
    result = invoke("decide", "--answers", str(FLIGHTS), "--no-sensitivity", "--format", format_, "--out", out)
    assert "wrote " not in result.stdout
    assert result.stderr.count("wrote ") == 5


def test_a_folder_of_the_users_own_facts_is_laid_over_the_shipped_ones(tmp_path: Path) -> None:
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "mlflow.toml").write_text(
        'id = "mlflow"\n[facts.status]\nvalue = "archived"\ndetail = "we say so"\nsource = "our own reading"\n'
        'date = 2026-11-20\nconfidence = "high"\n',
        "utf-8",
    )
    document = json.loads(
        invoke(
            "decide", "--answers", str(FLIGHTS), "--no-sensitivity", "--format", "json", "--facts", str(tmp_path)
        ).stdout
    )
    assert document["roles"]["tracking"]["tool"] != "mlflow"
    assert any(struck["tool"] == "mlflow" for struck in document["roles"]["tracking"]["rejected"])


@pytest.mark.parametrize("option", ["--facts", "--proofs"])
def test_a_folder_that_is_not_there_is_refused(tmp_path: Path, option: str) -> None:
    result = invoke("decide", "--answers", str(FLIGHTS), "--no-sensitivity", option, str(tmp_path / "none"))
    assert isinstance(result.exception, RefusedInput)
    assert "There is no such folder" in str(result.exception)


def test_the_text_has_no_colours_where_there_is_no_terminal() -> None:
    assert "\x1b" not in invoke("decide", "--answers", str(FLIGHTS), "--no-sensitivity").output


def test_json_is_the_documented_document() -> None:
    result = invoke("decide", "--answers", str(FLIGHTS), "--format", "json", "--as-of", "2026-11-21")
    document = json.loads(result.stdout)
    assert document["as_of"] == "2026-11-21"
    assert document["roles"]["monitoring"]["with"] == ["prometheus", "grafana"]
    assert document["answers"]["needs"]["deployment_patterns"] == ["canary"]
    assert any(role["flips"] for role in document["roles"].values())


def test_the_folder_holds_the_decision_its_record_the_stack_and_the_answers(tmp_path: Path) -> None:
    from stackproof.stack.file import read_stack

    out = tmp_path / "new" / "decided"
    result = invoke("decide", "--answers", str(FLIGHTS), "--out", str(out), "--no-sensitivity")
    assert result.exit_code == 0
    assert {file.name for file in out.iterdir()} == {
        "decision.json", "decision.md", "decision.html", "stack.toml", "answers.toml",
    }  # fmt: skip
    decision = json.loads((out / "decision.json").read_text("utf-8"))
    assert read_stack(out / "stack.toml").roles["serving"].tool == decision["roles"]["serving"]["tool"]
    assert tomllib.loads((out / "answers.toml").read_text("utf-8")) == decision["answers"]


def test_the_answers_as_understood_decide_the_same_again(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    invoke("decide", "--answers", str(FLIGHTS), "--out", str(first), "--no-sensitivity")
    invoke("decide", "--answers", str(first / "answers.toml"), "--out", str(second), "--no-sensitivity")
    one, two = (json.loads((folder / "decision.json").read_text("utf-8")) for folder in (first, second))
    assert one["roles"] == two["roles"]
    assert two["assumed"] == []


def test_one_role_is_shown_alone(tmp_path: Path) -> None:
    result = invoke("decide", "--answers", str(FLIGHTS), "--role", "serving", "--format", "json")
    assert list(json.loads(result.stdout)["roles"]) == ["serving"]
    out = tmp_path / "out"
    invoke("decide", "--answers", str(FLIGHTS), "--role", "serving", "--out", str(out))
    assert not (out / "stack.toml").exists()


def test_no_tool_left_is_exit_code_three_with_what_to_relax(tmp_path: Path) -> None:
    answers = write(tmp_path, '[infrastructure]\nhosting = "managed-only"\n')
    result = invoke("decide", "--answers", answers, "--no-sensitivity")
    assert result.exit_code == 3
    assert "Cheapest to relax" in result.output
    assert max(len(line) for line in result.output.splitlines()) <= 100


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[organization]\npeple = 3\n", "did you mean 'organization.people'?"),
        ("[organization\n", "is not TOML"),
        ("[needs]\ndrift = 3\n[use_case]\nllm = 'yes'\n", "has 2 faults"),
        ("[weights]\ncots = 3\n", "did you mean 'weights.cost'?"),
        ("[weights]\ncost = 11\n", "a number from 0 to 10"),
        ("[needs]\ndrift = 'some'\ndrift = 'none'\n", "is not TOML"),
        ("[needs]\ndrift = 'some'\n[needs]\nbias = true\n", "is not TOML"),
        ("organization = 3\n", "organization: got 3. Allowed: a table"),
        (f"[organization]\npeople = {'9' * 400}\n", "organization.people"),
        (f"[organization]\npeople = {'9' * 5000}\n", "is not TOML"),
        (f"people = {'[' * 20_000}\n", "is not TOML"),
        ("[organization]\npeople = nan\n", "organization.people: got nan"),
        ("[use_case]\nlatency_ms = -1\n", "at least"),
        ("[use_case]\nworkloads = 'batch'\n", "a list of any of"),
        ("[current]\ntracking = 'mlfow'\n", "did you mean 'mlflow'?"),
    ],
)
def test_answers_with_faults_are_refused_and_nothing_is_written(tmp_path: Path, text: str, said: str) -> None:
    result = invoke("decide", "--answers", write(tmp_path, text), "--out", str(tmp_path / "out"))
    assert isinstance(result.exception, RefusedInput)
    assert said in str(result.exception)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff\xfe[\x00", "not UTF-8"),
        (b"[organization]\npeople = 3 # caf\xe9\n", "not UTF-8"),
        (b"# " + b"x" * 1_000_001, "can't be that large"),
        (b"\x00\x01\x02", "is not TOML"),
    ],
)
def test_files_that_are_no_answers_are_refused(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "answers.toml").write_bytes(content)
    result = invoke("decide", "--answers", str(tmp_path / "answers.toml"))
    assert isinstance(result.exception, RefusedInput)
    assert said in str(result.exception)


@pytest.mark.parametrize("name", ["none.toml", "."])
def test_answers_that_are_not_there_or_a_folder_are_refused(tmp_path: Path, name: str) -> None:
    result = invoke("decide", "--answers", str(tmp_path / name))
    assert isinstance(result.exception, RefusedInput)
    assert "The answers can't be read" in str(result.exception)


@pytest.mark.parametrize(
    "content", [b"\xef\xbb\xbf[organization]\npeople = 300\n", b"[organization]\r\npeople = 300\r\n"]
)
def test_a_byte_order_mark_and_line_ends_of_windows_are_read(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "answers.toml").write_bytes(content)
    result = invoke("decide", "--answers", str(tmp_path / "answers.toml"), "--format", "json", "--no-sensitivity")
    assert json.loads(result.stdout)["answers"]["organization"]["people"] == 300


def test_an_empty_file_assumes_everything(tmp_path: Path) -> None:
    result = invoke("decide", "--answers", write(tmp_path, ""), "--format", "json", "--no-sensitivity")
    document = json.loads(result.stdout)
    assert len(document["assumed"]) == sum(len(table) for table in document["answers"].values())


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine", "utf-8")
    result = invoke("decide", "--answers", str(FLIGHTS), "--no-sensitivity", "--out", str(tmp_path / "out"))
    assert isinstance(result.exception, RefusedInput)
    assert (tmp_path / "out").read_text("utf-8") == "mine"


@pytest.mark.parametrize("arguments", [("decide", "--role", "servin"), ("explain", "servin")])
def test_an_unknown_role_is_refused_with_the_one_meant(arguments: tuple[str, ...]) -> None:
    result = invoke(*arguments, "--answers", str(FLIGHTS))
    assert isinstance(result.exception, UnknownName)
    assert "did you mean 'serving'?" in str(result.exception)


@pytest.fixture(scope="module")
def explained() -> Result:
    return invoke("explain", "serving", "--answers", str(FLIGHTS))


def test_explain_draws_the_trace_as_a_tree_that_fits(explained: Result) -> None:
    assert max(len(line) for line in explained.output.splitlines()) <= 100
    assert "How it was decided" in explained.output
    assert re.search(r"^├─ .*Is the role needed yet\?", explained.output, flags=re.M)
    assert re.search(r"^│ +├─ ✗ ", explained.output, flags=re.M)


def test_explain_compares_the_tools_in_reach_by_criterion_with_their_weights(explained: Result) -> None:
    assert re.search(r"^criterion +weight +bentoml ", explained.output, flags=re.M)
    assert re.search(r"^Cost +\d+ +1\.00 ", explained.output, flags=re.M)
    assert "What the score of bentoml rests on" in explained.output


def test_explain_shows_reasons_with_sources_what_was_struck_out_and_what_would_change_it(explained: Result) -> None:
    for part in ("000_1ff43e1cb122fd45.txt", "Struck out", "torchserve (lifecycle)", "What would change this"):
        assert part in explained.output


def test_explain_verbose_adds_the_conditions_of_rules_that_dont_hold(explained: Result) -> None:
    full = invoke("explain", "serving", "--answers", str(FLIGHTS), "--verbose").output
    assert len(full.splitlines()) > len(explained.output.splitlines()) + 50
    assert max(len(line) for line in full.splitlines()) <= 100


def test_explain_as_json_has_the_role_its_path_its_rankings_and_what_it_hangs_on() -> None:
    document = json.loads(invoke("explain", "serving", "--answers", str(FLIGHTS), "--format", "json").stdout)
    whole = json.loads(invoke("decide", "--answers", str(FLIGHTS), "--role", "serving", "--format", "json").stdout)
    role = whole["roles"]["serving"]
    assert {key: document[key] for key in role} == role
    assert document["path"][0]["below"]
    assert document["rankings"][0]["tools"][0]["criteria"][0]["weight"] >= 0
    assert document["decisive"]["tool"] == "bentoml"


def test_explain_without_a_terminal_that_draws_uses_plain_characters() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "stackproof", "explain", "automl"],
        capture_output=True, check=False, env={**os.environ, "PYTHONIOENCODING": "ascii:replace"},
    )  # fmt: skip
    assert b"`- " in done.stdout
    assert b"?" * 3 not in done.stdout


def test_compare_shows_dates_ages_and_ratings_and_says_on_top_what_is_dead() -> None:
    result = invoke("compare", "mlflow", "wandb", "neptune", "--as-of", "2026-11-25")
    lines = result.output.splitlines()
    assert max(len(line) for line in lines) <= 100
    assert "Neptune.ai is discontinued since 2026-03-05 and is never chosen" in lines[1]
    text = " ".join(result.output.split())
    for part in ("4 days ago", "How it is rated", "Collaboration", "not known", "(not verified)"):
        assert part in text


def test_more_than_four_tools_are_shown_one_below_the_other() -> None:
    output = invoke("compare", "mlflow", "wandb", "neptune", "aim", "comet").output
    assert max(len(line) for line in output.splitlines()) <= 100
    assert re.search(r"^comet$", output, flags=re.M)


def test_a_tool_that_is_named_twice_is_compared_once() -> None:
    assert json.loads(invoke("compare", "mlflow", "mlflow", "--format", "json").stdout)["tools"] == ["mlflow"]


def test_compare_never_states_what_is_not_verified() -> None:
    known = json.loads(invoke("compare", "mlflow", "step-functions", "--format", "json").stdout)
    rows = {row["id"]: row["cells"] for row in known["facts"]}
    assert "2026-11-03" in rows["release"][0]["value"]
    unverified = [cell for cells in rows.values() for cell in cells if cell["confidence"] == "not_verified"]
    assert unverified
    assert all(cell["value"] is None and cell["known"] == "not verified" for cell in unverified)


def test_compare_of_an_unknown_tool_names_the_one_meant() -> None:
    result = invoke("compare", "mlfow")
    assert isinstance(result.exception, UnknownName)
    assert "did you mean 'mlflow'?" in str(result.exception)


@pytest.mark.parametrize("command", ["decide", "explain", "compare", "catalog", "review"])
def test_help_has_an_example(command: str) -> None:
    assert "Example: stackproof " in invoke(command, "--help").output


def test_the_program_refuses_with_exit_code_two_and_one_message(tmp_path: Path) -> None:
    answers = write(tmp_path, "[organization]\npeople = 'many'\n")
    done = subprocess.run(
        [sys.executable, "-m", "stackproof", "decide", "--answers", answers],
        capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "100"},
    )  # fmt: skip
    assert done.returncode == 2
    assert "answers.toml: organization.people: got 'many'" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_the_flights_team_puts_its_weakest_question_first() -> None:
    document = json.loads(invoke("decide", "--answers", str(FLIGHTS), "--format", "json").stdout)
    assert document["readiness"]["weakest"] == "trace"
    assert document["cost"]["licences"] == [0, 0]


def test_explain_says_which_answers_contradict_each_other(tmp_path: Path) -> None:
    answers = write(tmp_path, '[current]\ntracking = "wandb"\n')
    text = " ".join(invoke("explain", "tracking", "--answers", answers).output.split())
    assert "[your answers: organization.budget_usd_per_year, current.tracking]" in text


def test_a_resolution_names_the_pair_that_conflicts_and_each_tools_environment(
    capsys: pytest.CaptureFixture[str],
) -> None:
    import datetime
    from dataclasses import replace

    from stackproof.cli.decided import show
    from stackproof.usecases.decide import decide_stack

    one = {"requirement": "mlflow>=3.15", "version": "3.17.2", "environment": "shared", "because": "3.18 did not"}
    other = {"requirement": "feast>=0.67", "version": None, "environment": "own", "because": ""}
    found = {
        "python": "3.12", "together": False, "conflict": {"tools": ["mlflow", "feast"], "because": "protobuf"},
        "tools": {"mlflow": one, "feast": other}, "unasked": ["grafana"],
    }  # fmt: skip
    decision = decide_stack(None, as_of=datetime.date(2026, 11, 21), sensitivity=False)
    show(replace(decision, resolution=found))
    shown = capsys.readouterr().out
    assert "Do the packages install together, on Python 3.12?" in shown
    assert "mlflow and feast: protobuf" in shown
    assert re.search(r"^feast +feast>=0.67 +- +own$", shown, flags=re.M)
    assert "- mlflow: 3.18 did not" in shown
    assert "was not tested: grafana" in shown
