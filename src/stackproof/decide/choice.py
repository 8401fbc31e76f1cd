"""Which tool fills each role: gates, then what is in reach, scored, then the whole stack assembled."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from stackproof.decide.answers import Answers
from stackproof.decide.assembly import FIRST, Candidate, Picks, Slot, Terms, assemble, pair_worths
from stackproof.decide.conditions import gate_closes, is_active
from stackproof.decide.evidence import source_of, wrong_results
from stackproof.decide.reach import Rejection, Usable, reach
from stackproof.decide.scoring import Scorer, Weighted, hours_per_month, score, weigh
from stackproof.decide.votes import Election, elect, priority_aspect
from stackproof.facts.model import Facts, Gate, Tool
from stackproof.roles import ROLES
from stackproof.roles.proof import Proof

MOST = frozenset({"critical", "central"})


@dataclass(frozen=True, slots=True)
class Elected:
    """One aspect of a role: its candidates, best first, and the one that the stack took (None where none is left)."""

    slot: Slot
    pick: Candidate | None

    @property
    def aspect(self) -> str:
        return self.slot.aspect

    @property
    def election(self) -> Election:
        return self.slot.election


@dataclass(frozen=True, slots=True)
class Choice:
    """What fills a role. `verdict` as in decision.json; `tool` None for skip and none."""

    role: str
    verdict: str
    tool: str | None
    beside: tuple[str, ...] = ()
    gate: Gate | None = None
    elected: tuple[Elected, ...] = ()

    @property
    def tools(self) -> tuple[str, ...]:
        """All tools in use; none for a role that waits."""
        return (self.tool, *self.beside) if self.verdict == "use" and self.tool else ()

    @property
    def pick(self) -> Candidate | None:
        """The candidate behind `tool`, None for a role that has none."""
        return next((one.pick for one in self.elected if one.pick is not None), None)


Judged = Mapping[str, Usable | Rejection]


def choose_all(
    answers: Answers, facts: Facts, judged: Judged | None = None, proofs: Iterable[Proof] = ()
) -> dict[str, Choice]:
    """A choice for each of the nine roles, in their order."""
    proofs = tuple(proofs)
    judged = judge_all(answers, facts, proofs) if judged is None else judged
    slots = slots_of(answers, facts, judged, proofs)
    return choices_of(slots, assemble(slots, terms_of(answers, facts)), answers, facts, judged)


def judge_all(answers: Answers, facts: Facts, proofs: Iterable[Proof] = ()) -> dict[str, Usable | Rejection]:
    """Every tool, usable or struck out; also by a proof whose results were wrong."""
    judged = dict(reach(facts, answers))
    for name, way in judged.items():
        proof = wrong_results(proofs, name)
        if proof is not None and isinstance(way, Usable):
            because = f"Its results were wrong when measured here: {'; '.join(proof.faults) or 'no detail'}"
            judged[name] = Rejection(name, because, "capability", source_of(proof), proof.at.date())
    return judged


def slots_of(answers: Answers, facts: Facts, judged: Judged, proofs: tuple[Proof, ...] = ()) -> tuple[Slot, ...]:
    """What wants a tool: every active aspect of every role whose gates are open, in the roles' order."""
    return tuple(slot for role in ROLES for slot in slots_of_role(role, answers, facts, judged, proofs))


def slots_of_role(
    role: str,
    answers: Answers,
    facts: Facts,
    judged: Judged,
    proofs: tuple[Proof, ...] = (),
    scorer: Scorer = score,
) -> tuple[Slot, ...]:
    """The role's active aspects, none where a gate is closed. `scorer`: what scores, in place of `score`."""
    if closed_gate(role, answers, facts) is not None:
        return ()
    aspects = active_aspects(role, answers, facts)
    return tuple(_slot(role, aspect, answers, facts, judged, proofs, scorer) for aspect in aspects)


def _slot(
    role: str,
    aspect: str,
    answers: Answers,
    facts: Facts,
    judged: Judged,
    proofs: tuple[Proof, ...],
    scorer: Scorer,
) -> Slot:
    election = elect(facts.trees[role], aspect, answers, facts)
    weighted = weigh(role, aspect, answers, facts)
    found = []
    for tool in candidates(role, facts, aspect, election):
        way = judged[tool.id]
        if isinstance(way, Usable):
            found.append(_candidate(way, role, election, weighted, answers, facts, proofs, scorer))
    ranked = sorted(found, key=lambda candidate: (-candidate.worth, candidate.tool))
    return Slot(role, aspect, election, tuple(ranked))


