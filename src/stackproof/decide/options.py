"""Other whole stacks that differ in kind: the cheapest, the one with the fewest things to operate, the most managed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from stackproof.decide.answers import Answers
from stackproof.decide.assembly import Candidate, Picks, Slot, Terms, assemble
from stackproof.decide.choice import Choice, Judged, choices_of
from stackproof.decide.decision import StackOption
from stackproof.decide.money import cost, hours_of, ways_used
from stackproof.facts.model import Facts

FAR = 0.3
"""How far below the best of its slot a tool may score and still stand in another stack."""

HEAVY = 3.0
"""What a stack's kind counts for beside its tools' scores."""

Worth = Callable[[Candidate], float]


def options(
    chosen: Mapping[str, Choice], slots: Sequence[Slot], terms: Terms, answers: Answers, facts: Facts, judged: Judged
) -> tuple[StackOption, ...]:
    """Up to three other stacks, none like another; the runner-up of the closest role where two don't differ."""
    best = stack_of(chosen)
    found: dict[tuple[tuple[str, tuple[str, ...]], ...], StackOption] = {}
    for kind, name, worth in _kinds(answers, facts):
        picks = assemble(_by(slots, worth), terms)
        option = _option(kind, name, slots, picks, best, chosen, answers, facts, judged)
        if option.roles != best:
            found.setdefault(tuple(option.roles.items()), option)
    if len(found) < 2:
        other = _runner_up(slots, terms, best, chosen, answers, facts, judged)
        if other is not None:
            found.setdefault(tuple(other.roles.items()), other)
    return tuple(found.values())


def stack_of(choices: Mapping[str, Choice]) -> dict[str, tuple[str, ...]]:
    """The tools of every role in use."""
    return {role: choice.tools for role, choice in choices.items() if choice.verdict == "use"}


def mean_score(choices: Mapping[str, Choice]) -> float:
    """The mean of the scores of everything picked, 0 where nothing was."""
    scores = [one.pick.scored.score for choice in choices.values() for one in choice.elected if one.pick]
    return round(sum(scores) / len(scores), 4) if scores else 0.0


def _kinds(answers: Answers, facts: Facts) -> list[tuple[str, str, Worth]]:
    rate = answers.number("organization.engineer_usd_per_hour")

    def dollars(candidate: Candidate) -> float:
        hours = sum(candidate.hours) / 2 if candidate.hours else 8.0
        found = facts.operation.classes.get(candidate.way.mode.operation)
        servers = sum(found.infrastructure_usd) / 2 if found else 100.0
        price = candidate.way.price
        licence = (price.low + price.high) / 2
        return licence + 12 * (hours * rate + servers)

    def cheap(candidate: Candidate) -> float:
        return -HEAVY * dollars(candidate) / 50_000

    def light(candidate: Candidate) -> float:
        hours = sum(candidate.hours) / 2 if candidate.hours else 8.0
        return -HEAVY * hours / 20

    def managed(candidate: Candidate) -> float:
        return {"managed": HEAVY, "library": HEAVY / 3}.get(candidate.way.mode.hosting, 0.0)

    return [
        ("cheapest", "The cheapest", cheap),
        ("fewest-to-operate", "The fewest hours to operate", light),
        ("most-managed", "The most managed", managed),
    ]


def _by(slots: Sequence[Slot], worth: Worth) -> tuple[Slot, ...]:
    """The same slots with their candidates ordered by score and kind, without those that score too little."""
    changed = []
    for slot in slots:
        top = slot.candidates[0].scored.score if slot.candidates else 0.0
        near = [one for one in slot.candidates if one.scored.score > top - FAR]
        ranked = sorted((replace(one, worth=one.worth + worth(one)) for one in near), key=lambda c: (-c.worth, c.tool))
        changed.append(replace(slot, candidates=tuple(ranked)))
    return tuple(changed)


def _option(
    kind: str,
    name: str,
    slots: Sequence[Slot],
    picks: Picks,
    best: Mapping[str, tuple[str, ...]],
    chosen: Mapping[str, Choice],
    answers: Answers,
    facts: Facts,
    judged: Judged,
) -> StackOption:
    choices = choices_of(tuple(slots), picks, answers, facts, judged)
    ways = ways_used(choices, judged)
    roles = stack_of(choices)
    hours = hours_of(list(ways.values()), answers, facts)
    costs = cost(ways, answers, facts)
    mine = ways_used(chosen, judged)
    because = _differs(
        kind,
        best,
        roles,
        costs.total,
        cost(mine, answers, facts).total,
        hours,
        hours_of(list(mine.values()), answers, facts),
    )
    return StackOption(name, kind, roles, mean_score(choices), costs, hours, because)


def _differs(
    kind: str,
    best: Mapping[str, tuple[str, ...]],
    roles: Mapping[str, tuple[str, ...]],
    total: tuple[float, float] | None,
    before: tuple[float, float] | None,
    hours: tuple[float, float],
    hours_before: tuple[float, float],
) -> str:
    changes = [
        f"{role}: {_named(roles.get(role, ()))} instead of {_named(best.get(role, ()))}"
        for role in dict.fromkeys((*best, *roles))
        if best.get(role) != roles.get(role)
    ]
    money = (
        f"${total[0]:,.0f} to ${total[1]:,.0f} a year instead of ${before[0]:,.0f} to ${before[1]:,.0f}"
        if total and before
        else ""
    )
    time = f"{hours[0]:g} to {hours[1]:g} hours a month instead of {hours_before[0]:g} to {hours_before[1]:g}"
    return f"{'; '.join(changes)}. In all {money}, and {time}"


def _named(tools: Sequence[str]) -> str:
    return " + ".join(tools) or "nothing"


def _runner_up(
    slots: Sequence[Slot],
    terms: Terms,
    best: Mapping[str, tuple[str, ...]],
    chosen: Mapping[str, Choice],
    answers: Answers,
    facts: Facts,
    judged: Judged,
) -> StackOption | None:
    """The stack without the pick of the role whose runner-up is closest."""
    contested = [
        (one.pick.worth - rival.worth, choice.role, one.aspect, one.pick.tool)
        for choice in chosen.values()
        for one in choice.elected
        if one.pick is not None
        for rival in one.slot.candidates
        if rival.tool != one.pick.tool and not rival.way.tool.requires
    ]
    if not contested:
        return None
    _, role, aspect, without = min(contested)
    changed = tuple(
        replace(slot, candidates=tuple(one for one in slot.candidates if one.tool != without))
        if (slot.role, slot.aspect) == (role, aspect)
        else slot
        for slot in slots
    )
    option = _option(
        "runner-up", f"The runner-up for {role}", slots, assemble(changed, terms), best, chosen, answers, facts, judged
    )
    return option if option.roles != best else None
