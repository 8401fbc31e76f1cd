"""`envs` lists what is there and who uses it; `envs prune` removes the rest, or says what it would."""

import datetime
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from stackproof.cli.envs import envs
from stackproof.envs.environments import EnvironmentHandle, Environments


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wheelhouse: Any) -> dict[str, EnvironmentHandle]:
    """Two environments in the user's folder, one of them used by the project `shop`."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    environments = Environments()
    locks = {version: wheelhouse.lock(wheelhouse.wheel("tiny", version)) for version in ("1.0", "2.0")}
    found = {version: environments.ensure(lock, wheelhouse.interpreter) for version, lock in locks.items()}
    now = datetime.datetime(2026, 11, 21, tzinfo=datetime.UTC)
    (tmp_path / "shop").mkdir()
    environments.projects.register("shop", tmp_path / "shop", [locks["1.0"]], now)
    return found


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(envs, arguments)


def test_nothing_made_yet_says_what_makes_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    result = invoke()
    assert result.exit_code == 0
    assert "stackproof apply" in result.stdout
    assert json.loads(invoke("--format", "json").stdout)["environments"] == []
    assert "Nothing to remove" in invoke("prune").stdout


def test_each_environment_is_listed_with_who_uses_it(made: dict[str, EnvironmentHandle]) -> None:
    result = invoke()
    assert result.exit_code == 0
    assert "shop" in result.stdout
    assert "no project" in result.stdout
    assert made["1.0"].python_version in result.stdout
    assert "imported" in result.stdout


def test_as_json_every_size_is_there_in_bytes(made: dict[str, EnvironmentHandle]) -> None:
    document = json.loads(invoke("--format", "json").stdout)
    by_key = {one["key"]: one for one in document["environments"]}
    assert set(by_key) == {handle.key for handle in made.values()}
    used = by_key[made["1.0"].key]
    assert (used["tools"], used["used_by"], used["damage"]) == (["tiny"], ["shop"], "")
    assert used["standing"].startswith("installed and imported 20")
    assert 0 < used["freed_bytes"] <= used["size_bytes"]
    assert document["size_bytes"] <= sum(one["size_bytes"] for one in document["environments"])


def test_a_damaged_one_says_so(made: dict[str, EnvironmentHandle]) -> None:
    made["2.0"].python.unlink()
    assert "damaged" in invoke().stdout


def test_a_dry_run_removes_nothing_and_the_real_one_what_it_named(made: dict[str, EnvironmentHandle]) -> None:
    would = invoke("prune", "--dry-run", "--format", "json")
    assert made["2.0"].python.exists()
    text = invoke("prune", "--dry-run").stdout
    assert "Would be removed" in text
    assert "would get" in text
    done = invoke("prune", "--format", "json")
    assert json.loads(done.stdout)["removed"] == json.loads(would.stdout)["removed"]
    assert [one["key"] for one in json.loads(done.stdout)["removed"]] == [made["2.0"].key]
    assert made["1.0"].python.exists()
    assert not made["2.0"].folder.exists()


def test_one_in_use_is_named_and_kept(made: dict[str, EnvironmentHandle]) -> None:
    using = Environments().use(made["2.0"])
    result = invoke("prune")
    using.close()
    assert made["2.0"].key in result.stderr
    assert made["2.0"].python.exists()


def test_standard_output_holds_the_result_alone(made: dict[str, EnvironmentHandle]) -> None:
    result = invoke("prune", "--format", "json")
    assert result.stderr == ""
    json.loads(result.stdout)


@pytest.mark.parametrize("arguments", [["prunes"], ["--format", "xml"], ["prune", "--dry"]])
def test_what_is_unknown_is_refused(arguments: list[str]) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert "Error" in result.stderr
