"""Commands `decide`, `explain` and `compare`."""

import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stackproof.cli.main import EXIT_NONE_LEFT
from stackproof.cli.output import format_option, show_json, table
from stackproof.roles import ROLES

if TYPE_CHECKING:
    from stackproof.decide import Answers, Decision
    from stackproof.decide.decision import RoleDecision
    from stackproof.facts import Facts
    from stackproof.facts.model import Question

answers_option = click.option(
    "--answers", "answers_path", type=click.Path(path_type=Path, dir_okay=False),
    help="A file of answers (answers.toml).",
)  # fmt: skip
as_of_option = click.option(
    "--as-of", type=click.DateTime(["%Y-%m-%d"]), metavar="YYYY-MM-DD",
    help="Decide with the facts of that day; today when left out.",
)  # fmt: skip


@click.command()
@answers_option
@click.option(
    "--format", "format_", type=click.Choice(["text", "json", "markdown"]), default="text", show_default=True,
    help="How to show it.",
)  # fmt: skip
@click.option(
    "--out", type=click.Path(path_type=Path),
    help="Write decision.json, decision.md, stack.toml and answers.toml to this folder.",
)  # fmt: skip
@as_of_option
@click.option("--role", help=f"Only this role: {', '.join(ROLES)}.")
@click.option("--sensitivity/--no-sensitivity", default=True, help="Try every single other answer.", show_default=True)
@click.pass_context
def decide(
    ctx: click.Context,
    answers_path: Path | None,
    format_: str,
    out: Path | None,
    as_of: datetime.datetime | None,
    role: str | None,
    sensitivity: bool,
) -> None:
    """Decide a stack from a team's answers and explain why.

    Without --answers the questions are asked here. Exit code 3 when some role has no tool left.

    \b
    Example: stackproof decide --answers answers.toml --out decided
    """
    from stackproof.facts import load_facts
    from stackproof.usecases import decide as use

    facts = load_facts()
    answers = use.read_answers(answers_path, facts) if answers_path else _ask(facts)
    decision = use.decide_for(answers, facts, as_of=_day(as_of), role=role, sensitivity=sensitivity)
    written = use.write_decision(decision, out) if out is not None else []
    if format_ == "json":
        click.echo(use.decision_json(decision), nl=False)
    elif format_ == "markdown":
        from stackproof.decide.markdown import decision_record

        click.echo(decision_record(decision), nl=False)
    else:
        _show(decision)
    for file in written:
        click.echo(f"wrote {file}", err=format_ != "text")
    ctx.exit(0 if decision.complete else EXIT_NONE_LEFT)


@click.command()
@click.argument("role")
@answers_option
@as_of_option
@format_option
@click.pass_context
def explain(
    ctx: click.Context, role: str, answers_path: Path | None, as_of: datetime.datetime | None, format_: str
) -> None:
    """Explain the decision for one ROLE.

    Every rule, what was struck out, and what would change it.

    Without --answers everything is assumed. Exit code 3 when the role has no tool left.

    \b
    Example: stackproof explain serving --answers answers.toml
    """
    from stackproof.usecases import decide as use

    decision = use.explain(answers_path, role, as_of=_day(as_of))
    if format_ == "json":
        show_json(decision.to_document()["roles"][role])
    else:
        _show_role(role, decision.roles[role])
        _show_conflicts(decision)
    ctx.exit(0 if decision.complete else EXIT_NONE_LEFT)


@click.command()
@click.argument("tools", nargs=-1, required=True)
@format_option
def compare(tools: tuple[str, ...], format_: str) -> None:
    """Compare TOOLS side by side, with dates and sources.

    \b
    Example: stackproof compare mlflow wandb neptune
    """
    from stackproof.usecases import decide as use

    known = use.compare(tools)
    if format_ == "json":
        show_json(known)
        return
    keys = [key for key in use.COMPARED if any(key in facts for facts in known.values())]
    rows = [[key, *(_stated(facts.get(key)) for facts in known.values())] for key in keys]
    table("What is known", ["", *known], rows)


def _day(as_of: datetime.datetime | None) -> datetime.date:
    return (as_of or datetime.datetime.now(datetime.UTC)).date()


