"""Command `compare`."""

import datetime
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stackproof.cli.layout import heading, say, side_by_side
from stackproof.cli.options import as_of_option, day, facts_option
from stackproof.cli.output import format_option, show_json

if TYPE_CHECKING:
    from stackproof.usecases.compare import Cell, Comparison, Row

MOST_BESIDE = 4
"""How many tools are shown beside each other; more are shown one below the other."""

LONG = frozenset({"documents_say", "documents_outdated", "price_claimed"})
"""What the documents say of each tool comes last: it is long, and undated."""


@click.command()
@click.argument("tools", nargs=-1, required=True)
@as_of_option
@facts_option
@format_option
def compare(tools: tuple[str, ...], as_of: datetime.datetime | None, overlays: tuple[Path, ...], format_: str) -> None:
    """Compare TOOLS side by side, with dates and ages.

    What is not known says so, and so does what nobody verified. --as-of is the day from which ages are counted.

    \b
    Example: stackproof compare mlflow wandb neptune
    """
    from stackproof.usecases import compare as use
    from stackproof.usecases.decide import known_facts

    found = use.compare(tools, known_facts(overlays), as_of=day(as_of))
    if format_ == "json":
        show_json(found)
    else:
        _show(found)


def _show(found: "Comparison") -> None:
    click.echo(click.style(f"{', '.join(found.names)}, as of {found.as_of}", bold=True))
    for warning in found.warnings.values():
        say(f"{warning}.", label="!", indent=2, colour="red")
    facts = [row for row in found.facts if row.id not in LONG]
    said = [row for row in found.facts if row.id in LONG]
    for title, rows in (
        ("What is known", facts),
        ("What it costs", found.prices),
        ("How it is rated", found.ratings),
        ("What the documents say", said),
    ):
        if rows:
            heading(title)
            _part(found, rows)
    click.echo()
    say("Sources: stackproof catalog TOOL, or --format json here.")


def _part(found: "Comparison", rows: "Iterable[Row]") -> None:
    if len(found.tools) <= MOST_BESIDE:
        cells = [[row.name, *(_text(cell) for cell in row.cells)] for row in rows]
        side_by_side(["", *found.tools], cells)
        return
    for place, tool in enumerate(found.tools):
        click.echo(f"\n{click.style(tool, bold=True)}")
        for row in rows:
            say(f"{row.name}: {_text(row.cells[place])}", label="-", indent=2)


def _text(cell: "Cell") -> str:
    """The value, since when it holds, when it was read and how long ago."""
    if cell.known == "no":
        return "not known"
    if cell.known == "none":
        return "-"
    value = cell.value if cell.known == "yes" else "not verified"
    since = f"since {cell.since}; " if cell.since else ""
    if cell.date is None or cell.age_days is None:
        return f"{value} ({since}undated)"
    age = "today" if cell.age_days == 0 else f"{cell.age_days} days ago"
    if cell.age_days < 0:
        age = f"{-cell.age_days} days later"
    return f"{value} ({since}read {cell.date}, {age})"
