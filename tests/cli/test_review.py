"""`review` as a person and a scheduled job use it."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from stackproof.cli.main import cli
from stackproof.errors import RefusedInput

FLIGHTS = Path(__file__).parents[2] / "examples" / "flights" / "answers.toml"
DAY = "2026-11-21"


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(cli, list(arguments))


@pytest.fixture(scope="module")
def decided(tmp_path_factory: pytest.TempPathFactory) -> str:
    out = tmp_path_factory.mktemp("decided")
    result = invoke("decide", "--answers", str(FLIGHTS), "--no-sensitivity", "--as-of", DAY, "--out", str(out))
    assert result.exit_code == 0
    return str(out)


@pytest.fixture(scope="module")
def dead(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Facts of one's own, by which the tracker has died since."""
    folder = tmp_path_factory.mktemp("facts")
    (folder / "tools").mkdir()
    (folder / "tools" / "mlflow.toml").write_text(
        'id = "mlflow"\n[facts.status]\nvalue = "archived"\ndetail = "read-only | for good"\nsince = 2026-12-01\n'
        'source = "the notice in its repository"\ndate = 2026-12-02\nconfidence = "high"\n',
        "utf-8",
    )
    return str(folder)


def test_nothing_new_is_said_in_a_few_lines_and_ends_with_zero(decided: str) -> None:
    result = invoke("review", decided, "--as-of", DAY)
    assert result.exit_code == 0
    assert "mlflow (tracking): sound" in result.output
    assert "Nothing that is known has changed since." in result.output
    assert "Next: nothing to decide" in result.output


def test_a_dead_tool_ends_with_one_and_says_what_is_picked_today(decided: str, dead: str) -> None:
    result = invoke("review", decided, "--facts", dead, "--as-of", "2026-12-03")
    assert result.exit_code == 1
    text = " ".join(result.output.split())
    assert "1 no longer sound" in text
    assert "mlflow (tracking): no longer sound because It is archived since 2026-12-01" in text
    assert "tracking mlflow -> " in text
    assert f"Next: stackproof decide --answers {Path(decided) / 'answers.toml'} --out {decided}" in text
    assert max(len(line) for line in result.output.splitlines() if decided not in line) <= 100


def test_facts_that_grew_old_are_in_doubt_and_end_with_zero(decided: str) -> None:
    result = invoke("review", decided, "--as-of", "2027-08-01")
    assert result.exit_code == 0
    assert "mlflow (tracking): doubtful" in result.output
    assert "stackproof catalog refresh" in result.output


def test_json_says_first_whether_it_is_sound(decided: str, dead: str) -> None:
    result = invoke("review", decided, "--facts", dead, "--as-of", "2026-12-03", "--format", "json")
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert document["sound"] is False
    assert document["as_of"] == "2026-12-03"
    assert next(iter(document)) == "sound"
    assert [role["role"] for role in document["roles"] if role["changed"]] == ["tracking"]
    (tool,) = (one for one in document["tools"] if one["verdict"] == "unsound")
    assert tool["because"]["date"] == "2026-12-02"


def test_markdown_is_a_table_whose_cells_are_whole(decided: str, dead: str) -> None:
    result = invoke("review", decided, "--facts", dead, "--as-of", "2026-12-03", "--format", "markdown")
    assert result.exit_code == 1
    (row,) = (line for line in result.output.splitlines() if line.startswith("| mlflow "))
    assert "read-only \\| for good" in row
    assert row.replace("\\|", "").count("|") == 5
    assert "### Decided today, another pick" in result.output


def test_a_folder_without_a_decision_is_refused(tmp_path: Path) -> None:
    result = invoke("review", str(tmp_path))
    assert isinstance(result.exception, RefusedInput)
    assert "stackproof decide --answers" in str(result.exception)


def test_a_decision_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "decision.json").write_text('{"stackproof": "9.0", "schema": 9}', "utf-8")
    result = invoke("review", str(tmp_path))
    assert isinstance(result.exception, RefusedInput)
    assert "newer Stackproof (9.0)" in str(result.exception)


def test_one_role_alone_can_be_reviewed(tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    invoke("decide", "--answers", str(FLIGHTS), "--no-sensitivity", "--role", "tracking", "--out", out)
    result = invoke("review", out, "--format", "json")
    assert [role["role"] for role in json.loads(result.stdout)["roles"]] == ["tracking"]
