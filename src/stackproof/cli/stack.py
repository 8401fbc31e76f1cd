"""Commands `plan`, `apply` and `check`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from stackproof.cli.main import EXIT_NO
from stackproof.cli.output import format_option, project_option, show_json, table
from stackproof.cli.session import open_project

if TYPE_CHECKING:
    from stackproof.envs.environments import Environments
    from stackproof.usecases.plan import Change, Checked

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
@click.option(
    "--upgrade",
    "upgrades",
    multiple=True,
    metavar="TOOL",
    help="First resolve TOOL anew; its new lock is taken if its conformance suite passes on it.",
)
@project_option
@format_option
@click.pass_context
def apply(
    ctx: click.Context, stack_file: Path | None, upgrades: tuple[str, ...], project_path: Path, format_: str
) -> None:  # fmt: skip
    """Apply stack.toml: make its tools' environments, check each role and record it.

    Each external tool gets an environment of its own, from a tested lock. STACK_FILE, when given, becomes the
    project's stack.toml once all of its tools work. Exit code 1 when an upgrade was not accepted: then nothing changed.

    \b
    Example: stackproof apply decided/stack.toml
    """
    from stackproof.cli.envs import open_environments
    from stackproof.stack.file import read_stack
    from stackproof.usecases import plan as use

    with open_project(project_path, declarations=False) as workspace, open_environments() as environments:
        upgraded = [_upgrade(tool, workspace.project.folder, environments) for tool in upgrades]
        if not all(upgraded):
            ctx.exit(EXIT_NO)
        changes = use.apply(workspace, read_stack(stack_file) if stack_file else workspace.stack, environments)
        if stack_file:
            use.take_over(workspace, stack_file)
    _show(changes, format_, "Applied")


def _upgrade(tool: str, folder: Path, environments: "Environments") -> bool:
    """Whether the tool's newest releases are in force now. What was found is told on standard error."""
    from datetime import UTC, datetime

    from stackproof.usecases.conformance import check_of
    from stackproof.usecases.environments import upgrade

    click.echo(f"Resolving {tool} anew; its conformance suite takes minutes", err=True)
    found = upgrade(tool, check_of(tool), environments, folder=folder, today=datetime.now(UTC).date())
    if found.newest:
        click.echo(f"{tool}: there is nothing newer for Python {found.python}", err=True)
        return True
    for name, before, after in found.changes:
        click.echo(f"  {name} {before or '-'} -> {after or '-'}", err=True)
    for line in found.result.failed if found.result else ():
        click.echo(f"  failed: {line}", err=True)
    passed = found.result.passed if found.result else 0
    verdict = "taken" if found.accepted else "refused, everything is as it was"
    click.echo(f"{tool}: {passed} tests of its suite passed; the new lock is {verdict}", err=True)
    return found.accepted


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
            ["✓" if c.ok else "✗", c.role, _filled(c), c.version or _missing(c), ", ".join(c.capabilities), _others(c)]
            for c in found
        ]
        table("Roles", ["", "role", "filled by", "version", "does", "the rest"], rows)
        for c in found:
            if not c.ok or c.runs != c.tool:
                click.echo(f"{c.role}: {c.detail}")
    ctx.exit(0 if all(c.ok for c in found) else EXIT_NO)


def _filled(checked: "Checked") -> str:
    return checked.runs if checked.runs == checked.tool else f"{checked.runs} for {checked.tool}"


def _missing(checked: "Checked") -> str:
    return "not installed" if checked.installed == "no" else "-"


def _others(checked: "Checked") -> str:
    """What other tools do for it: "embedded: alerts, metrics"."""
    by_tool: dict[str, list[str]] = {}
    for capability, tool in checked.fills_in.items():
        by_tool.setdefault(tool, []).append(capability)
    return "; ".join(f"{tool}: {', '.join(names)}" for tool, names in by_tool.items())
