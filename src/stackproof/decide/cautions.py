"""What a team that takes a tool must know: its lifecycle, its price, its limits, the age of what is known."""

import datetime
from collections.abc import Iterator

from stackproof.decide.answers import Answers
from stackproof.decide.choice import Choice, Judged
from stackproof.decide.citing import fact_warning, of_tool
from stackproof.decide.conditions import all_hold
from stackproof.decide.decision import Warned
from stackproof.decide.reach import Usable
from stackproof.facts.expiry import expired, not_yet_known
from stackproof.facts.model import DOUBTFUL, Fact, Facts, Mode, Tool

OWNER_CHANGED = "acquired_active"

DECIDING = frozenset(
    {"status", "licence", "licence_kind", "release", "cloud", "frameworks", "gpu", "audit", "self_hosting"}
)
"""The facts that a decision rests on: their age is told."""


def warnings(
    choice: Choice, answers: Answers, facts: Facts, judged: Judged, as_of: datetime.date
) -> tuple[Warned, ...]:
    """Those of every chosen tool, in order, then what no tool covers."""
    used = {one.pick.tool: one.pick.way for one in choice.elected if one.pick is not None}
    found = [
        warned
        for name in choice.tools
        for warned in (
            *_limits(facts.tools[name], answers),
            *_lifecycle(facts.tools[name]),
            *_price(used.get(name, judged.get(name)), answers),
            *_ages(facts.tools[name], used.get(name, judged.get(name)), as_of),
        )
    ]
    return (*found, *_uncovered(choice, facts))


def _lifecycle(tool: Tool) -> Iterator[Warned]:
    status = tool.status
    code = str(status.value)
    if not status.verified:
        yield fact_warning(tool, status, f"The lifecycle of {tool.name} is not verified: look before you rely on it")
    elif code in DOUBTFUL or code == OWNER_CHANGED:
        words = "has a new owner" if code == OWNER_CHANGED else f"is {code.replace('_', ', ')}"
        yield fact_warning(tool, status, f"{tool.name} {words}: {status.detail}")


def _ages(tool: Tool, way: object, as_of: datetime.date) -> Iterator[Warned]:
    """What is known too long to be taken as fresh, or was read only after the day that is asked about."""
    early = not_yet_known(tool.status, as_of, tool.name)
    if early:
        yield fact_warning(tool, tool.status, early)
    known: list[Fact | Mode] = [fact for fact in tool.facts.values() if fact.key in DECIDING]
    known += [way.mode] if isinstance(way, Usable) else []
    for one in known:
        old = expired(one, as_of, tool.name)
        if old is not None:
            yield Warned(old.text, of_tool(tool, one.source, dated=True), one.date)


def _limits(tool: Tool, answers: Answers) -> Iterator[Warned]:
    for caution in tool.cautions:
        if all_hold(caution.when, answers):
            source = of_tool(tool, caution.source, dated=caution.date is not None)
            yield Warned(f"{tool.name}: {caution.text}", source, caution.date)


def _price(way: object, answers: Answers) -> Iterator[Warned]:
    if not isinstance(way, Usable):
        return
    tool, mode, price = way.tool, way.mode, way.price
    source = of_tool(tool, mode.source, dated=mode.date is not None)
    if not price.known:
        assumed = f"${price.low:,.0f} to ${price.high:,.0f} a year are assumed"
        text = f"No source says what {tool.name} costs; {assumed}. {mode.note}".strip()
        yield Warned(text, source, mode.date)
    elif price.high > 0:
        text = f"{tool.name} is priced at ${price.low:,.0f} to ${price.high:,.0f} a year. {mode.note}".strip()
        yield Warned(text, source, mode.date)
        if price.high > answers.number("organization.budget_usd_per_year"):
            yield Warned(f"At the high end {tool.name} costs more than the budget", source, mode.date)
    if way.drawback:
        yield Warned(f"{tool.name} is taken in its {mode.hosting} form, {way.drawback}", source, mode.date)


def _uncovered(choice: Choice, facts: Facts) -> Iterator[Warned]:
    for elected in choice.elected:
        if choice.verdict == "use" and elected.pick is None and elected.aspect:
            branch = elected.election.held[0] if elected.election.held else None
            source = branch.source if branch else f"facts/trees/{choice.role}.toml"
            dated = facts.sources[source].date if source in facts.sources else None
            text = f"No tool that is in reach covers this part of the role: {elected.aspect}"
            yield Warned(text, source if dated else f"{source} (undated)", dated)
