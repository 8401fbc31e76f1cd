"""Options that the commands about decisions share."""

import datetime
from pathlib import Path

import click

answers_option = click.option(
    "--answers", "answers_path", type=click.Path(path_type=Path), metavar="FILE",
    help="A file of answers (answers.toml).",
)  # fmt: skip
as_of_option = click.option(
    "--as-of", type=click.DateTime(["%Y-%m-%d"]), metavar="YYYY-MM-DD",
    help="Decide with the facts of that day; today when left out.",
)  # fmt: skip
facts_option = click.option(
    "--facts", "overlays", type=click.Path(path_type=Path), multiple=True, metavar="DIR",
    help="A folder of your own facts, prices and weights, laid over the shipped ones; may be given again. "
    "The variable STACKPROOF_FACTS names such folders too.",
)  # fmt: skip
proofs_option = click.option(
    "--proofs", type=click.Path(path_type=Path), metavar="DIR",
    help="What was measured on this machine; ./proofs or ./.stackproof/proofs when left out.",
)  # fmt: skip
verbose_option = click.option("--verbose", "-v", is_flag=True, help="Show everything.")


def day(as_of: datetime.datetime | None) -> datetime.date:
    """The day asked for, today (UTC) when none was."""
    return (as_of or datetime.datetime.now(datetime.UTC)).date()
