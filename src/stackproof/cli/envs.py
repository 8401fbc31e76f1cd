"""Command `envs`: the environments of the tools, and telling how far one is that is being made."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from stackproof.cli.output import format_option, show_json, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stackproof.envs.environments import Environments, Listed, Listing, Pruned


@contextmanager
def open_environments() -> "Iterator[Environments]":
    """The user's environments; notes go to standard error, and how far an installation is when that is a terminal."""
    from stackproof.cli.output import console
    from stackproof.envs.environments import Environments
    from stackproof.envs.installing import Step, in_words

    shown = console(error=True)
    if not shown.is_terminal:
        yield Environments(told=lambda line: click.echo(line, err=True))
        return
    with shown.status("") as status:
        status.stop()

        def stepped(step: Step) -> None:
            status.update(in_words(step))
            status.start()

        def told(line: str) -> None:
            status.stop()
            click.echo(line, err=True)

        yield Environments(told=told, stepped=stepped)


@click.group(invoke_without_command=True)
@format_option
@click.pass_context
def envs(ctx: click.Context, format_: str) -> None:
    """List the tools' environments: what they take, and which projects use them.

    Each external tool lives in an environment of its own, made from a lock and shared between projects.

    \b
    Example: stackproof envs --format json
    """
    if ctx.invoked_subcommand is not None:
        return
    from stackproof.usecases import environments as use

    with open_environments() as environments:
        found = use.list_environments(environments)
    if format_ == "json":
        show_json(found)
    else:
        _show(found)


@envs.command()
@click.option("--dry-run", is_flag=True, help="Say what would be removed, and remove nothing.")
@format_option
def prune(dry_run: bool, format_: str) -> None:
    """Remove the environments that no project uses.

    A project uses what it applied last; one whose folder is gone uses nothing. `stackproof apply` makes a removed
    environment again.

    \b
    Example: stackproof envs prune --dry-run
    """
    from stackproof.usecases import environments as use

    with open_environments() as environments:
        found = use.prune(environments, dry_run=dry_run)
    if format_ == "json":
        show_json(found)
    else:
        _show_pruned(found)


def _show(found: "Listing") -> None:
    if not found.environments:
        click.echo("No tool has an environment on this machine yet. Next: stackproof apply")
        return
    _rows("Environments", found.environments)
    click.echo(f"Together {megabytes(found.size_bytes)} in {found.root}, each file counted once.")
    click.echo("`alone`: what the disk gets back when one is removed; the rest is in uv's cache or in others as well.")


def _rows(title: str, environments: "Sequence[Listed]") -> None:
    rows = [
        [
            ", ".join(one.tools) or one.key,
            one.python_version,
            str(one.packages),
            megabytes(one.size_bytes),
            megabytes(one.freed_bytes),
            one.created.strftime("%Y-%m-%d") if one.created else "",
            f"damaged: {one.damage}" if one.damage else one.standing,
            ", ".join(one.used_by) or "no project",
        ]
        for one in environments
    ]
    columns = ["tool", "python", "packages", "size", "alone", "made", "lock", "used by"]
    table(title, columns, rows, numeric=(2, 3, 4), whole=(1, 3, 4, 5))


def _show_pruned(found: "Pruned") -> None:
    if found.removed:
        _rows("Would be removed" if found.dry_run else "Removed", found.removed)
        verb = "would get" if found.dry_run else "got"
        click.echo(
            f"{megabytes(found.size_bytes)}; the disk {verb} {megabytes(found.freed_bytes)} back. "
            "What uv's cache holds as well stays there until: uv cache clean"
        )
    else:
        click.echo("Nothing to remove: every environment is used by a project.")
    for key in found.running:
        click.echo(f"Not removed, a process uses it: {key}", err=True)


def megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"
