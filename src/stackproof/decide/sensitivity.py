"""What would change the decision: every single other answer, other weights, other facts."""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from operator import mul
from random import Random

from stackproof.decide.answers import Answers
from stackproof.decide.assembly import FIRST, Candidate, Picks, Slot, Terms, assemble, pairs_worth
from stackproof.decide.choice import (
    Choice,
    Elected,
    Judged,
    candidates,
    choices_of,
    judge_all,
    slots_of_role,
    terms_of,
)
from stackproof.decide.decision import CriterionScore, Decisive, Flip
from stackproof.decide.reach import CONSTRAINT_KEYS, Rejection, Usable
from stackproof.decide.scoring import Remembering, point
from stackproof.facts.model import AllOf, Facts, Question, Value
from stackproof.roles import ROLES
from stackproof.roles.proof import Proof

PERTURBATIONS = 1000
SEED = 20261121
SKILL = "infrastructure.kubernetes_skill"
SPREAD = 1.0
"""Each weight is multiplied by 2 to the power of a uniform draw between minus and plus this."""


SETTLED = frozenset({"documents", "cost", "lifecycle"})
"""Criteria that no rating can correct: votes, and what follows from the price and the lifecycle."""


def flips(
    answers: Answers, facts: Facts, chosen: Mapping[str, Choice], proofs: tuple[Proof, ...] = ()
) -> dict[str, tuple[Flip, ...]]:
    """For each role, the single other answers that give it another tool or verdict, in the questions' order."""
    found: dict[str, list[Flip]] = {role: [] for role in chosen}
    trials = _Trials(facts, proofs)
    for key in sorted(keys_that_matter(facts), key=list(facts.questions).index):
        for value in other_answers(facts.questions[key], answers[key]):
            changed = trials.decide(answers.changed(key, value))
            for role, choice in chosen.items():
                other = changed[role]
                if (other.verdict, other.tool) != (choice.verdict, choice.tool):
                    found[role].append(Flip(key, answers[key], value, other.tool, other.verdict))
    return {role: tuple(changes) for role, changes in found.items()}


class _Trials:
    """Decides like `choose_all`, many times for answers that differ in little: what the difference doesn't touch is
    remembered. What a role's slots depend on are the answers that its rules, criteria and constraints look at."""

    def __init__(self, facts: Facts, proofs: tuple[Proof, ...]) -> None:
        self.facts = facts
        self.proofs = proofs
        self.reached_by = (*CONSTRAINT_KEYS, SKILL)
        self.keys = {role: tuple(sorted(keys_of_role(role, facts))) for role in facts.trees}
        self.tools = {role: tuple(tool.id for tool in candidates(role, facts)) for role in facts.trees}
        self.ways: dict[str, list[Usable | Rejection]] = {}
        self.judged: dict[object, Judged] = {}
        self.slots: dict[object, tuple[Slot, ...]] = {}
        self.assembled: dict[object, Picks] = {}
        self.scorer = Remembering()

    def decide(self, answers: Answers) -> dict[str, Choice]:
        judged = self._judged(answers)
        slots = tuple(slot for role in ROLES for slot in self._slots_of(role, answers, judged))
        terms = terms_of(answers, self.facts)
        same = (terms.budget, terms.hours, tuple(map(id, slots)))
        if same not in self.assembled:
            self.assembled[same] = assemble(slots, terms)
        return choices_of(slots, self.assembled[same], answers, self.facts, judged)

    def _judged(self, answers: Answers) -> Judged:
        """Every tool's way; ways that are equal are one object, so that slots can be told apart by identity."""
        reached = tuple(answers[key] for key in self.reached_by)
        if reached not in self.judged:
            judged = judge_all(answers, self.facts, self.proofs)
            self.judged[reached] = {name: self._known(name, way) for name, way in judged.items()}
        return self.judged[reached]

    def _known(self, name: str, way: Usable | Rejection) -> Usable | Rejection:
        ways = self.ways.setdefault(name, [])
        for known in ways:
            if known == way:
                return known
        ways.append(way)
        return way

    def _slots_of(self, role: str, answers: Answers, judged: Judged) -> tuple[Slot, ...]:
        asked = tuple(answers[key] for key in self.keys[role])
        same = (role, answers[SKILL], asked, tuple(id(judged[name]) for name in self.tools[role]))
        if same not in self.slots:
            self.slots[same] = slots_of_role(role, answers, self.facts, judged, self.proofs, self.scorer)
        return self.slots[same]


def stability(choice: Choice, terms: Terms, chosen: Sequence[Candidate], facts: Facts) -> float | None:
    """The share of perturbed weights under which every aspect of the role keeps its pick; None where none is scored.

    What the rest of the stack adds to each candidate is held fixed. The draws are seeded: the same for every decision.
    """
    contested = [one for one in choice.elected if one.pick is not None]
    if not contested:
        return None
    kept = [True] * PERTURBATIONS
    for one in contested:
        for draw, stays in enumerate(_stays(one, terms, chosen, facts)):
            kept[draw] = kept[draw] and stays
    return round(sum(kept) / PERTURBATIONS, 3)


