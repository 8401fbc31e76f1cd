"""From answers and facts to a decision with its trace."""

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import replace

from stackproof.decide import contradictory
from stackproof.decide.answers import Answers
from stackproof.decide.assembly import Candidate, assemble
from stackproof.decide.cautions import warnings
from stackproof.decide.choice import Choice, Judged, choices_of, hours_available, judge_all, slots_of, terms_of
from stackproof.decide.citing import pair_source, pair_text
from stackproof.decide.conflicts import conflicts, recorded
from stackproof.decide.decision import (
    Assumed,
    Assumption,
    ConflictFound,
    Cost,
    Decision,
    Flip,
    Reason,
    RoleDecision,
    Warned,
)
from stackproof.decide.migrating import migration, reasons_of
from stackproof.decide.money import cost, hours_of, ways_used
from stackproof.decide.options import options
from stackproof.decide.reach import CONSTRAINT_KEYS, Rejection
from stackproof.decide.readiness import readiness
from stackproof.decide.reasons import alternatives, reasons, rejected
from stackproof.decide.relaxing import why_none
from stackproof.decide.sensitivity import decisive, flips, keys_of_role, stability
from stackproof.decide.tracing import path, rankings
from stackproof.facts.model import Facts
from stackproof.roles import ROLES
from stackproof.roles.proof import Proof


def decide(
    answers: Answers,
    facts: Facts,
    *,
    as_of: datetime.date,
    proofs: Iterable[Proof] = (),
    sensitivity: bool = False,
    version: str = "",
) -> Decision:
    """Decide all nine roles. The same answers, facts, proofs and day give the same decision, byte for byte.

    Order: gates, dealbreakers and lifecycle, scores from rules and criteria, then the whole stack within the budget
    and the people's hours. `proofs`: of this machine; they replace the ratings that they measure. `sensitivity`: also
    try every single other answer (`flips`) and other weights (`stability`). `version`: of Stackproof, to record.
    """
    proofs = tuple(proofs)
    judged = judge_all(answers, facts, proofs)
    slots = slots_of(answers, facts, judged, proofs)
    terms = terms_of(answers, facts)
    choices = choices_of(slots, assemble(slots, terms), answers, facts, judged)
    changes = flips(answers, facts, choices, proofs) if sensitivity else {}
    picked = _picked(choices)
    ways = ways_used(choices, judged)
    roles = {}
    for role, choice in choices.items():
        steady = stability(choice, terms, picked, facts) if sensitivity else None
        roles[role] = _role(choice, choices, answers, facts, judged, as_of, changes.get(role, ()), steady)
    found = [conflict for choice in choices.values() for conflict in conflicts(choice, answers, facts, judged)]
    questions = contradictory.find(answers, facts)
    return Decision(
        stackproof=version,
        as_of=as_of,
        facts_digest=facts.digest,
        answers=answers.to_document(),
        assumed=_assumed(answers, facts, choices, judged, changes if sensitivity else None),
        roles=roles,
        cost=_with_moving(cost(ways, answers, facts), roles, answers),
        readiness=readiness(answers, facts),
        conflicts=(*_asked_about(questions), *found, *recorded(choices, answers, facts)),
        alternative_stacks=options(choices, slots, terms, answers, facts, judged),
        hours_per_month=hours_of(list(ways.values()), answers, facts),
        hours_available=hours_available(answers, facts),
    )


def _picked(choices: Mapping[str, Choice]) -> tuple[Candidate, ...]:
    return tuple(one.pick for choice in choices.values() for one in choice.elected if one.pick is not None)


def _role(
    choice: Choice,
    choices: Mapping[str, Choice],
    answers: Answers,
    facts: Facts,
    judged: Judged,
    as_of: datetime.date,
    changes: tuple[Flip, ...],
    steady: float | None,
) -> RoleDecision:
    pick = choice.pick
    chosen = {name for other in choices.values() for name in other.tools}
    return RoleDecision(
        verdict=choice.verdict,
        tool=choice.tool,
        reasons=(
            *reasons(choice, answers, facts, judged),
            *_of_the_stack(choice, choices, facts),
            *reasons_of(choice, answers, facts),
        ),
        beside=choice.beside,
        until=choice.gate.until if choice.gate is not None and choice.gate.until else None,
        environment={"use": "own", "defer": "shared"}.get(choice.verdict),
        warnings=(
            *_contradicting(choice.role, answers, facts),
            *warnings(choice, answers, facts, judged, as_of),
            *_overloading(choice, choices, answers, facts, judged),
        ),
        alternatives=alternatives(choice, facts, chosen, _left(choice, choices, answers)),
        rejected=rejected(choice, facts, judged, chosen),
        flips=changes,
        migration=migration(choice, answers, facts),
        because=why_none(choice.role, answers, facts, judged) if choice.verdict == "none" else (),
        score=round(pick.scored.score, 4) if pick else None,
        interval=pick.scored.interval if pick else None,
        stability=steady if choice.verdict == "use" else None,
        hours_per_month=hours_of(list(ways_used({choice.role: choice}, judged).values()), answers, facts)
        if choice.verdict == "use"
        else None,
        rankings=rankings(choice),
        path=path(choice, answers, facts, judged),
        decisive=decisive(choice, facts),
    )