def _candidate(
    way: Usable,
    role: str,
    election: Election,
    weighted: tuple[Weighted, ...],
    answers: Answers,
    facts: Facts,
    proofs: tuple[Proof, ...],
    scorer: Scorer,
) -> Candidate:
    """The tool in that of its modes that scores best."""
    scored = [(scorer(one, role, election, weighted, answers, facts, proofs), one) for one in way.ways]
    best, used = max(scored, key=lambda pair: pair[0].score)
    name = way.tool.id
    first = FIRST - election.stated.index(name) if name in election.stated else 0.0
    hours = hours_per_month(used, answers, facts)
    return Candidate(used, best, first + best.score, hours, election.beside(name))


def terms_of(answers: Answers, facts: Facts) -> Terms:
    return Terms(
        budget=answers.number("organization.budget_usd_per_year"),
        hours=hours_available(answers, facts),
        pairs=pair_worths(facts),
        overload=facts.scales.stack["overload"],
        most=facts.scales.stack["most"],
    )


def hours_available(answers: Answers, facts: Facts) -> float:
    """The hours a month that the team's people can give to operating tools."""
    return sum(answers.number(key) * hours for key, hours in facts.operation.hours_of.items())


def choices_of(
    slots: tuple[Slot, ...], picks: Picks, answers: Answers, facts: Facts, judged: Judged
) -> dict[str, Choice]:
    choices = {}
    for role in ROLES:
        gate = closed_gate(role, answers, facts)
        if gate is not None:
            choices[role] = Choice(role, gate.verdict, "embedded" if gate.verdict == "defer" else None, gate=gate)
        else:
            pairs = [(slot, pick) for slot, pick in zip(slots, picks, strict=True) if slot.role == role]
            extra = [aspect.name for aspect in facts.trees[role].aspects if aspect.extra]
            choices[role] = _choice(role, tuple(Elected(slot, pick) for slot, pick in pairs), extra, judged)
    return choices


def _choice(role: str, elected: tuple[Elected, ...], extra: Collection[str], judged: Judged) -> Choice:
    """`extra`: the aspects that don't fill the role by themselves."""
    if not any(one.pick is not None and one.aspect not in extra for one in elected):
        return Choice(role, "none", None, elected=tuple(replace(one, pick=None) for one in elected))
    tools = tuple(dict.fromkeys(name for one in elected for name in _with_beside(one.pick, judged)))
    return Choice(role, "use", tools[0], tools[1:], elected=elected)


def _with_beside(pick: Candidate | None, judged: Judged) -> Iterator[str]:
    """The tool, then those beside it that cost nothing or are part of it."""
    if pick is not None:
        yield pick.tool
        for name in pick.beside:
            way = judged.get(name)
            if isinstance(way, Usable) and way.price.floor == 0:
                yield name


def closed_gate(role: str, answers: Answers, facts: Facts) -> Gate | None:
    return next((gate for gate in facts.gates if gate.role == role and gate_closes(gate, answers)), None)


def active_aspects(role: str, answers: Answers, facts: Facts) -> list[str]:
    """The aspects that matter to this team: the stated priority's first, then what is critical, then as filed."""
    tree = facts.trees[role]
    stated = priority_aspect(tree, answers)
    active = [aspect for aspect in tree.aspects if aspect.name == stated or is_active(aspect, answers)]

    def order(place: int) -> tuple[bool, bool, int]:
        aspect = active[place]
        critical = bool(aspect.level) and answers[aspect.level] in MOST
        return aspect.name != stated, not critical, place

    return [active[place].name for place in sorted(range(len(active)), key=order)]


def candidates(role: str, facts: Facts, aspect: str | None = None, election: Election | None = None) -> list[Tool]:
    """Every tool that the role, or one aspect of it, could have.

    Of a role: by its roles and parts, and those that its rules name. Of an aspect: those that some rule of the
    aspect names or that are rated on one of its criteria; of a role without aspects, those that fill it. A tool that
    fills only a part of the role is one where a rule that holds gives it a vote.
    """
    if aspect is None:
        named = _named(role, None, facts)
        return [tool for tool in facts.tools.values() if {role} & {*tool.roles, *tool.parts} or tool.id in named]
    named = _named(role, aspect, facts)
    rated = {criterion.id for criterion in facts.criteria if criterion.role == role and criterion.aspect == aspect}
    voted = election.votes if election is not None else {}
    return [
        tool
        for tool in facts.tools.values()
        if tool.id in voted
        or (
            role in tool.roles
            and (not aspect or tool.id in named or any(rating.criterion in rated for rating in tool.ratings))
        )
    ]


def _named(role: str, aspect: str | None, facts: Facts) -> set[str]:
    return {
        name
        for branch in facts.trees[role].branches
        if aspect is None or branch.aspect == aspect
        for pick in branch.picks
        for name in (pick.tool, *(pick.beside if aspect is None else ()))
    }
