"""Command `review`."""

import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stackproof.cli.layout import heading, say
from stackproof.cli.main import EXIT_NO
from stackproof.cli.options import day, facts_option, proofs_option
from stackproof.cli.output import plain, show_json

if TYPE_CHECKING:
    from stackproof.usecases.review import Changed, Review, RoleReview, Statement, ToolReview

COLOURS = {"sound": "green", "doubtful": "yellow", "unsound": "red"}
WORDS = {"sound": "sound", "doubtful": "doubtful", "unsound": "no longer sound"}


@click.command()
@click.argument("decision", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--as-of", type=click.DateTime(["%Y-%m-%d"]), metavar="YYYY-MM-DD",
    help="Hold it against the facts of that day; today when left out.",
)  # fmt: skip
@facts_option
@proofs_option
@click.option(
    "--format", "format_", type=click.Choice(["text", "json", "markdown"]), default="text", show_default=True,
    help="How to show it.",
)  # fmt: skip
@click.pass_context
def review(
    ctx: click.Context,
    decision: Path,
    as_of: datetime.datetime | None,
    overlays: tuple[Path, ...],
    proofs: Path | None,
    format_: str,
) -> None:
    """Hold an earlier decision against what is known today.

    DIR is the folder that `decide --out` wrote, or its decision.json. Exit code 1 when a chosen tool is no longer
    sound: out of maintenance, or beyond what the answers allow. Another pick alone is told and ends with 0.

    \b
    Example: stackproof review decided
    """
    from stackproof.usecases import review as use
    from stackproof.usecases.decide import known_facts

    found = use.review(decision, known_facts(overlays), as_of=day(as_of), proofs=proofs)
    if format_ == "json":
        show_json(_document(found))
    elif format_ == "markdown":
        click.echo("\n".join(_markdown(found)))
    else:
        _show(found)
    ctx.exit(0 if found.sound else EXIT_NO)


def _document(found: "Review") -> dict[str, Any]:
    document: dict[str, Any] = plain(found)
    for role, shown in zip(found.roles, document["roles"], strict=True):
        shown["changed"] = role.changed
    return {"sound": found.sound, **document}


def _show(found: "Review") -> None:
    click.echo(click.style(_title(found), bold=True))
    say(_summary(found), colour=None if found.sound else "red")
    for note in found.notes:
        say(note, label="!", indent=2, colour="yellow")
    changed = [role for role in found.roles if role.changed]
    if changed:
        heading("Decided today, another pick")
        for role in changed:
            say(f"{role.before} -> {role.after}", label=role.role.ljust(14), indent=2, colour="cyan")
            say(_cited(role.why), label="because".ljust(14), indent=2)
    heading("Tool by tool")
    for tool in found.tools:
        click.echo(f"  {_styled(tool)}")
        if tool.because is not None:
            say(_cited(tool.because), label="because", indent=4)
        for change in tool.changes:
            for label, said in _said(change):
                say(said, label=label, indent=4)
    moved = [role for role in found.roles if role.score_moved]
    if moved:
        heading("Scores that moved")
        for role in moved:
            say(f"{role.score_before:.2f} -> {role.score_after:.2f}", label=role.role.ljust(14), indent=2)
    click.echo()
    say(f"Next: {_next(found)}")


def _title(found: "Review") -> str:
    return f"Decided on {found.decided}, held against what is known on {found.as_of}"


def _summary(found: "Review") -> str:
    counts = {verdict: [tool.tool for tool in found.tools if tool.verdict == verdict] for verdict in WORDS}
    said = [f"{len(names)} {WORDS[verdict]}" for verdict, names in counts.items() if names]
    facts = "Nothing that is known has changed since." if found.same_facts else "What is known has changed since."
    return f"Of {len(found.tools)} chosen tools: {', '.join(said) or 'none in use'}. {facts}"


def _styled(tool: "ToolReview") -> str:
    verdict = click.style(WORDS[tool.verdict], fg=COLOURS[tool.verdict])
    return f"{click.style(tool.tool, bold=True)} ({', '.join(tool.roles)}): {verdict}"


def _said(change: "Changed") -> Iterator[tuple[str, str]]:
    if change.before is not None and change.after is not None:
        yield "then", _cited(change.before)
        yield "now", _cited(change.after)
    elif change.after is not None:
        yield "new", _cited(change.after)
    elif change.before is not None:
        yield "no longer", _cited(change.before)


def _cited(said: "Statement") -> str:
    return f"{said.text} [{said.source}{f', {said.date}' if said.date else ''}]"


def _next(found: "Review") -> str:
    folder = Path(found.file).parent
    if any(tool.verdict == "doubtful" for tool in found.tools) and found.sound and found.same_facts:
        return "stackproof catalog refresh, then this again"
    if found.sound and not any(role.changed for role in found.roles):
        return f"nothing to decide; again in a while: stackproof review {folder}"
    return f"stackproof decide --answers {folder / 'answers.toml'} --out {folder}"


def _markdown(found: "Review") -> Iterator[str]:
    """For the summary of a scheduled job, or the text of an issue."""
    yield f"## {_title(found)}"
    yield ""
    yield _summary(found)
    yield from (f"\n> {note}" for note in found.notes)
    yield ""
    yield "| tool | roles | verdict | because |"
    yield "|---|---|---|---|"
    for tool in found.tools:
        because = _cell(_cited(tool.because)) if tool.because is not None else ""
        yield f"| {tool.tool} | {', '.join(tool.roles)} | {WORDS[tool.verdict]} | {because} |"
    changed = [role for role in found.roles if role.changed]
    if changed:
        yield "\n### Decided today, another pick\n"
        yield from (_pick(role) for role in changed)
    if any(tool.changes for tool in found.tools):
        yield "\n### What changed\n"
        for tool in found.tools:
            for change in tool.changes:
                said = "; ".join(f"{label}: {text}" for label, text in _said(change))
                yield f"* **{tool.tool}** {said}"
    moved = [role for role in found.roles if role.score_moved]
    if moved:
        yield "\n### Scores that moved\n"
        yield from (f"* {role.role}: {role.score_before:.2f} -> {role.score_after:.2f}" for role in moved)
    yield f"\nNext: `{_next(found)}`"


def _pick(role: "RoleReview") -> str:
    return f"* **{role.role}**: {role.before} -> {role.after}. {_cited(role.why)}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
