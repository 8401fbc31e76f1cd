"""Commands `data` and `features`."""

import re
from pathlib import Path

import click

from stackproof.cli.output import format_option, project_option, short, show_json, table
from stackproof.cli.session import open_project
from stackproof.errors import RefusedInput
from stackproof.roles.features import Value


@click.command()
@click.argument("names", nargs=-1)
@project_option
@format_option
def data(names: tuple[str, ...], project_path: Path, format_: str) -> None:
    """Load, validate and snapshot datasets.

    All of the project's when no NAMES are given. What breaks an expectation is shown; a broken one
    of severity "error" keeps the dataset out.

    \b
    Example: stackproof data flights weather
    """
    from stackproof.usecases import data as use

    with open_project(project_path) as workspace:
        states = use.bring_in(workspace, names)
    if format_ == "json":
        show_json(states)
        return
    rows = [[s.version.id, f"{s.rows:,}", str(s.columns), "new" if s.is_new else "known"] for s in states]
    table("Dataset versions", ["version", "rows", "columns", ""], rows, numeric=(1, 2))
    for state in states:
        for outcome in state.report.outcomes if state.report else ():
            if not outcome.ok:
                click.echo(f"{state.version.name}: {outcome.detail}")


@click.command()
@click.argument("names", nargs=-1)
@click.option(
    "--lookup", "entity", multiple=True, metavar="KEY=VALUE", help="Look up one entity in the one view named."
)
@click.option("--list", "list_only", is_flag=True, help="Only show what is readable online now.")
@project_option
@format_option
def features(
    names: tuple[str, ...], entity: tuple[str, ...], list_only: bool, project_path: Path, format_: str
) -> None:
    """Make feature views readable online, or look one up.

    \b
    Example: stackproof features
             stackproof features weather_now --lookup origin=JFK
    """
    from stackproof.usecases import data as use

    with open_project(project_path) as workspace:
        if entity:
            row = use.look_up(workspace, _one(names), dict(_key(text) for text in entity))
            if format_ == "json":
                show_json(row)
            else:
                table(f"{names[0]} ({row.version}, known at {short(row.known_at)} UTC)", ["feature", "value"],
                      [[name, str(value)] for name, value in row.values.items()])  # fmt: skip
            return
        made = use.materialized(workspace) if list_only else use.materialize(workspace, names)
    if format_ == "json":
        show_json(made)
        return
    rows = [[m.view, f"{m.rows:,}", m.version, short(m.watermark)] for m in made]
    table("Readable online", ["view", "rows", "dataset version", "until (UTC)"], rows, numeric=(1,))


def _one(names: tuple[str, ...]) -> str:
    if len(names) != 1:
        raise RefusedInput("A lookup is in one feature view", got=", ".join(names) or "none", allowed="one NAME")
    return names[0]


def _key(text: str) -> tuple[str, Value]:
    name, equals, value = text.partition("=")
    if not equals:
        raise RefusedInput("An entity's key is malformed", got=text, allowed="KEY=VALUE")
    return name, int(value) if re.fullmatch(r"0|-?[1-9][0-9]*", value) else value