def _asked_about(questions: Iterable[contradictory.Contradiction]) -> tuple[ConflictFound, ...]:
    """Answers that contradict each other: never settled silently."""
    return tuple(
        ConflictFound(f"{contradictory.SOURCE}: {one.text}", one.keys, "both answers, as given; say which one is right")
        for one in questions
    )


def _contradicting(role: str, answers: Answers, facts: Facts) -> tuple[Warned, ...]:
    return tuple(
        Warned(one.text, f"{contradictory.SOURCE}: {', '.join(one.keys)}")
        for one in contradictory.find(answers, facts)
        if role in one.roles
    )


def _overloading(
    choice: Choice, choices: Mapping[str, Choice], answers: Answers, facts: Facts, judged: Judged
) -> tuple[Warned, ...]:
    """Told with the role that takes most, where even the low end of the hours is more than people can give."""
    each = {
        role: hours_of(list(ways_used({role: one}, judged).values()), answers, facts) for role, one in choices.items()
    }
    least = hours_of(list(ways_used(choices, judged).values()), answers, facts)[0]
    able = hours_available(answers, facts)
    if least <= able or choice.role != max(each, key=lambda role: each[role]):
        return ()
    text = f"Operating the whole stack takes at least {least:g} hours a month, and your people can give about {able:g}"
    return (Warned(text, facts.operation.source),)


def _with_moving(cost: Cost, roles: Mapping[str, RoleDecision], answers: Answers) -> Cost:
    """Moving is paid once, so it stands beside the yearly cost and not in it."""
    days = [role.migration.effort_days for role in roles.values() if role.migration and role.migration.effort_days]
    if not days:
        return cost
    low, high = sum(span[0] for span in days), sum(span[1] for span in days)
    dollars = 8 * answers.number("organization.engineer_usd_per_hour")
    text = f"Moving from the tools in use takes {low:g} to {high:g} days of one person once, ${low * dollars:,.0f} to "
    text += f"${high * dollars:,.0f}; it is not in the sums"
    return replace(cost, assumptions=(*cost.assumptions, Assumption(text, "stackproof: an assumption, confidence low")))


def _left(choice: Choice, choices: Mapping[str, Choice], answers: Answers) -> float:
    """What the other roles leave of the budget."""
    elsewhere = {
        one.pick.tool: one.pick.way.price.floor
        for role, other in choices.items()
        if role != choice.role
        for one in other.elected
        if one.pick is not None
    }
    return answers.number("organization.budget_usd_per_year") - sum(elsewhere.values())


def _of_the_stack(choice: Choice, choices: Mapping[str, Choice], facts: Facts) -> tuple[Reason, ...]:
    """What is known of the role's tools together with those of the other roles."""
    others = {name for role, other in choices.items() if role != choice.role for name in other.tools}
    mine = set(choice.tools)
    return tuple(
        Reason(pair_text(pair), "conflict" if pair.kind == "conflicts" else "integration", pair_source(pair), pair.date)
        for pair in facts.pairs
        if set(pair.tools) & mine and (set(pair.tools) - mine) & others
    )


def _assumed(
    answers: Answers,
    facts: Facts,
    choices: dict[str, Choice],
    judged: Judged,
    changes: dict[str, tuple[Flip, ...]] | None,
) -> tuple[Assumed, ...]:
    """Every question left open. It matters for the roles that another answer flips; without that
    knowledge, for those whose rules look at it."""
    struck = {way.key for way in judged.values() if isinstance(way, Rejection)}
    looked_at = {role: keys_of_role(role, facts) for role in ROLES}
    found = []
    for key, value in answers.values.items():
        if key in answers.given or value is None:
            continue
        if changes is not None:
            roles = tuple(role for role in choices if any(flip.key == key for flip in changes[role]))
        else:
            everywhere = key in CONSTRAINT_KEYS and key in struck
            roles = tuple(role for role in choices if everywhere or key in looked_at[role])
        found.append(Assumed(key, value, roles))
    return tuple(found)
