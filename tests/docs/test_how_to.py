"""The how-to pages show what the program prints, and name every option and exit code that there is."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest

from stackproof.cli.main import cli

ROOT = Path(__file__).parents[2]
HOW_TO = ROOT / "docs" / "how-to"


@pytest.mark.slow
def test_every_output_on_the_pages_is_what_the_program_prints() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "examples.py"), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_every_option_of_decide_is_on_its_page() -> None:
    command = cli.get_command(click.Context(cli), "decide")
    assert command is not None
    options = {
        name
        for parameter in command.params
        for name in (*parameter.opts, *parameter.secondary_opts)
        if name.startswith("--")
    }
    page = (HOW_TO / "decide.md").read_text("utf-8")
    missing = options - set(re.findall(r"--[a-z][a-z-]*", page))
    assert missing <= {"--sensitivity"}


def test_the_answers_on_the_page_are_those_of_its_file() -> None:
    page = (HOW_TO / "decide.md").read_text("utf-8")
    shown = next(block for block in re.findall(r"```toml\n(.*?)```", page, flags=re.S) if "[organization]" in block)
    whole = tomllib.loads((HOW_TO / "answers" / "harvest.toml").read_text("utf-8"))
    for section, table in tomllib.loads(shown).items():
        assert {key: whole[section][key] for key in table} == table


def test_the_facts_of_ones_own_on_the_page_can_be_laid_over_the_shipped_ones(tmp_path: Path) -> None:
    from stackproof.facts import load_facts

    page = (HOW_TO / "decide.md").read_text("utf-8")
    (text,) = re.findall(r"```toml\n# ours/tools/wandb\.toml\n(.*?)```", page, flags=re.S)
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "wandb.toml").write_text(text, "utf-8")
    modes = load_facts(overlays=[tmp_path]).tools["wandb"].modes
    assert any(mode.usd_per_seat_year == (480, 480) for mode in modes)
