"""What the stack costs, as far as the sources let one say so."""

from collections.abc import Mapping

from stackproof.decide.choice import Choice, Judged
from stackproof.decide.citing import of_tool
from stackproof.decide.decision import Assumption, Cost
from stackproof.decide.reach import Usable

NOT_YET = Assumption(
    "Infrastructure and people's time are not priced yet: "
    "no source gives hours to operate a tool or the price of its servers",
    "stackproof: this release prices licences and managed services only",
)
SEATS = Assumption(
    "A seat is counted for each data scientist and ML engineer, at least one",
    "stackproof: an assumption, confidence low",
)


def cost(choices: Mapping[str, Choice], judged: Judged) -> Cost:
    """Licences and managed services, low and high; None where some part of it has no known price."""
    names = dict.fromkeys(name for choice in choices.values() for name in choice.tools)
    ways = [way for name in names if isinstance(way := judged.get(name), Usable)]
    assumptions = [NOT_YET]
    for way in ways:
        source = of_tool(way.tool, way.mode.source, dated=way.mode.date is not None)
        if not way.price.known:
            text = f"{way.tool.name} is left out: it costs money, and no source says how much"
            assumptions.append(Assumption(text, source))
        elif way.price.high > 0:
            text = f"{way.tool.name}: ${way.price.low:,.0f} to ${way.price.high:,.0f}; the price is not verified"
            assumptions.append(Assumption(text, source))
    if any(way.mode.usd_per_seat_year for way in ways):
        assumptions.append(SEATS)
    known = all(way.price.known for way in ways)
    licences = (sum(way.price.low for way in ways), sum(way.price.high for way in ways)) if known else None
    return Cost(licences, tuple(assumptions))
