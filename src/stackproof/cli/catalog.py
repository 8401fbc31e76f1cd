"""Command `catalog`: what is known of the tools, and keeping it true."""

import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stackproof.cli.main import EXIT_FAILED, EXIT_NO
from stackproof.cli.options import day, facts_option
from stackproof.cli.output import console, format_option, show_json, table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from stackproof.usecases.catalog import Known
    from stackproof.usecases.check_facts import Checked, Finding
    from stackproof.usecases.refresh import Refreshed, Told

LISTING = "list"
TITLES = {
    "expired": "Expired: read too long ago to decide by",
    "contradicting": "Contradicting",
    "undated": "Without a date: nobody can say how old",
    "missing": "Missing",
}


class ToolOrCommand(click.Group):
    """A group whose first argument may also be a tool: what is no command is one."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        asks_for_help = bool(args) and args[0] in ctx.help_option_names
        if not asks_for_help and not (args and args[0] in self.commands and args[0] != LISTING):
            args = [LISTING, *args]
        return super().parse_args(ctx, args)

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_usage(ctx.command_path, "[OPTIONS] [TOOL]")
        for name in self.list_commands(ctx):
            if name != LISTING:
                formatter.write_usage(ctx.command_path, f"{name} --help", prefix="       ")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        click.Command.format_options(self.commands[LISTING], ctx, formatter)
        self.format_commands(ctx, formatter)


@click.group(cls=ToolOrCommand)
def catalog() -> None:
    """List the tools that are known, or show one TOOL with its sources.

    \b
    Example: stackproof catalog mlflow
    """


@catalog.command(LISTING, hidden=True)
@click.argument("tool", required=False)
@click.option("--role", help="Only the tools that can fill this role.")
@facts_option
@format_option
def list_(tool: str | None, role: str | None, overlays: tuple[Path, ...], format_: str) -> None:
    """List the tools that are known, or show one TOOL with its sources."""
    from stackproof.errors import UnknownName
    from stackproof.roles import ROLES
    from stackproof.usecases import catalog as use

    if role is not None and role not in ROLES:
        raise UnknownName("role", role, ROLES)
    known_tools = use.catalog(tool, overlays)
    found = [known for known in known_tools if role is None or role in known.roles or role in known.parts]
    if format_ == "json":
        show_json(found[0] if tool is not None and found else found)
    elif tool is not None:
        for known in found:
            _show(known)
    else:
        rows = [[k.id, k.status, ", ".join(k.roles or k.parts) or "platform", k.released] for k in found]
        table(f"{len(found)} tools", ["tool", "status", "roles", "released"], rows)
        click.echo("More: stackproof catalog TOOL")


@catalog.command()
@click.argument("tools", nargs=-1)
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
    help="Write the folder of facts there; by default to your own, which every decision reads.",
)  # fmt: skip
@click.option(
    "--in-place", type=click.Path(path_type=Path, file_okay=False, exists=True), metavar="DIR",
    help="Edit the releases of this whole folder of facts instead, and nothing else in its files.",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Show what changed and write nothing.")
@facts_option
@format_option
@click.pass_context
def refresh(
    ctx: click.Context,
    tools: tuple[str, ...],
    out: Path | None,
    in_place: Path | None,
    dry_run: bool,
    overlays: tuple[Path, ...],
    format_: str,
) -> None:
    """Bring releases up to date from the package index.

    It asks the index that pip is configured for, for the packages of TOOLS or of all tools, writes what it says into
    a folder of facts of yours, and shows what changed. Exit code 4 when a package could not be asked for.

    \b
    Example: stackproof catalog refresh mlflow feast --dry-run
    """
    from stackproof.usecases import refresh as use

    today = datetime.datetime.now(datetime.UTC).date()
    done = use.refresh(
        tools, today=today, out=out, in_place=in_place, dry_run=dry_run, overlays=overlays, progress=_progress()
    )
    if format_ == "json":
        show_json(done)
    else:
        _show_refreshed(done, dry_run)
    ctx.exit(EXIT_FAILED if done.failed else 0)


@catalog.command()
@click.option(
    "--as-of", type=click.DateTime(["%Y-%m-%d"]), metavar="YYYY-MM-DD",
    help="Judge ages on that day; today when left out.",
)  # fmt: skip
@facts_option
@format_option
@click.pass_context
def check(ctx: click.Context, as_of: datetime.datetime | None, overlays: tuple[Path, ...], format_: str) -> None:
    """Check what is known: expired, contradicting, without a date, missing.

    Exit code 1 when something is expired or contradicting.

    \b
    Example: stackproof catalog check --facts our-facts
    """
    from stackproof.usecases.check_facts import CATEGORIES, check_catalog

    checked = check_catalog(as_of=day(as_of), overlays=overlays)
    if format_ == "json":
        counts = {category: len(checked.of(category)) for category in CATEGORIES}
        show_json({"as_of": checked.as_of, "sound": checked.sound, "counts": counts, "findings": checked.findings})
    else:
        _show_checked(checked)
    ctx.exit(0 if checked.sound else EXIT_NO)


def _show(known: "Known") -> None:
    click.echo(f"{known.name} ({known.id}): {', '.join(known.roles or known.parts) or 'fills no role by itself'}")
    if known.replaced_by:
        click.echo(f"In its place: {', '.join(known.replaced_by)}")
    rows = []
    for key, fact in known.facts.items():
        if fact["confidence"] == "not_verified":
            text = "not verified"
        else:
            value = ", ".join(fact["value"]) if isinstance(fact["value"], list) else str(fact["value"])
            text = f"{value}: {fact['detail']}" if fact["detail"] else value
        rows.append([key, text, fact["confidence"], fact["date"] or "undated", fact["source"]])
    table("", ["fact", "value", "confidence", "read", "source"], rows)
    modes = [
        [f"{m['hosting']}{' on Kubernetes' if m['kubernetes'] else ''}", m["cost"], _price(m), m["note"], m["source"]]
        for m in known.modes
    ]
    table("Ways of running it", ["hosting", "cost", "US dollars a year", "", "source"], modes)


def _price(mode: dict[str, Any]) -> str:
    seat, whole = mode["usd_per_seat_year"], mode["usd_per_year"]
    low, high = seat or whole or (0, 0)
    if not high:
        return ""
    amount = f"{low:,.0f}" if low == high else f"{low:,.0f} to {high:,.0f}"
    return f"{amount} a seat" if seat else amount


def _progress() -> "Callable[[int, int], None]":
    """One line on stderr that counts, when somebody looks."""
    if not console(error=True).is_terminal:
        return lambda done, total: None
    return lambda done, total: click.echo(
        f"\rasked for {done} of {total} packages" + ("\n" if done == total else ""), err=True, nl=False
    )


def _show_refreshed(done: "Refreshed", dry_run: bool) -> None:
    further = f" (and of {', '.join(done.further)} what it lacks)" if done.further else ""
    click.echo(f"Asked {done.index}{further} for {done.asked} packages.")
    if done.changes:
        rows = [[c.tool, c.package, c.fact, c.was or "not known", c.now or "none"] for c in done.changes]
        table("What changed", ["tool", "package", "fact", "was", "is"], rows)
    if done.notes:
        table("What to look at", ["tool", "what"], [[tools, text] for text, tools in _by_text(done.notes)])
    changed = len({change.tool for change in done.changes})
    unasked = f"; without a package to ask for: {', '.join(done.unasked)}" if done.unasked else ""
    click.echo(f"Tools that changed: {changed}; as they were: {len(done.confirmed)}{unasked}.")
    if dry_run:
        click.echo("Nothing was written.")
    elif done.written:
        click.echo(f"Wrote {len(done.written)} files in {done.written[0].parent}.")
    else:
        click.echo("Nothing had to be written.")
    if done.failed:
        click.echo(f"No usable answer about: {', '.join(done.failed)}. They stay as they were.", err=True)


def _by_text(notes: "Iterable[Told]") -> list[tuple[str, str]]:
    """Each text once, with the tools that it is about."""
    tools: dict[str, list[str]] = {}
    for note in notes:
        tools.setdefault(note.text, []).append(note.tool)
    return [(text, ", ".join(names)) for text, names in tools.items()]


def _show_checked(checked: "Checked") -> None:
    from stackproof.usecases.check_facts import CATEGORIES

    counts = ", ".join(f"{len(checked.of(category))} {category}" for category in CATEGORIES)
    click.echo(f"{checked.tools} tools as of {checked.as_of}: {counts}.")
    for category in CATEGORIES:
        found = checked.of(category)
        if found and category in ("undated", "missing"):
            table(TITLES[category], ["tool", "what"], _gathered(found))
        elif found:
            rows = [[f.tool, f.key, f.text, f.source] for f in found]
            table(TITLES[category], ["tool", "what", "", "source"], rows)
    if checked.of("expired"):
        click.echo("Releases: stackproof catalog refresh. The rest is read again by a person, or overlaid: --facts DIR")


def _gathered(found: "Iterable[Finding]") -> list[list[str]]:
    """What is missing of each tool on one line: there is much of it, and its sentences repeat themselves."""
    keys: dict[str, list[str]] = {}
    for finding in found:
        keys.setdefault(finding.tool, []).append(finding.key)
    return [[tool, ", ".join(each)] for tool, each in keys.items()]
