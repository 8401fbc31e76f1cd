"""What a team that takes a tool must know: its lifecycle, its price, its limits, the age of what is known."""

import datetime
from collections.abc import Iterator

from stackproof.decide.answers import Answers
from stackproof.decide.choice import Choice, Judged
from stackproof.decide.citing import fact_warning, of_tool
from stackproof.decide.conditions import all_hold
from stackproof.decide.decision import Warned
from stackproof.decide.reach import Usable
from stackproof.facts.model import DOUBTFUL, Facts, Tool

LIFECYCLE_DAYS = 180
"""How long what is known of a tool's lifecycle is taken as fresh."""

OWNER_CHANGED = "acquired_active"


def warnings(
    choice: Choice, answers: Answers, facts: Facts, judged: Judged, as_of: datetime.date
) -> tuple[Warned, ...]:
    """Those of every chosen tool, in order, then what no tool covers."""
    found = [
        warned
        for name in choice.tools
        for warned in (
            *_lifecycle(facts.tools[name], as_of),
            *_limits(facts.tools[name], answers),
            *_price(judged.get(name), answers),
        )
    ]
    return (*found, *_uncovered(choice, facts))


def _lifecycle(tool: Tool, as_of: datetime.date) -> Iterator[Warned]:
    status = tool.status
    code = str(status.value)
    if not status.verified:
        yield fact_warning(tool, status, f"The lifecycle of {tool.name} is not verified: look before you rely on it")
    elif code in DOUBTFUL or code == OWNER_CHANGED:
        words = "has a new owner" if code == OWNER_CHANGED else f"is {code.replace('_', ', ')}"
        yield fact_warning(tool, status, f"{tool.name} {words}: {status.detail}")
    if status.date is not None and as_of < status.date:
        text = f"What was known of {tool.name} on {as_of} is not recorded; what was read on {status.date} is used"
        yield fact_warning(tool, status, text)
    elif status.date is not None and (as_of - status.date).days > LIFECYCLE_DAYS:
        text = f"What is known of the lifecycle of {tool.name} is {(as_of - status.date).days} days old"
        yield fact_warning(tool, status, text)


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
        text = f"{tool.name} costs money, and no source says how much. {mode.note}".strip()
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
        if choice.verdict == "use" and elected.standing is None and elected.election.aspect:
            branch = elected.election.held[0] if elected.election.held else None
            source = branch.source if branch else f"facts/trees/{choice.role}.toml"
            dated = facts.sources[source].date if source in facts.sources else None
            text = f"No tool that is in reach covers this part of the role: {elected.election.aspect}"
            yield Warned(text, source if dated else f"{source} (undated)", dated)
