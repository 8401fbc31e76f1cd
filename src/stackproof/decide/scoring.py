"""What a tool is worth to a team in one role: a weighted sum of ratings.

Each tool is scored by itself, on scales that are fixed: which other tools there are never changes a score, so that
nothing added or struck out reorders the rest. docs/explanation/scoring.md says why this method and not another.
"""

import datetime
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import log

from stackproof.decide.answers import Answers
from stackproof.decide.citing import of_tool
from stackproof.decide.conditions import all_hold, any_group_holds
from stackproof.decide.decision import CriterionScore, Scored
from stackproof.decide.evidence import measured
from stackproof.decide.reach import Usable
from stackproof.decide.votes import Election
from stackproof.facts.model import Criterion, Fact, Facts, Mode, Rating, Tool
from stackproof.roles.proof import Proof

Interval = tuple[float, float]
Scorer = Callable[[Usable, str, Election, "Sequence[Weighted]", Answers, Facts, Iterable[Proof]], Scored]
"""Scores one way of using a tool in a role."""

UNKNOWN: Interval = (0.0, 1.0)
UNKNOWN_PRICE: Interval = (0.0, 0.6)
PAID_BY_USE: Interval = (0.2, 0.9)
YOURS = "you set it"


@dataclass(frozen=True, slots=True)
class Weighted:
    """A criterion, its weight for a team, and the answer that made it so ("" for the default)."""

    criterion: Criterion
    weight: float
    because: str


def weigh(role: str, aspect: str, answers: Answers, facts: Facts) -> tuple[Weighted, ...]:
    """The criteria of one aspect of a role, without those whose weight is 0, in the order of the files."""
    named = [
        criterion for criterion in facts.criteria if criterion.role in ("", role) and criterion.aspect in ("", aspect)
    ]
    in_use = answers.text(f"current.{role}")
    return tuple(
        found
        for criterion in named
        if (in_use or criterion.computed != "current") and (found := _weight(criterion, answers)).weight > 0
    )


def _weight(criterion: Criterion, answers: Answers) -> Weighted:
    if criterion.id in answers.weights:
        return Weighted(criterion, answers.weights[criterion.id], YOURS)
    for change in criterion.changes:
        if all_hold(change.when, answers) and any_group_holds(change.any, answers):
            return Weighted(criterion, change.weight, change.because)
    return Weighted(criterion, criterion.weight, "")


def score(
    way: Usable,
    role: str,
    election: Election,
    weighted: Sequence[Weighted],
    answers: Answers,
    facts: Facts,
    proofs: Iterable[Proof] = (),
) -> Scored:
    """One way of using a tool, on all criteria that have a weight. No weight at all scores 0 to 1."""
    scores = tuple(_rated(one, way, role, election, answers, facts, proofs) for one in weighted)
    return Scored(way.tool.id, *total(scores, facts.scales.caution), scores)


class Remembering:
    """Scores as `score` does, without telling the criteria, and remembers ratings: for teams that differ in little.

    The ways must be the same objects where they are equal. What an answer changes about a rating is in the key.
    """

    def __init__(self) -> None:
        self.ratings: dict[object, Interval] = {}

    def __call__(
        self,
        way: Usable,
        role: str,
        election: Election,
        weighted: Sequence[Weighted],
        answers: Answers,
        facts: Facts,
        proofs: Iterable[Proof] = (),
    ) -> Scored:
        weight = low = high = 0.0
        answered = (answers["infrastructure.kubernetes_skill"], answers["infrastructure.hosting"])
        for one in weighted:
            about = election.points(way.tool.id) if one.criterion.computed == "votes" else answered
            key = (id(way), id(one.criterion), role, about)
            rating = self.ratings.get(key)
            if rating is None:
                rating = self.ratings[key] = _rated(one, way, role, election, answers, facts, proofs).rating
            weight += one.weight
            low += one.weight * rating[0]
            high += one.weight * rating[1]
        if weight == 0:
            return Scored(way.tool.id, facts.scales.caution, UNKNOWN, ())
        low, high = low / weight, high / weight
        point_score = round(low + facts.scales.caution * (high - low), 6)
        return Scored(way.tool.id, point_score, (round(low, 6), round(high, 6)), ())


