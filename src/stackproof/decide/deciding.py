"""From answers and facts to a decision with its trace."""

import datetime

from stackproof.decide.answers import Answers
from stackproof.decide.cautions import warnings
from stackproof.decide.choice import Choice, Judged, choose_all
from stackproof.decide.conflicts import conflicts
from stackproof.decide.decision import Assumed, Decision, Flip, Migration, RoleDecision
from stackproof.decide.money import cost
from stackproof.decide.reach import CONSTRAINT_KEYS, Rejection, reach
from stackproof.decide.readiness import readiness
from stackproof.decide.reasons import alternatives, reasons, rejected
from stackproof.decide.relaxing import why_none
from stackproof.decide.sensitivity import flips, keys_of_role
from stackproof.facts.model import Facts
from stackproof.roles import ROLES


def decide(
    answers: Answers, facts: Facts, *, as_of: datetime.date, sensitivity: bool = False, version: str = ""
) -> Decision:
    """Decide all nine roles. The same answers, facts and day give the same decision, byte for byte.

    Order: gates, dealbreakers and lifecycle, then the votes of the documents' trees and tables, within
    the budget. `sensitivity`: also try every single other answer (`flips`). `version`: of Stackproof, to record.
    """
    judged = reach(facts, answers)
    choices = choose_all(answers, facts, judged)
    changes = flips(answers, facts, choices) if sensitivity else {}
    roles = {
        role: _role(choice, answers, facts, judged, as_of, changes.get(role, ())) for role, choice in choices.items()
    }
    found = [conflict for choice in choices.values() for conflict in conflicts(choice, answers, facts, judged)]
    return Decision(
        stackproof=version,
        as_of=as_of,
        facts_digest=facts.digest,
        answers=answers.to_document(),
        assumed=_assumed(answers, facts, choices, judged, changes if sensitivity else None),
        roles=roles,
        cost=cost(choices, judged),
        readiness=readiness(answers, facts),
        conflicts=tuple(found),
    )


def _role(
    choice: Choice, answers: Answers, facts: Facts, judged: Judged, as_of: datetime.date, changes: tuple[Flip, ...]
) -> RoleDecision:
    return RoleDecision(
        verdict=choice.verdict,
        tool=choice.tool,
        reasons=reasons(choice, facts, judged),
        beside=choice.beside,
        until=choice.gate.until if choice.gate is not None and choice.gate.until else None,
        environment={"use": "own", "defer": "shared"}.get(choice.verdict),
        warnings=warnings(choice, answers, facts, judged, as_of),
        alternatives=alternatives(choice),
        rejected=rejected(choice, facts, judged),
        flips=changes,
        migration=_migration(choice, answers, facts),
        because=why_none(choice.role, answers, facts, judged) if choice.verdict == "none" else (),
    )


def _migration(choice: Choice, answers: Answers, facts: Facts) -> Migration | None:
    """From the tool in use to the chosen one: what the facts of both say about it."""
    current = answers.text(f"current.{choice.role}")
    if not current or choice.verdict != "use" or current in choice.tools:
        return None
    steps = []
    for name in (current, *choice.tools[:1]):
        known = facts.tools[name].facts.get("migration")
        if known is not None and known.verified:
            dated = f", read {known.date}" if known.date else ", undated"
            steps.append(f"{facts.tools[name].name}: {known.value} (facts of {name}{dated})")
    return Migration(current, tuple(steps) or ("No migration path is recorded for these tools",))


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
