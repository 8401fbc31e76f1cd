"""A decision as an architecture decision record, in the form of MADR."""

from collections.abc import Iterator

from stackproof.decide.decision import Decision, Reason, RoleDecision

VERDICTS = {"use": "use", "defer": "can wait", "skip": "not needed", "none": "no tool is left"}


def decision_record(decision: Decision) -> str:
    """The whole record as Markdown. The same decision gives the same text."""
    lines = [
        "---",
        "status: proposed",
        f"date: {decision.as_of}",
        "---",
        "",
        "# The MLOps stack",
        "",
        *_context(decision),
        *_drivers(decision),
        *_outcome(decision),
        *_consequences(decision),
        *_roles(decision),
        *_conflicts(decision),
        *_more(decision),
    ]
    return "\n".join(lines) + "\n"


def _context(decision: Decision) -> Iterator[str]:
    yield "## Context and Problem Statement"
    yield ""
    yield "Which tool fills each role of our machine-learning lifecycle, and which role can wait?"
    yield ""
    weakest = decision.readiness.weakest
    if weakest is not None:
        yield f"The weakest of the three questions is *{weakest}*; start with {', '.join(decision.readiness.order)}."
    yield from (f"{reason.text} ({_cited(reason)})." for reason in decision.readiness.because[-1:])
    yield ""


def _drivers(decision: Decision) -> Iterator[str]:
    assumed = {item.key for item in decision.assumed}
    yield "## Decision Drivers"
    yield ""
    for section, table in decision.answers.items():
        given = [f"{key} = {_shown(value)}" for key, value in table.items() if f"{section}.{key}" not in assumed]
        if given:
            yield f"* {section}: {'; '.join(given)}"
    for item in decision.assumed:
        if item.matters_for:
            yield f"* assumed: {item.key} = {_shown(item.value)} (matters for {', '.join(item.matters_for)})"
    yield ""


def _outcome(decision: Decision) -> Iterator[str]:
    yield "## Decision Outcome"
    yield ""
    yield "| role | verdict | tool | main reason |"
    yield "|---|---|---|---|"
    for role, choice in decision.roles.items():
        tools = " + ".join((choice.tool or "-", *choice.beside))
        yield f"| {role} | {VERDICTS[choice.verdict]} | {_cell(tools)} | {_cell(choice.reasons[0].text)} |"
    yield ""


def _consequences(decision: Decision) -> Iterator[str]:
    yield "### Consequences"
    yield ""
    licences = decision.cost.licences
    if licences is not None:
        yield f"* Licences and managed services: ${licences[0]:,.0f} to ${licences[1]:,.0f} a year."
    yield from (f"* {item.text} ({item.source})." for item in decision.cost.assumptions)
    for role, choice in decision.roles.items():
        for warned in choice.warnings:
            yield f"* Bad, because ({role}) {warned.text} ({warned.source}{_day(warned.date)})."
    yield ""


def _roles(decision: Decision) -> Iterator[str]:
    yield "## Pros and Cons of the Options"
    yield ""
    for role, choice in decision.roles.items():
        yield from _role(role, choice)


def _role(role: str, choice: RoleDecision) -> Iterator[str]:
    yield f"### {role}: {choice.tool or VERDICTS[choice.verdict]}"
    yield ""
    yield from (f"* {reason.text} ({_cited(reason)})" for reason in choice.reasons)
    if choice.until:
        yield f"* Until {choice.until}."
    yield from (f"* {line}" for line in choice.because)
    yield from (f"* Alternative: {other.tool}. {other.why_not}." for other in choice.alternatives)
    for struck in choice.rejected:
        yield f"* Struck out: {struck.tool} ({struck.kind}). {struck.because} ({struck.source}{_day(struck.date)})"
    for flip in choice.flips:
        outcome = flip.tool or VERDICTS[flip.verdict]
        yield f"* Would change with {flip.key} = {_shown(flip.after)} (now {_shown(flip.before)}): {outcome}"
    if choice.migration is not None:
        steps = "; ".join(choice.migration.steps)
        yield f"* From {choice.migration.source_tool}: {steps}"
    yield ""


def _conflicts(decision: Decision) -> Iterator[str]:
    if decision.conflicts:
        yield "## Where sources disagree"
        yield ""
        for found in decision.conflicts:
            yield f"* {found.text}. Followed: {found.followed} ({'; '.join(found.sources)})."
        yield ""


def _more(decision: Decision) -> Iterator[str]:
    yield "## More Information"
    yield ""
    yield f"Decided by Stackproof {decision.stackproof} as of {decision.as_of}, from the facts {decision.facts_digest}."


def _cited(reason: Reason) -> str:
    return f"{reason.source}{_day(reason.date)}"


def _day(day: object | None) -> str:
    return "" if day is None else f", {day}"


def _shown(value: object) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(str(item) for item in value)}]"
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