def total(scores: Sequence[CriterionScore], caution: float) -> tuple[float, Interval]:
    """The weighted mean of the ratings, and its interval: sum(weight * rating) / sum(weight)."""
    weight = sum(one.weight for one in scores)
    if weight == 0:
        return caution, UNKNOWN
    low = sum(one.weight * one.rating[0] for one in scores) / weight
    high = sum(one.weight * one.rating[1] for one in scores) / weight
    return round(low + caution * (high - low), 6), (round(low, 6), round(high, 6))


def point(rating: Interval, caution: float) -> float:
    """Where in an interval a rating counts (Hurwicz' criterion)."""
    return rating[0] + caution * (rating[1] - rating[0])


def _rated(
    one: Weighted,
    way: Usable,
    role: str,
    election: Election,
    answers: Answers,
    facts: Facts,
    proofs: Iterable[Proof],
) -> CriterionScore:
    criterion, tool = one.criterion, way.tool
    proven = measured(criterion, role, tool.id, proofs)
    if proven is not None:
        return CriterionScore(criterion.id, criterion.name, one.weight, one.because, *proven, known=True, measured=True)
    if criterion.computed:
        return _computed(one, way, role, election, answers, facts)
    found = stated_ratings(tool, criterion.id, role)
    if not found:
        text = f"facts of {tool.id}: no rating is known"
        return CriterionScore(
            criterion.id, criterion.name, one.weight, one.because, UNKNOWN, "not known", text, known=False
        )
    spans = [facts.scales.words[criterion.scale][rating.value] for rating in found]
    rating = (min(low for low, _ in spans), max(high for _, high in spans))
    word = facts.scales.told(criterion.scale, " to ".join(dict.fromkeys(rating.value for rating in found)))
    first = found[0]
    source = of_tool(tool, first.source, dated=first.date is not None)
    return CriterionScore(criterion.id, criterion.name, one.weight, one.because, rating, word, source, first.date)


def stated_ratings(tool: Tool, criterion: str, role: str) -> list[Rating]:
    """The ratings that count: the newest dated ones, else all undated ones. Unverified ones never."""
    found = [
        rating
        for rating in tool.ratings
        if rating.criterion == criterion and rating.role in ("", role) and rating.verified
    ]
    newest = max((rating.date for rating in found if rating.date is not None), default=None)
    return found if newest is None else [rating for rating in found if rating.date == newest]


def _computed(
    one: Weighted, way: Usable, role: str, election: Election, answers: Answers, facts: Facts
) -> CriterionScore:
    criterion, tool = one.criterion, way.tool
    if criterion.computed == "current":
        used = answers.text(f"current.{role}") == tool.id
        rating = (1.0, 1.0) if used else (0.0, 0.0)
        word = "in use" if used else "not in use"
        return CriterionScore(criterion.id, criterion.name, one.weight, "", rating, word, "your answers: current")
    compute = {
        "votes": _votes,
        "price": _price,
        "hours": _hours,
        "hosting": _hosting,
        "licence": _licence,
        "status": _status,
    }[criterion.computed]
    rating, word, source, date, known = compute(way, election, answers, facts)
    source = source or f"facts of {tool.id}"
    return CriterionScore(criterion.id, criterion.name, one.weight, one.because, rating, word, source, date, known)


Computed = tuple[Interval, str, str, datetime.date | None, bool]


