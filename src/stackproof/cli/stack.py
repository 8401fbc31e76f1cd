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
    """Apply stack.toml: make its tools' environments, check each role and record it.

    Each external tool gets an environment of its own, from a tested lock. STACK_FILE, when given, becomes the
    project's stack.toml once all of its tools work.

    \b
    Example: stackproof apply decided/stack.toml
    """
    from stackproof.cli.envs import open_environments
    from stackproof.stack.file import read_stack
    from stackproof.usecases import plan as use

    with open_project(project_path, declarations=False) as workspace, open_environments() as environments:
        changes = use.apply(workspace, read_stack(stack_file) if stack_file else workspace.stack, environments)
        if stack_file:
            use.take_over(workspace, stack_file)
    _show(changes, format_, "Applied")


def _show(changes: "list[Change]", format_: str, title: str) -> None:
    if format_ == "json":
        show_json(changes)
        return
    rows = [[c.action, c.role, c.before, c.tool, c.runs, ", ".join(c.installs), c.because] for c in changes]
    table(title, ["", "role", "before", "tool", "filled by", "installs", "because"], rows)


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
            ["✓" if c.ok else "✗", c.role, c.tool, c.runs, c.installed, c.version, ", ".join(c.capabilities),
             ", ".join(f"{name} by {tool}" for name, tool in c.fills_in.items()), c.detail]
            for c in found
        ]  # fmt: skip
        heads = ["", "role", "tool", "filled by", "installed", "version", "capabilities", "filled in", ""]
        table("Roles", heads, rows)
    ctx.exit(0 if all(c.ok for c in found) else EXIT_NO)
