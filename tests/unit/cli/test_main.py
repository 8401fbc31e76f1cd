"""The command line as a whole: quick, documented, and clear about errors."""

import json
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from stackproof.cli.main import COMMANDS, cli, exit_code
from stackproof.errors import Corrupted, NotFound, RefusedInput, Unavailable

HEAVY = (
    "polars",
    "numpy",
    "scipy",
    "sklearn",
    "xgboost",
    "optuna",
    "starlette",
    "uvicorn",
    "rich",
    "jsonschema",
    "sqlite3",
    "jinja2",
)


def test_help_loads_no_heavy_module() -> None:
    code = (
        "import sys, json\nfrom stackproof.cli.main import cli\n"
        "try: cli(['--help'])\nexcept SystemExit: pass\n"
        f"print(json.dumps([m for m in {HEAVY!r} if m in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example_and_the_summary_that_the_list_shows(name: str) -> None:
    command = cli.get_command(None, name)  # type: ignore[arg-type]  # no context is needed
    assert command is not None
    shown = CliRunner().invoke(cli, [name, "--help"])
    assert shown.exit_code == 0
    assert f"stackproof {name}" in shown.output.split("Example", 1)[1]
    assert (command.help or "").splitlines()[0] == COMMANDS[name][2]


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "completion"])
def test_every_command_can_be_read_by_a_program(name: str) -> None:
    command = cli.get_command(None, name)  # type: ignore[arg-type]  # no context is needed
    assert command is not None
    below = list(command.commands.values()) if isinstance(command, click.Group) else [command]
    for one in below:
        assert any("--format" in parameter.opts for parameter in one.params), one.name


def test_an_unknown_command_says_which_one_was_meant() -> None:
    shown = CliRunner().invoke(cli, ["trase"])
    assert shown.exit_code == 2
    assert "did you mean 'trace'" in shown.output


def test_exit_codes_tell_refused_input_from_failure() -> None:
    assert [exit_code(error("x")) for error in (RefusedInput, NotFound, Corrupted, Unavailable)] == [
        2,
        2,
        4,
        4,
    ]


def test_a_folder_without_a_project_says_what_to_do(tmp_path: object) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "stackproof", "runs", "--project", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "There is no project here" in done.stderr
    assert "stackproof quickstart" in done.stderr
    assert "Traceback" not in done.stderr