def _votes(way: Usable, election: Election, answers: Answers, facts: Facts) -> Computed:
    votes = election.points(way.tool.id)
    if not way.meant:
        votes *= facts.votes.factors["other_form"]
    support = 1 - 2 ** (-votes / facts.scales.half)
    text = "1 vote" if votes == 1 else f"{votes:g} votes"
    return (support, support), text, "the documents' rules that hold for these answers", None, True


def _price(way: Usable, election: Election, answers: Answers, facts: Facts) -> Computed:
    mode, price = way.mode, way.price
    source = _source(way, mode)
    if not price.known:
        if mode.cost == "usage":
            return PAID_BY_USE, "paid by use, an amount that no source gives", source, mode.date, False
        return UNKNOWN_PRICE, "costs an amount that no source gives", source, mode.date, False
    points = facts.scales.price
    rating = (_at(price.high, points, logarithmic=True), _at(price.low, points, logarithmic=True))
    word = "free" if price.high == 0 else f"${price.low:,.0f} to ${price.high:,.0f} a year"
    return rating, word, source, mode.date, True


def _hours(way: Usable, election: Election, answers: Answers, facts: Facts) -> Computed:
    hours = hours_per_month(way, answers, facts)
    if hours is None:
        return UNKNOWN, "hours not known", "facts/operation.toml: no class is named", None, False
    rating = (_at(hours[1], facts.scales.hours), _at(hours[0], facts.scales.hours))
    return rating, f"{hours[0]:g} to {hours[1]:g} hours a month", facts.operation.source, None, True


def _hosting(way: Usable, election: Election, answers: Answers, facts: Facts) -> Computed:
    """A library is hosted by nobody: it suits whoever runs things themselves, and half whoever buys."""
    wanted = answers.text("infrastructure.hosting").partition("-")[0]
    hosting = way.mode.hosting
    suits = hosting.startswith(wanted) or wanted == "either" or (hosting == "library" and wanted == "self")
    rating = 1.0 if suits else 0.5 if hosting == "library" else 0.0
    return (rating, rating), hosting, _source(way, way.mode), way.mode.date, True


def hours_per_month(way: Usable, answers: Answers, facts: Facts) -> Interval | None:
    """What operating the tool takes of people, low and high; None where nobody classed it."""
    found = facts.operation.classes.get(way.mode.operation)
    if found is None:
        return None
    skill = facts.operation.skill[answers.text("infrastructure.kubernetes_skill")] if way.mode.kubernetes else 1.0
    return found.hours[0] * skill, found.hours[1] * skill


def _licence(way: Usable, election: Election, answers: Answers, facts: Facts) -> Computed:
    fact = way.tool.facts["licence_kind"]
    kind = str(fact.value)
    return facts.scales.words["licence"].get(kind, UNKNOWN), kind, _source(way, fact), fact.date, True


def _status(way: Usable, election: Election, answers: Answers, facts: Facts) -> Computed:
    fact = way.tool.status
    code = str(fact.value) if fact.verified else "not_verified"
    rating = facts.scales.words["status"].get(code, UNKNOWN)
    return rating, code.replace("_", ", "), _source(way, fact), fact.date, fact.verified


def _source(way: Usable, known: Fact | Mode) -> str:
    return of_tool(way.tool, known.source, dated=known.date is not None)


def _at(value: float, points: Sequence[tuple[float, float]], *, logarithmic: bool = False) -> float:
    """The rating at `value`, interpolated between the points and held beyond the last."""
    places = [at for at, _ in points]
    if value >= places[-1]:
        return points[-1][1]
    right = bisect_right(places, value)
    (x0, y0), (x1, y1) = points[right - 1], points[right]
    if logarithmic:
        x0, x1, value = log(x0 + 100), log(x1 + 100), log(value + 100)
    return y0 + (y1 - y0) * (value - x0) / (x1 - x0)


def known_weights(facts: Facts) -> Mapping[str, str]:
    """The ids of all criteria that a user may weigh, and their names."""
    return {criterion.id: criterion.name for criterion in facts.criteria}