def _stated(fact: dict[str, Any] | None) -> str:
    if fact is None:
        return "not known"
    if fact["confidence"] == "not_verified":
        return "not verified"
    value = ", ".join(fact["value"]) if isinstance(fact["value"], list) else str(fact["value"])
    when = f"since {fact['since']}; " if fact["since"] else ""
    return f"{value} ({when}{'read ' + fact['date'] if fact['date'] else 'undated'})"


def _show(decision: "Decision") -> None:
    rows = [
        [role, choice.verdict, " + ".join((choice.tool or "", *choice.beside)), choice.reasons[0].text]
        for role, choice in decision.roles.items()
    ]
    table(f"The stack, as of {decision.as_of}", ["role", "verdict", "tool", "main reason"], rows)
    warned = [[role, warning.text] for role, choice in decision.roles.items() for warning in choice.warnings]
    if warned:
        table("Know before you start", ["role", "warning"], warned)
    for role, choice in decision.roles.items():
        for line in choice.because:
            click.echo(f"{role}: {line}")
    matters = [[item.key, _value(item.value), ", ".join(item.matters_for)] for item in decision.assumed]
    mattering = [row for row in matters if row[2]]
    if mattering:
        table("Assumed, and it matters", ["question", "assumed", "for"], mattering)
    _show_conflicts(decision)
    if decision.readiness.weakest:
        order = ", ".join(decision.readiness.order)
        click.echo(f"Start with the weakest question, {decision.readiness.weakest}: {order}")
    click.echo("Why: stackproof explain ROLE --answers FILE")


def _show_role(role: str, choice: "RoleDecision") -> None:
    tools = " + ".join((choice.tool, *choice.beside)) if choice.tool else "no tool"
    click.echo(f"{role}: {choice.verdict}, {tools}{f'; until {choice.until}' if choice.until else ''}\n")
    reasons = [
        [reason.text, f"{reason.source}{f', {reason.date}' if reason.date else ''}"] for reason in choice.reasons
    ]
    table("Why", ["reason", "source"], reasons)
    warned = [[w.text, f"{w.source}{f', {w.date}' if w.date else ''}"] for w in choice.warnings]
    struck = [[s.tool, s.kind, s.because] for s in choice.rejected]
    other = [[a.tool, a.why_not] for a in choice.alternatives]
    flips = [[f.key, _value(f.before), _value(f.after), f.tool or f.verdict] for f in choice.flips]
    for title, columns, rows in (
        ("Know before you start", ["warning", "source"], warned),
        ("Alternatives", ["tool", "why not"], other),
        ("Struck out", ["tool", "by", "because"], struck),
        ("What would change this", ["answer", "from", "to", "then"], flips),
    ):
        if rows:
            table(title, columns, rows)
    for line in choice.because:
        click.echo(line)


def _show_conflicts(decision: "Decision") -> None:
    if decision.conflicts:
        rows = [[found.text, found.followed] for found in decision.conflicts]
        table("Where sources disagree", ["what", "followed"], rows)


def _value(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(value) or "none"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _ask(facts: "Facts") -> "Answers":
    """Ask every question; Enter or ? leaves it open, so that the default is assumed."""
    from stackproof.usecases import decide as use

    answers = use.read_answers(None, facts)
    click.echo("Enter takes the value in brackets as an assumption, and so does ? for don't know.", err=True)
    for question in use.questions_to_ask(facts):
        value = _ask_one(question, facts)
        if value is not None:
            answers = answers.changed(question.key, value)
    return answers


def _ask_one(question: "Question", facts: "Facts") -> Any:
    from stackproof.errors import RefusedInput
    from stackproof.usecases import decide as use

    choices = " (any of " if question.type == "choices" else " ("
    allowed = f"{choices}{', '.join(question.allowed)})" if question.allowed else ""
    if question.type == "bool":
        allowed = " (yes, no)"
    while True:
        typed = click.prompt(
            f"{question.text}{allowed} [{_value(question.default)}]", default="", show_default=False, err=True
        )
        try:
            return use.understood(question, typed, facts)
        except RefusedInput as refused:
            click.echo(str(refused), err=True)
