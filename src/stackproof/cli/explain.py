"""Command `explain`."""

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stackproof.cli.layout import Cell, Node, branches, heading, mark, rows, say
from stackproof.cli.main import EXIT_NONE_LEFT
from stackproof.cli.options import answers_option, as_of_option, day, facts_option, proofs_option, verbose_option
from stackproof.cli.output import format_option, plain, show_json

if TYPE_CHECKING:
    from stackproof.decide.decision import CriterionScore, Ranking, RoleDecision, Scored, Step

RULES = frozenset({"tree", "table", "guide"})
BESIDE = 4
"""How many tools the table of criteria holds beside each other."""


@click.command()
@click.argument("role")
@answers_option
@as_of_option
@facts_option
@proofs_option
@verbose_option
@format_option
@click.pass_context
def explain(
    ctx: click.Context,
    role: str,
    answers_path: Path | None,
    as_of: datetime.datetime | None,
    overlays: tuple[Path, ...],
    proofs: Path | None,
    verbose: bool,
    format_: str,
) -> None:
    """Explain the decision for one ROLE.

    Every rule, what was struck out, how the tools compare, and what would change it.

    Without --answers everything is assumed. --verbose adds the conditions of rules that don't hold and every rating.
    Exit code 3 when the role has no tool left.

    \b
    Example: stackproof explain serving --answers answers.toml
    """
    from stackproof.usecases import decide as use

    facts = use.known_facts(overlays)
    answers = use.read_answers(answers_path, facts)
    decision = use.decide_for(answers, facts, use.Request(day(as_of), role, proofs=proofs))
    if format_ == "json":
        show_json(_document(decision.to_document()["roles"][role], decision.roles[role]))
    else:
        _show(role, decision.roles[role], verbose=verbose)
        from stackproof.cli.decided import show_conflicts

        show_conflicts(decision)
    ctx.exit(0 if decision.complete else EXIT_NONE_LEFT)


def _document(document: dict[str, Any], choice: "RoleDecision") -> dict[str, Any]:
    """The role as in decision.json, with its whole trace beside it."""
    more = {"path": choice.path, "rankings": choice.rankings, "decisive": choice.decisive}
    return document | {name: plain(value) for name, value in more.items()}


def _show(role: str, choice: "RoleDecision", *, verbose: bool) -> None:
    from stackproof.cli.decided import show_changes, show_role

    show_role(role, choice, brief=True)
    if choice.path:
        heading("How it was decided")
        for line in branches([_node(step, verbose=verbose) for step in choice.path]):
            click.echo(line)
    for ranking in choice.rankings:
        _show_ranking(ranking)
    if choice.rejected:
        heading("Struck out")
        for struck in choice.rejected:
            dated = f", {struck.date}" if struck.date else ""
            say(f"{struck.tool} ({struck.kind}): {struck.because} [{struck.source}{dated}]", label="-", indent=2)
    if choice.flips or choice.decisive is not None:
        heading("What would change this")
        show_changes(choice)


def _node(step: "Step", *, verbose: bool) -> Node:
    """A step of the trace. A rule that doesn't hold is one line, with the first condition that fails."""
    cited = f" [{step.source}{f', {step.date}' if step.date else ''}]" if step.source else ""
    colour = {True: "green", False: "bright_black", None: None}[step.held]
    failing = next((below.text for below in step.below if below.held is False), "")
    if verbose:
        return Node(f"{mark(step.held)}{step.text}{cited}", [_node(b, verbose=True) for b in step.below], colour)
    if step.kind in RULES and step.held is False and failing:
        return Node(f"{mark(step.held)}{step.text}: {failing}{cited}", (), colour)
    below = [_node(one, verbose=False) for one in step.below if one.kind != "criterion"]
    return Node(f"{mark(step.held)}{step.text}{cited}", below, colour)


def _show_ranking(ranking: "Ranking") -> None:
    if not ranking.tools:
        return
    heading(f"How the tools in reach compare{f': {ranking.aspect}' if ranking.aspect else ''}")
    click.echo()
    cells: list[list[Cell]] = [
        [
            (one.tool, "green") if one.tool == ranking.chosen else one.tool,
            f"{one.score:.2f}",
            f"{one.interval[0]:.2f}-{one.interval[1]:.2f}",
            str(sum(not criterion.known for criterion in one.criteria)),
        ]
        for one in ranking.tools
    ]
    rows(cells, ["tool", "score", "interval", "not known"], right=(1, 3), fold=0)
    click.echo()
    _criteria(ranking.tools[:BESIDE])
    for one in ranking.tools:
        if one.tool == ranking.chosen:
            _ratings(one)


def _criteria(tools: "Sequence[Scored]") -> None:
    """One row for each criterion: its weight, and the range in which each of the first tools is rated."""
    cells: list[list[Cell]] = [
        [criterion.name, f"{criterion.weight:g}", *(_range(one.criteria[place]) for one in tools)]
        for place, criterion in enumerate(tools[0].criteria)
    ]
    rows(cells, ["criterion", "weight", *(one.tool for one in tools)], right=range(1, 2 + len(tools)), fold=0)
    say("Ratings lie between 0 and 1; ? is not known, from 0 to 1; * was measured here.")


def _range(criterion: "CriterionScore") -> str:
    if not criterion.known:
        return "?"
    low, high = criterion.rating
    words = f"{low:.2f}" if low == high else f"{low:.2f}-{high:.2f}"
    return f"{words}*" if criterion.measured else words


def _ratings(one: "Scored") -> None:
    """What each rating of the picked tool says and rests on, the heaviest first."""
    heading(f"What the score of {one.tool} rests on")
    for criterion in sorted(one.criteria, key=lambda item: -item.weight):
        weight = f"weight {criterion.weight:g}{f', because {criterion.because}' if criterion.because else ''}"
        dated = f", {criterion.date}" if criterion.date else ""
        text = f"{criterion.name}: {criterion.word} ({_range(criterion)}); {weight} [{criterion.source}{dated}]"
        say(text, label="-", indent=2)
