"""Commands `up`, `down`, `status` and `logs`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stackproof.cli.main import EXIT_FAILED, EXIT_NO
from stackproof.cli.output import format_option, project_option, show_json, table
from stackproof.cli.session import open_project
from stackproof.errors import RefusedInput

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stackproof.usecases.servers import ServerStatus


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME…]")
@click.option("--port", "ports", multiple=True, metavar="NAME=PORT",
              help="The port that a server must have (repeatable); else it had it before, or it is free.")  # fmt: skip
@click.option("--sink", "sinks", multiple=True, default=("console",), show_default=True,
              help="Where watchers send alerts (repeatable): console (a log), file:PATH or webhook:URL.")  # fmt: skip
@project_option
@format_option
@click.pass_context
def up(
    ctx: click.Context, names: tuple[str, ...], ports: tuple[str, ...], sinks: tuple[str, ...],
    project_path: Path, format_: str,
) -> None:  # fmt: skip
    """Start the servers of the stack, and keep them up.

    Those of the tools in stack.toml, a model server and a watcher for each deployment; only those NAMEd if any is. A
    supervisor in the background starts again what dies. Waits until all are up; exit code 4 when one was given up.

    \b
    Example: stackproof up --port mlflow=5000
    """
    from stackproof.usecases import servers as use

    with open_project(project_path, declarations=False) as workspace:
        found = use.up(workspace, names, ports=_ports(ports), sinks=sinks, told=lambda line: click.echo(line, err=True))
    _show(found, format_, "Servers")
    lost = [one.name for one in found if not one.ok]
    if lost:
        click.echo(f"Not up: {', '.join(lost)}. Next: stackproof logs {lost[0]}", err=True)
    ctx.exit(EXIT_FAILED if lost else 0)


def _ports(given: "Sequence[str]") -> dict[str, int]:
    ports = {}
    for text in given:
        name, _, port = text.rpartition("=")
        if not name or not port.isdecimal():
            raise RefusedInput("A port is malformed", got=text, allowed="NAME=PORT, such as mlflow=5000")
        ports[name] = int(port)
    return ports


@click.command()
@project_option
@format_option
def down(project_path: Path, format_: str) -> None:
    """Stop all servers of the stack.

    They are asked to end, and killed when they do not. Nothing happens when none is up.

    \b
    Example: stackproof down
    """
    from stackproof.usecases import servers as use

    ended = use.down(_home(project_path))
    if format_ == "json":
        show_json({"stopped": ended})
    else:
        click.echo(f"Stopped: {', '.join(ended)}" if ended else "No server was up.")


@click.command()
@project_option
@format_option
@click.pass_context
def status(ctx: click.Context, project_path: Path, format_: str) -> None:
    """Show how each server of the stack is.

    Exit code 1 when one is not up, or none was started.

    \b
    Example: stackproof status --format json
    """
    from stackproof.usecases import servers as use

    found = use.status(_home(project_path))
    if found or format_ == "json":
        _show(found, format_, "Servers")
    else:
        click.echo("No server was started yet. Next: stackproof up")
    ctx.exit(0 if found and all(one.ok for one in found) else EXIT_NO)


@click.command()
@click.argument("name")
@click.option("--follow", "-f", is_flag=True, help="Go on with what it prints from now on, until Ctrl-C.")
@click.option("--lines", type=click.IntRange(min=0), default=100, show_default=True, help="The last so many lines.")
@project_option
@format_option
def logs(name: str, follow: bool, lines: int, project_path: Path, format_: str) -> None:
    """Show what a server printed.

    NAME is one that `stackproof status` shows, or "supervisor". With --format json, one JSON object a line.

    \b
    Example: stackproof logs mlflow --follow
    """
    from stackproof.usecases import servers as use

    for line in use.logs(_home(project_path), name, lines=lines, follow=follow):
        click.echo(json.dumps({"server": name, "line": line}) if format_ == "json" else line)


def _home(project_path: Path) -> Path:
    from stackproof.stack.workspace import find_project, home_of

    return home_of(find_project(project_path)).resolve()


def _show(found: "Sequence[ServerStatus]", format_: str, title: str) -> None:
    if format_ == "json":
        show_json(found)
        return
    rows = [
        [
            "✓" if one.ok else "✗",
            one.name,
            one.state,
            one.url,
            str(one.pid or ""),
            f"{one.since:%m-%d %H:%M:%S}",
            str(one.restarts),
            one.health,
        ]
        for one in found
    ]
    columns = ["", "name", "state", "url", "pid", "since", "restarts", "health"]
    table(title, columns, rows, numeric=(4, 6), whole=(1, 3, 5))
