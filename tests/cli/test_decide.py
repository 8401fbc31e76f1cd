"""`decide`, `explain` and `compare` as a person uses them, through the program's own front door."""

import json
import os
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


def test_the_table_fits_a_hundred_columns_and_has_every_role() -> None:
    result = invoke("decide", "--answers", str(FLIGHTS), "--no-sensitivity")
    assert result.exit_code == 0
    assert max(len(line.rstrip()) for line in result.output.splitlines()) <= 100
    for role, tool in (("tracking", "mlflow"), ("serving", "bentoml"), ("automl", "skip")):
        assert any(role in line and tool in line for line in result.output.splitlines())
    assert "Start with the weakest question, trace" in result.output


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
    assert {file.name for file in out.iterdir()} == {"decision.json", "decision.md", "stack.toml", "answers.toml"}
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


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[organization]\npeple = 3\n", "did you mean 'organization.people'?"),
        ("[organization\n", "is not TOML"),
        ("[needs]\ndrift = 3\n[use_case]\nllm = 'yes'\n", "has 2 faults"),
    ],
)
def test_answers_with_faults_are_refused_and_nothing_is_written(tmp_path: Path, text: str, said: str) -> None:
    result = invoke("decide", "--answers", write(tmp_path, text), "--out", str(tmp_path / "out"))
    assert isinstance(result.exception, RefusedInput)
    assert said in str(result.exception)
    assert not (tmp_path / "out").exists()


def test_answers_that_are_not_there_are_refused(tmp_path: Path) -> None:
    result = invoke("decide", "--answers", str(tmp_path / "none.toml"))
    assert isinstance(result.exception, RefusedInput)


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


def test_without_a_file_the_questions_are_asked_and_open_ones_are_assumed() -> None:
    result = invoke("decide", "--format", "json", "--no-sensitivity", typed="300\n?\n" + "\n" * 80)
    assert result.exit_code == 0
    document = json.loads(result.stdout)
    assert document["answers"]["organization"]["people"] == 300
    assumed = {item["key"] for item in document["assumed"]}
    assert "organization.people" not in assumed
    assert "organization.data_scientists" in assumed


def test_an_answer_that_is_none_is_asked_again() -> None:
    result = invoke("decide", "--format", "json", "--no-sensitivity", typed="many\n-3\n70\n" + "\n" * 80)
    assert json.loads(result.stdout)["answers"]["organization"]["people"] == 70
    assert result.stderr.count("That is no answer to organization.people") == 2


def test_explain_shows_reasons_with_sources_what_was_struck_out_and_what_would_change_it() -> None:
    output = invoke("explain", "serving", "--answers", str(FLIGHTS)).output
    for part in ("000_1ff43e1cb122fd45.txt", "Struck out", "torchserve", "lifecycle", "What would change this"):
        assert part in output


def test_compare_shows_dates_and_never_states_what_is_not_verified() -> None:
    text = invoke("compare", "mlflow", "neptune").output
    assert "since 2026-03-05" in text
    known = json.loads(invoke("compare", "mlflow", "step-functions", "--format", "json").stdout)
    assert known["mlflow"]["release"]["released"] == "2026-11-03"
    assert known["step-functions"]["status"]["value"] is None
    assert known["step-functions"]["status"]["confidence"] == "not_verified"


def test_compare_of_an_unknown_tool_names_the_one_meant() -> None:
    result = invoke("compare", "mlfow")
    assert isinstance(result.exception, UnknownName)
    assert "did you mean 'mlflow'?" in str(result.exception)


@pytest.mark.parametrize("command", ["decide", "explain", "compare", "catalog"])
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
