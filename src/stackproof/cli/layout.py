"""Lines of text that fit: wrapped to the terminal, and to 100 columns where there is none."""

import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence

import click

WIDEST = 100
"""Text is not set wider than this, on any terminal: longer lines are hard to read."""

LABEL = 12
"""Columns of a label before the text that it names."""

SHORT = 2
"""Labels of so many characters, signs and numbers, take no column of their own."""

Cell = str | tuple[str, str]
"""Text, or text and its colour."""


def width() -> int:
    """Columns that text may take: at most `WIDEST`, exactly that where the output is no terminal."""
    if not sys.stdout.isatty():
        return WIDEST
    return max(40, min(WIDEST, shutil.get_terminal_size((WIDEST, 24)).columns))


def wrapped(text: str, first: str = "", rest: str | None = None, columns: int | None = None) -> list[str]:
    """Lines of at most `columns`, `first` before the first and `rest` (as many blanks) before the others."""
    rest = " " * len(first) if rest is None else rest
    columns = width() if columns is None else columns
    lines = textwrap.wrap(
        text, columns, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False, drop_whitespace=True
    )
    return lines or [first.rstrip()]


def say(text: str, *, label: str = "", indent: int = 0, colour: str | None = None, error: bool = False) -> None:
    """Print a paragraph, after its label where it has one; the label takes the colour."""
    first = " " * indent + (f"{label} " if 0 < len(label) <= SHORT else label.ljust(LABEL) if label else "")
    for number, line in enumerate(wrapped(text, first)):
        if number == 0 and label and colour:
            line = line[:indent] + click.style(line[indent : len(first)], fg=colour) + line[len(first) :]
        elif colour and not label:
            line = click.style(line, fg=colour)
        click.echo(line, err=error)


def heading(text: str, *, error: bool = False) -> None:
    click.echo(err=error)
    for line in wrapped(text):
        click.echo(click.style(line, bold=True), err=error)


def rows(cells: Iterable[Sequence[Cell]], columns: Sequence[str], *, right: Sequence[int] = (), fold: int = -1) -> None:
    """Print a table. The column `fold` gives way where the whole would be too wide: its cells are wrapped."""
    table = [[_plain(cell) for cell in row] for row in cells]
    widths = [max(len(line[place]) for line in [*table, list(columns)]) for place in range(len(columns))]
    fold = fold % len(columns)
    over = sum(widths) + 2 * (len(widths) - 1) - width()
    widths[fold] = max(12, widths[fold] - max(0, over))
    click.echo(click.style(_row([[name] for name in columns], widths, right)[0], bold=True))
    click.echo("─" * (sum(widths) + 2 * (len(widths) - 1)) if _draws() else "-" * (sum(widths) + 2 * (len(widths) - 1)))
    for line, given in zip(table, cells, strict=True):
        folded = [wrapped(text, columns=size) for text, size in zip(line, widths, strict=True)]
        for printed in _row(folded, widths, right, [cell[1] if isinstance(cell, tuple) else "" for cell in given]):
            click.echo(printed)


def _plain(cell: Cell) -> str:
    return cell[0] if isinstance(cell, tuple) else cell


def _row(
    folded: Sequence[list[str]], widths: Sequence[int], right: Sequence[int], colours: Sequence[str] = ()
) -> list[str]:
    lines = []
    for number in range(max(len(cell) for cell in folded)):
        parts = []
        for place, cell in enumerate(folded):
            text = cell[number] if number < len(cell) else ""
            text = text.rjust(widths[place]) if place in right else text.ljust(widths[place])
            colour = colours[place] if place < len(colours) else ""
            parts.append(click.style(text, fg=colour) if colour and text.strip() else text)
        lines.append("  ".join(parts).rstrip())
    return lines


def _draws() -> bool:
    """Whether the output can show lines and marks beyond ASCII."""
    try:
        "─│├└✓✗".encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def branches(nodes: Sequence["Node"], before: str = "") -> Iterator[str]:
    """The lines of a tree, wrapped, each node's children below it."""
    along, fork, last, blank = ("│  ", "├─ ", "└─ ", "   ") if _draws() else ("|  ", "|- ", "`- ", "   ")
    for place, node in enumerate(nodes):
        ends = place == len(nodes) - 1
        under = before + (blank if ends else along)
        inner = under + (along if node.below else blank)
        lines = wrapped(node.text, before + (last if ends else fork), inner)
        yield from (click.style(line, fg=node.colour) if node.colour else line for line in lines)
        yield from branches(node.below, under)


class Node:
    """One node of a tree to draw."""

    def __init__(self, text: str, below: Sequence["Node"] = (), colour: str | None = None) -> None:
        self.text = text
        self.below = below
        self.colour = colour


def mark(held: bool | None) -> str:
    """A sign for what holds, what does not, and what has no conditions."""
    signs = {True: "✓ ", False: "✗ ", None: ""} if _draws() else {True: "yes: ", False: "no: ", None: ""}
    return signs[held]


def side_by_side(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    """Print a table whose first column names the rows; the others share what is left and are wrapped."""
    named = max((len(word) for row in cells for word in row[0].split()), default=0)
    first = min(max((len(row[0]) for row in cells), default=0), max(named, 16))
    each = (width() - first - 2 * (len(columns) - 1)) // (len(columns) - 1)
    sizes = [first, *([each] * (len(columns) - 1))]
    head = [wrapped(name, columns=size) for name, size in zip(columns, sizes, strict=True)]
    for line in _row(head, sizes, ()):
        click.echo(click.style(line, bold=True))
    for row in cells:
        click.echo(("─" if _draws() else "-") * (sum(sizes) + 2 * (len(sizes) - 1)))
        for line in _row([wrapped(text, columns=size) for text, size in zip(row, sizes, strict=True)], sizes, ()):
            click.echo(line)
