"""What the stack costs: ranges with their assumptions; licences, infrastructure and people's time apart."""

from collections.abc import Iterator, Mapping, Sequence
from math import log10

from stackproof.decide.answers import Answers
from stackproof.decide.choice import Choice, Judged, hours_available
from stackproof.decide.citing import of_tool
from stackproof.decide.conditions import all_hold
from stackproof.decide.decision import Assumption, Cost
from stackproof.decide.reach import Usable
from stackproof.decide.scoring import hours_per_month
from stackproof.facts.model import Facts

MONTHS = 12
YEARS = 3
SEATS = "A seat is counted for each data scientist and ML engineer, at least one"
YOURS = "your answer"
ASSUMED = "stackproof: an assumption, confidence low"

Span = tuple[float, float]


def ways_used(choices: Mapping[str, Choice], judged: Judged) -> dict[str, Usable]:
    """Every tool in use once, in the mode in which it is used."""
    used: dict[str, Usable] = {}
    for choice in choices.values():
        for one in choice.elected:
            if choice.verdict == "use" and one.pick is not None:
                used.setdefault(one.pick.tool, one.pick.way)
        for name in choice.tools:
            way = judged.get(name)
            if isinstance(way, Usable):
                used.setdefault(name, way)
    return used


def hours_of(ways: Sequence[Usable], answers: Answers, facts: Facts) -> Span:
    """Hours a month to operate the tools, each counted once; those that nobody classed count nothing."""
    spans = [hours for way in ways if (hours := hours_per_month(way, answers, facts)) is not None]
    return _sum(spans)


def cost(ways: Mapping[str, Usable], answers: Answers, facts: Facts) -> Cost:
    """US dollars a year of the tools in use. What has no stated price is assumed, and an assumption says so."""
    used = list(ways.values())
    licences = _sum([(way.price.low, way.price.high) for way in used])
    infrastructure = _sum([_infrastructure(way, answers, facts) for way in used])
    hours = hours_of(used, answers, facts)
    rate = answers.number("organization.engineer_usd_per_hour")
    people = (hours[0] * MONTHS * rate, hours[1] * MONTHS * rate)
    total = _sum([licences, infrastructure, people])
    assumptions = (*_of_prices(used), *_of_operation(used, hours, answers, facts), *_of_documents(answers, facts))
    return Cost(
        licences=_whole(licences),
        infrastructure=_whole(infrastructure),
        people=_whole(people),
        total=_whole(total),
        three_years=_whole((total[0] * YEARS, total[1] * YEARS)),
        assumptions=assumptions,
    )


def _load(way: Usable, answers: Answers, facts: Facts) -> float:
    """By how much the tool's infrastructure is larger than for a small load."""
    load = facts.operation.load
    beyond = answers.number("use_case.predictions_per_day") / load.predictions_per_day
    if beyond <= 1 or not set(load.roles) & set(way.tool.roles):
        return 1.0
    return float(load.tenfold ** log10(beyond))


def _infrastructure(way: Usable, answers: Answers, facts: Facts) -> Span:
    found = facts.operation.classes.get(way.mode.operation)
    if found is None:
        return 0.0, 0.0
    low, high = found.infrastructure_usd
    larger = _load(way, answers, facts)
    return low * MONTHS * larger, high * MONTHS * larger


def _of_prices(used: Sequence[Usable]) -> Iterator[Assumption]:
    for way in used:
        source = of_tool(way.tool, way.mode.source, dated=way.mode.date is not None)
        if not way.price.known:
            text = f"{way.tool.name}: ${way.price.low:,.0f} to ${way.price.high:,.0f} a year are assumed"
            yield Assumption(f"{text}; no source gives its price", f"facts/operation.toml: unpriced; {source}")
        elif way.price.high > 0:
            text = f"{way.tool.name}: ${way.price.low:,.0f} to ${way.price.high:,.0f} a year; the price is not verified"
            yield Assumption(text, source)
    if any(way.mode.usd_per_seat_year for way in used):
        yield Assumption(SEATS, ASSUMED)


def _of_operation(used: Sequence[Usable], hours: Span, answers: Answers, facts: Facts) -> Iterator[Assumption]:
    for way in used:
        found = facts.operation.classes.get(way.mode.operation)
        if found is None:
            yield Assumption(f"Operating {way.tool.name} is left out: nobody classed it", facts.operation.source)
            continue
        one = hours_per_month(way, answers, facts) or (0.0, 0.0)
        low, high = (end / MONTHS for end in _infrastructure(way, answers, facts))
        text = (
            f"{way.tool.name}, {found.text[0].lower()}{found.text[1:]}: {one[0]:g} to {one[1]:g} hours and "
            f"${low:,.0f} to ${high:,.0f} of infrastructure a month"
        )
        yield Assumption(text, f"facts/operation.toml: {found.source}, confidence {found.confidence}")
    load = facts.operation.load
    sized = f"Servers are sized for up to {load.predictions_per_day:,.0f} predictions a day"
    larger = f"each tenfold beyond makes those of {', '.join(load.roles)} cost {load.tenfold:g} times as much"
    yield Assumption(f"{sized}; {larger}. Storage and traffic are not counted", facts.operation.source)
    rate = answers.number("organization.engineer_usd_per_hour")
    given = "organization.engineer_usd_per_hour" in answers.given
    yield Assumption(f"An hour of an engineer costs ${rate:g}", YOURS if given else ASSUMED)
    able = hours_available(answers, facts)
    text = f"Operating takes {hours[0]:g} to {hours[1]:g} hours a month; your people can give about {able:g}"
    yield Assumption(text, facts.operation.source)


def _of_documents(answers: Answers, facts: Facts) -> Iterator[Assumption]:
    """What the documents say such a stack costs, and where that does not add up."""
    for stack in facts.stacks:
        if stack.cost_claimed is not None and all_hold(stack.when, answers):
            low, high = stack.cost_claimed
            text = f"For comparison, {stack.name} is said to cost ${low:,.0f} to ${high:,.0f} a year. {stack.cost_text}"
            yield Assumption(text.strip(), f"{stack.source} (undated)")


def _sum(spans: Sequence[Span]) -> Span:
    return sum(low for low, _ in spans), sum(high for _, high in spans)


def _whole(span: Span) -> Span:
    return float(round(span[0])), float(round(span[1]))
