"""How results are shown: for a person as text, for a program as JSON."""

import json
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from rich.console import Console

F = TypeVar("F", bound=Callable[..., Any])

format_option = click.option(
    "--format",
    "format_",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="How to show it.",
)
project_option = click.option(
    "--project", "project_path", type=click.Path(path_type=Path, exists=True), default=Path(),
    help="The project file or its folder; the current folder when left out.",
)  # fmt: skip


def plain(value: Any) -> Any:
    """The value as JSON can say it: dataclasses as objects, instants as RFC 3339, NaN and infinities as text."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, str | int | float | bool | None):
        return value
    return str(value)


def show_json(value: Any) -> None:
    click.echo(json.dumps(plain(value), indent=2, ensure_ascii=False))


def console(*, error: bool = False) -> "Console":
    """A console that drops colours when its output is not a terminal, and then is 100 columns wide."""
    from rich.console import Console

    stream = sys.stderr if error else sys.stdout
    width = None if stream.isatty() else 100
    return Console(file=stream, width=width, highlight=False, soft_wrap=False)


def table(
    title: str,
    columns: list[str],
    rows: list[list[str]],
    *,
    numeric: tuple[int, ...] = (),
    whole: tuple[int, ...] = (),
) -> None:
    """Print a table; the columns in `numeric` are aligned to the right, those in `whole` are never broken."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for position, name in enumerate(columns):
        drawn.add_column(
            name, justify="right" if position in numeric else "left", overflow="fold", no_wrap=position in whole
        )
    for row in rows:
        drawn.add_row(*(Text(cell) for cell in row))
    shown = console()
    shown.print(Text(title, style="bold"))
    shown.print(drawn)


def short(instant: datetime | None) -> str:
    """To the second, UTC."""
    return "" if instant is None else instant.strftime("%Y-%m-%d %H:%M:%S")
