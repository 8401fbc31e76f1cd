"""Commands `plan`, `apply` and `check`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from stackproof.cli.main import EXIT_NO
from stackproof.cli.output import format_option, project_option, show_json, table
from stackproof.cli.session import open_project

if TYPE_CHECKING:
    from stackproof.usecases.plan import Change

stack_argument = click.argument("stack_file", required=False, type=click.Path(path_type=Path, dir_okay=False))


@click.command()
@stack_argument
@project_option
@format_option
def plan(stack_file: Path | None, project_path: Path, format_: str) -> None:
    """Show what applying stack.toml would change.

    STACK_FILE is the project's stack.toml when left out. Nothing is changed.

    \b
    Example: stackproof plan decided/stack.toml
    """
    from stackproof.stack.file import read_stack
    from stackproof.usecases import plan as use

    with open_project(project_path, declarations=False) as workspace:
        changes = use.plan(workspace, read_stack(stack_file) if stack_file else workspace.stack)
    _show(changes, format_, "What applying would change")


@click.command()
@stack_argument
@project_option
@format_option
def apply(stack_file: Path | None, project_path: Path, format_: str) -> None:
    """Apply stack.toml: check each role and record it.

    \b
    Example: stackproof apply
    """
    from stackproof.stack.file import read_stack
    from stackproof.usecases import plan as use

    with open_project(project_path, declarations=False) as workspace:
        changes = use.apply(workspace, read_stack(stack_file) if stack_file else workspace.stack)
    _show(changes, format_, "Applied")


def _show(changes: "list[Change]", format_: str, title: str) -> None:
    if format_ == "json":
        show_json(changes)
        return
    rows = [[c.action, c.role, c.before, c.tool, c.runs, c.because] for c in changes]
    table(title, ["", "role", "before", "tool", "filled by", "because"], rows)


@click.command()
@project_option
@format_option
@click.pass_context
def check(ctx: click.Context, project_path: Path, format_: str) -> None:
    """Check what fills each role, and whether it works.

    Exit code 1 when a role does not work.

    \b
    Example: stackproof check --format json
    """
    from stackproof.usecases import plan as use

    with open_project(project_path, declarations=False) as workspace:
        found = use.check(workspace)
    if format_ == "json":
        show_json(found)
    else:
        rows = [
            ["✓" if c.ok else "✗", c.role, c.tool, c.runs, c.version, ", ".join(c.capabilities), c.detail]
            for c in found
        ]
        table("Roles", ["", "role", "tool", "filled by", "version", "capabilities", ""], rows)
    ctx.exit(0 if all(c.ok for c in found) else EXIT_NO)
