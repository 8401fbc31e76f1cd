"""`catalog` lists what is known, with sources, and states nothing that is not verified."""

import json

from click.testing import CliRunner, Result

from stackproof.cli.main import cli
from stackproof.errors import UnknownName


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["catalog", *arguments])


def test_every_tool_is_listed_with_its_status() -> None:
    result = invoke()
    assert result.exit_code == 0
    assert "68 tools" in result.output
    assert any("torchserve" in line and "archived" in line for line in result.output.splitlines())
    assert max(len(line.rstrip()) for line in result.output.splitlines()) <= 100


def test_one_role_lists_only_its_tools() -> None:
    known = json.loads(invoke("--role", "tuning", "--format", "json").stdout)
    assert {tool["id"] for tool in known} == {"optuna", "ray-tune", "wandb-sweeps", "katib"}


def test_one_tool_is_shown_with_source_and_date_of_every_fact() -> None:
    known = json.loads(invoke("seldon-core", "--format", "json").stdout)
    assert known["status"] == "relicensed"
    assert all(fact["source"] and fact["confidence"] for fact in known["facts"].values())
    assert known["facts"]["status"]["since"] == "2024-01-01"
    assert known["modes"][0]["kubernetes"] is True


def test_what_is_not_verified_is_not_stated() -> None:
    output = invoke("fiddler").output
    assert any("self_hosting" in line and "not verified" in line for line in output.splitlines())


def test_an_undated_source_says_so() -> None:
    assert "undated" in invoke("mlflow").output


def test_an_unknown_tool_or_role_is_refused_with_the_one_meant() -> None:
    for arguments, meant in ((("evidentl",), "evidently"), (("--role", "trackin"), "tracking")):
        result = invoke(*arguments)
        assert isinstance(result.exception, UnknownName)
        assert f"did you mean {meant!r}?" in str(result.exception)