def _stays(elected: Elected, terms: Terms, chosen: Sequence[Candidate], facts: Facts) -> list[bool]:
    pick = elected.pick
    rivals = [one for one in elected.slot.candidates if one.tool == (pick.tool if pick else "") or _could(one, chosen)]
    if pick is None or len(rivals) < 2:
        return [True] * PERTURBATIONS
    weights = [one.weight for one in pick.scored.criteria]
    caution = facts.scales.caution
    rows = [
        ([point(one.rating, caution) for one in c.scored.criteria], _context(c, pick, terms, chosen)) for c in rivals
    ]
    mine = rivals.index(pick)
    stays = []
    for draw in draws(len(weights)):
        perturbed = list(map(mul, weights, draw))
        total = sum(perturbed) or 1.0
        worths = [sum(map(mul, perturbed, ratings)) / total + context for ratings, context in rows]
        stays.append(worths[mine] >= max(worths) - 1e-9)
    return stays


def _could(candidate: Candidate, chosen: Sequence[Candidate]) -> bool:
    tools = {one.tool for one in chosen}
    return set(candidate.way.tool.requires) <= tools


def _context(candidate: Candidate, pick: Candidate, terms: Terms, chosen: Sequence[Candidate]) -> float:
    """What the rest of the stack adds to a candidate in the place of the pick: pairs, priority, hours, budget."""
    others = [one for one in chosen if one.tool != pick.tool]
    tools = {one.tool for one in others}
    pairs = pairs_worth(sorted({*tools, candidate.tool}), terms)
    spent = sum({one.tool: one.way.price.floor for one in others}.values())
    too_dear = candidate.tool not in tools and spent + candidate.way.price.floor > terms.budget
    hours = sum({one.tool: sum(one.hours) / 2 for one in (*others, candidate) if one.hours}.values())
    overload = terms.overload * max(0.0, hours / max(terms.hours, 1.0) - 1)
    first = FIRST if candidate.worth >= FIRST - 5 else 0.0
    return pairs - overload + first - (2 * FIRST if too_dear and candidate.way.price.floor > 0 else 0.0)


@lru_cache(maxsize=64)
def draws(criteria: int) -> tuple[tuple[float, ...], ...]:
    """The factors of the perturbed weights: PERTURBATIONS rows of one factor for each criterion."""
    draw = Random(f"{SEED}-{criteria}").random  # noqa: S311  draws of a simulation, not a secret
    span, least = 2 ** (2 * SPREAD), 2**-SPREAD
    return tuple(tuple(least * span ** draw() for _ in range(criteria)) for _ in range(PERTURBATIONS))


def decisive(choice: Choice, facts: Facts) -> Decisive | None:
    """The one rating of the pick or of a rival whose change, to the end of its scale, would close the gap most.

    None where there is no rival.
    """
    elected = next((one for one in choice.elected if one.pick is not None), None)
    if elected is None or elected.pick is None:
        return None
    pick = elected.pick
    found = [
        closing
        for rival in elected.slot.candidates
        if rival.tool != pick.tool
        for closing in _closings(pick, rival, facts)
    ]
    return max(found, key=lambda pair: pair[0])[1] if found else None


def _closings(pick: Candidate, rival: Candidate, facts: Facts) -> Iterator[tuple[float, Decisive]]:
    caution, gap = facts.scales.caution, pick.worth - rival.worth
    for candidate, best in ((pick, 0.0), (rival, 1.0)):
        weight = sum(one.weight for one in candidate.scored.criteria) or 1.0
        for one in candidate.scored.criteria:
            if one.id not in SETTLED:
                change = one.weight * abs(best - point(one.rating, caution)) / weight
                yield change - gap, _decisive(one, candidate.tool, rival.tool, best, change > gap, facts)


def _decisive(one: CriterionScore, tool: str, rival: str, best: float, flipping: bool, facts: Facts) -> Decisive:
    name, other = facts.tools[tool].name, facts.tools[rival].name
    end = "the best there is" if best else "the worst there is"
    then = f"{other} would be picked" if flipping else f"{other} would come nearest"
    text = f"If {name} were {end} on {one.name.lower()} (it is: {one.word}), {then}"
    return Decisive(tool, one.id, text, rival, flipping, one.source, one.date)


def keys_that_matter(facts: Facts) -> frozenset[str]:
    """The answers that some rule, gate or constraint looks at, and the priorities."""
    looked_at = {key for role in facts.trees for key in keys_of_role(role, facts)}
    people = {*facts.operation.hours_of, SKILL}
    return frozenset(looked_at | set(CONSTRAINT_KEYS) | people) & facts.questions.keys()


def keys_of_role(role: str, facts: Facts) -> frozenset[str]:
    """The answers that the rules and gates of one role look at."""
    tree = facts.trees[role]
    conditions: list[AllOf] = [gate.when for gate in facts.gates if gate.role == role]
    conditions += [group for gate in facts.gates if gate.role == role for group in gate.unless]
    for aspect in tree.aspects:
        conditions += [aspect.when, *aspect.any]
    for branch in tree.branches:
        conditions += [branch.when, *branch.any, branch.given]
    for criterion in facts.criteria:
        if criterion.role in ("", role):
            for change in criterion.changes:
                conditions += [change.when, *change.any]
    keys = {condition.key for group in conditions for condition in group}
    own = {f"priorities.{role}", f"current.{role}"} & facts.questions.keys()
    return frozenset(keys | own)


def other_answers(question: Question, current: Value) -> Iterator[Value]:
    """The other answers worth trying: each other choice, one choice more or less, the other buckets."""
    if question.type == "bool":
        yield current is not True
    elif question.type == "choice":
        yield from (name for name in question.allowed if name != current)
    elif question.type == "choices" and isinstance(current, tuple):
        for name in question.allowed:
            yield tuple(item for item in current if item != name) if name in current else (*current, name)
    elif question.type in ("int", "number"):
        for bucket in question.buckets:
            if bucket != current:
                yield int(bucket) if question.type == "int" else bucket
