"""A decision as a person reads it in the terminal."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import click

from stackproof.cli.layout import LABEL, WIDEST, Cell, heading, rows, say, width

if TYPE_CHECKING:
    from stackproof.decide.contradictory import Contradiction
    from stackproof.decide.decision import ConflictFound, Cost, Decision, Migration, Reason, RoleDecision, Warned

COLOURS = {"use": "green", "defer": "yellow", "skip": "bright_black", "none": "red"}
OF_ANSWERS = "your answers"
"""How the source of a warning begins that is about the answers; those are told apart from the roles."""

SHOWN_ASSUMPTIONS = 6
FIRST_STEPS = 3


def show(
    decision: "Decision",
    contradictions: "Sequence[Contradiction]" = (),
    *,
    answers_file: str = "",
    written: str = "",
    verbose: bool = False,
) -> None:
    """The stack, why, what it costs, what to do first. `answers_file`, `written`: for the commands to run next."""
    _table(decision)
    _contradicting(decision, contradictions)
    heading("Why")
    for role, choice in decision.roles.items():
        click.echo()
        (show_role if verbose else _brief)(role, choice)
    _assumed(decision, everything=verbose)
    _cost(decision, everything=verbose)
    if verbose:
        _options(decision)
        show_conflicts(decision)
    elif count := len(_of_sources(decision)):
        places = "1 place" if count == 1 else f"{count} places"
        click.echo()
        say(f"Sources disagree with each other or with today's facts in {places}: --verbose shows which was followed.")
    _resolution(decision)
    _first(decision, answers_file, written)


def _of_sources(decision: "Decision") -> "list[ConflictFound]":
    """Conflicts between sources; those between answers are told apart."""
    return [found for found in decision.conflicts if not found.text.startswith(OF_ANSWERS)]


def _table(decision: "Decision") -> None:
    click.echo(click.style(f"The stack, as of {decision.as_of}", bold=True))
    click.echo()
    cells: list[list[Cell]] = [
        [
            role,
            (choice.verdict, COLOURS[choice.verdict]),
            tools(choice) if choice.verdict == "use" else "-",
            _score(choice),
            f"{choice.stability:.0%}" if choice.stability is not None else "-",
            span(choice.hours_per_month),
        ]
        for role, choice in decision.roles.items()
    ]
    columns = ["role", "verdict", "tool", "score (interval)", "stability", "hours/month"]
    if width() < WIDEST:
        columns[4:] = ["stable", "h/month"]
    rows(cells, columns, right=(4, 5), fold=2)


def tools(choice: "RoleDecision") -> str:
    return " + ".join((choice.tool, *choice.beside)) if choice.tool else "no tool"


def _score(choice: "RoleDecision") -> str:
    if choice.score is None or choice.verdict != "use":
        return "-"
    low, high = choice.interval or (choice.score, choice.score)
    return f"{choice.score:.2f} ({low:.2f}-{high:.2f})"


def span(hours: tuple[float, float] | None) -> str:
    """A range of numbers, "-" where there is none."""
    if hours is None:
        return "-"
    low, high = (f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.1f}" for value in hours)
    return low if low == high else f"{low}-{high}"


def dollars(amount: tuple[float, float] | None) -> str:
    if amount is None:
        return "not priced"
    low, high = (f"${value:,.0f}" for value in amount)
    return low if low == high else f"{low} to {high}"


def _contradicting(decision: "Decision", contradictions: "Sequence[Contradiction]") -> None:
    if not contradictions:
        return
    heading("Your answers contradict each other: which one is right?")
    assumed = {item.key for item in decision.assumed}
    for found in contradictions:
        click.echo()
        say(f"{found.text}.", label="?", indent=2, colour="yellow")
        for key in found.keys:
            section, _, name = key.partition(".")
            value = shown(decision.answers.get(section, {}).get(name))
            say(f"{key} = {value}{' (assumed)' if key in assumed else ''}", label=" ", indent=2)
    click.echo()
    say("Nothing was guessed: the decision takes every answer as it stands. Change the one that is wrong.", indent=2)


def _brief(role: str, choice: "RoleDecision") -> None:
    """Two or three lines: the main reason, what nearly won, the strongest warning."""
    _title(role, choice)
    if choice.verdict != "none":
        say(cited(choice.reasons[0]), label="because", indent=2)
    if choice.until:
        say(choice.until, label="until", indent=2)
    for line in choice.because:
        say(line, label="because" if line is not choice.because[-1] else "way out", indent=2, colour="red")
    if choice.alternatives:
        nearest = choice.alternatives[0]
        say(f"{nearest.tool}: {nearest.why_not}", label="instead of", indent=2)
    warned = _of_tools(choice.warnings)
    if warned:
        more = f" (and {len(warned) - 1} more: --verbose)" if len(warned) > 1 else ""
        say(f"{_briefly_cited(warned[0])}{more}", label="but", indent=2, colour="yellow")


def _title(role: str, choice: "RoleDecision") -> None:
    words = {
        "use": tools(choice),
        "defer": "can wait; the embedded default fills it meanwhile",
        "skip": "not needed",
        "none": "no tool is left",
    }
    click.echo(f"{click.style(role, bold=True)}: {click.style(words[choice.verdict], fg=COLOURS[choice.verdict])}")


def _of_tools(warnings: "Iterable[Warned]") -> "list[Warned]":
    return [warned for warned in warnings if not warned.source.startswith(OF_ANSWERS)]


def cited(said: "Reason | Warned") -> str:
    """What is said, with its source and day."""
    return f"{said.text} [{said.source}{f', {said.date}' if said.date else ''}]"


def _briefly_cited(warned: "Warned") -> str:
    """The facts of a tool are named without what they rest on: `explain` and `catalog` tell that."""
    facts, colon, _ = warned.source.partition(": ")
    source = facts if colon and facts.startswith("facts of ") else warned.source
    return f"{warned.text} [{source}, {warned.date or 'undated'}]"


def show_role(role: str, choice: "RoleDecision", *, brief: bool = False) -> None:
    """Everything about one role but its trace; `brief`: without what `explain` shows in parts of their own."""
    _title(role, choice)
    for reason in choice.reasons:
        say(cited(reason), label=reason.kind, indent=2)
    if choice.until:
        say(choice.until, label="until", indent=2)
    for line in choice.because:
        say(line, label="no tool", indent=2, colour="red")
    for warned in choice.warnings if brief else _of_tools(choice.warnings):
        say(cited(warned), label="but", indent=2, colour="yellow")
    for other in choice.alternatives:
        say(f"{other.tool}: {other.why_not}", label="instead of", indent=2)
    if choice.migration is not None:
        _migration(choice)
    if not brief:
        for struck in choice.rejected:
            dated = f", {struck.date}" if struck.date else ""
            text = f"{struck.tool} ({struck.kind}): {struck.because} [{struck.source}{dated}]"
            say(text, label="struck out", indent=2)
        show_changes(choice)


def show_changes(choice: "RoleDecision") -> None:
    """What would change the role: other answers, and the statement that matters most."""
    for flip in choice.flips:
        then = {"skip": "not needed", "none": "no tool is left", "defer": "can wait"}.get(flip.verdict) or flip.tool
        say(
            f"{flip.key} = {shown(flip.after)} (now {shown(flip.before)}): {then}",
            label="would be",
            indent=2,
            colour="cyan",
        )
    if choice.decisive is not None:
        found = choice.decisive
        dated = f", {found.date}" if found.date else ""
        say(f"{found.text} [{found.source}{dated}]", label="hangs on", indent=2, colour="cyan")


def _migration(choice: "RoleDecision") -> None:
    if choice.migration is None:
        return
    effort = choice.migration.effort_days
    days = f" ({span(effort)} days of one person)" if effort is not None else ""
    say(f"from {choice.migration.source_tool}{days}:", label="moving", indent=2)
    for number, step in enumerate(choice.migration.steps, 1):
        say(step, label=f"{number}.", indent=2 + LABEL)


def _assumed(decision: "Decision", *, everything: bool) -> None:
    mattering = [item for item in decision.assumed if item.matters_for]
    listed = list(decision.assumed) if everything else mattering[:SHOWN_ASSUMPTIONS]
    if not listed:
        return
    heading("Assumed" if everything else "Assumed, and it matters")
    click.echo()
    longest = max(len(item.key) for item in listed)
    for item in listed:
        matters = f"(matters for {', '.join(item.matters_for)})" if item.matters_for else ""
        say(f"{item.key.ljust(longest)}  {shown(item.value)} {matters}", indent=2)
    if not everything and len(mattering) > len(listed):
        say(f"and {len(mattering) - len(listed)} more: --verbose", indent=2)


def _cost(decision: "Decision", *, everything: bool) -> None:
    heading("What it costs, US dollars a year")
    click.echo()
    for label, amount in _amounts(decision.cost):
        say(dollars(amount), label=label.ljust(20), indent=2)
    if decision.hours_per_month is not None:
        there = decision.hours_available
        able = f", of about {there:,.0f} that your people can give" if there is not None else ""
        say(f"{span(decision.hours_per_month)} hours a month{able}", label="to operate it".ljust(20), indent=2)
    assumptions = decision.cost.assumptions
    if everything:
        for item in assumptions:
            say(f"{item.text} [{item.source}]", label="assumed", indent=2)
    elif assumptions:
        counted = "1 assumption" if len(assumptions) == 1 else f"{len(assumptions)} assumptions"
        say(f"They rest on {counted}: --verbose", indent=2)


def _amounts(cost: "Cost") -> list[tuple[str, tuple[float, float] | None]]:
    return [
        ("licences, services", cost.licences),
        ("infrastructure", cost.infrastructure),
        ("people's time", cost.people),
        ("in all", cost.total),
        ("in three years", cost.three_years),
    ]


def _options(decision: "Decision") -> None:
    if decision.alternative_stacks:
        heading("Other stacks")
    for stack in decision.alternative_stacks:
        click.echo()
        say(f"{stack.name} (score {stack.score:.2f}): {stack.differs_because}", indent=2)
        chosen = "; ".join(f"{role} {' + '.join(names)}" for role, names in stack.roles.items() if names)
        say(chosen, label="tools", indent=4)
        say(f"{dollars(stack.cost.total)} a year, {span(stack.hours_per_month)} hours a month", label="takes", indent=4)


def show_conflicts(decision: "Decision") -> None:
    conflicts = _of_sources(decision)
    if conflicts:
        heading("Where sources disagree")
    for found in conflicts:
        click.echo()
        say(found.text, indent=2)
        say(found.followed, label="followed", indent=4)
        for source in found.sources:
            say(source, label="source", indent=4)


def _resolution(decision: "Decision") -> None:
    """Whether the chosen packages install together, and which need an environment of their own."""
    found = decision.resolution
    if found is None:
        return
    heading(f"Do the packages install together, on Python {found['python']}?")
    click.echo()
    said = {True: "Yes, all of them.", False: "Not all of them.", None: "None of the chosen tools is a Python package."}
    say(said[found["together"]], indent=2)
    if found["conflict"] is not None:
        conflict = found["conflict"]
        say(f"{' and '.join(conflict['tools'])}: {conflict['because']}", label="conflict", indent=2, colour="yellow")
    click.echo()
    cells = [
        [name, one["requirement"], one["version"] or "-", one["environment"]] for name, one in found["tools"].items()
    ]
    if cells:
        rows(cells, ["tool", "requirement", "version", "environment"], fold=1)
    for name, one in found["tools"].items():
        if one["because"]:
            say(f"{name}: {one['because']}", label="-", indent=2)
    if found["unasked"]:
        say(f"Not asked, because it is no Python package or was not tested: {', '.join(found['unasked'])}", indent=2)


def _first(decision: "Decision", answers_file: str, written: str) -> None:
    """The weakest question, the first steps of a migration, the next commands."""
    heading("What to do first")
    click.echo()
    weakest = decision.readiness.weakest
    number = 0
    if weakest is not None:
        number += 1
        order = ", then ".join(decision.readiness.order)
        say(f"The weakest of the three questions is {weakest}: {order}.", label=f"{number}.", indent=2)
    for role, choice in sorted(decision.roles.items(), key=lambda item: _place(item[0], decision)):
        if choice.migration is not None:
            number += 1
            say(f"{role}: the way from {choice.migration.source_tool}.", label=f"{number}.", indent=2)
            _first_steps(choice.migration)
            break
    for line in _commands(decision, answers_file, written):
        number += 1
        say(line, label=f"{number}.", indent=2)


def _first_steps(moving: "Migration") -> None:
    for step in moving.steps[:FIRST_STEPS]:
        say(step, label="-", indent=5)
    if len(moving.steps) > FIRST_STEPS:
        say(f"and {len(moving.steps) - FIRST_STEPS} more: --verbose", label="-", indent=5)


def _place(role: str, decision: "Decision") -> int:
    order = decision.readiness.order
    return order.index(role) if role in order else len(order)


def _commands(decision: "Decision", answers_file: str, written: str) -> list[str]:
    given = f" --answers {answers_file}" if answers_file else ""
    used = next((role for role, choice in decision.roles.items() if choice.verdict in ("use", "none")), "tracking")
    lines = [f"stackproof explain {used}{given}"]
    if written:
        return [f"stackproof review {written}", *lines]
    return [*lines, f"stackproof decide{given} --out decided"] if answers_file else lines


def shown(value: object) -> str:
    """An answer as a person writes it."""
    if value is None:
        return "not said"
    if isinstance(value, (tuple, list)):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
