"""The whole stack: one candidate for each part of each role, so that together they are worth most.

A stack's worth is the sum of its candidates' scores, with what is known of pairs of tools added, and with the hours
that go beyond what the team can give taken off. The budget and what a tool requires beside it are never broken.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from stackproof.decide.decision import Scored
from stackproof.decide.reach import Usable
from stackproof.decide.votes import Election
from stackproof.facts.model import Facts

FIRST = 10.0
"""What a tool of the stated priority is put ahead by: more than all the rest of a stack can weigh up."""

REACH = 0.2
"""How far below the best of its slot a candidate may lie to be tried for the sake of the rest of the stack."""

SLIGHT = 1e-9


@dataclass(frozen=True, slots=True)
class Candidate:
    """A way of using a tool for one slot. `worth`: its score, and FIRST where a stated priority puts it first."""

    way: Usable
    scored: Scored
    worth: float
    hours: tuple[float, float] | None
    beside: tuple[str, ...] = ()

    @property
    def tool(self) -> str:
        return self.way.tool.id


@dataclass(frozen=True, slots=True)
class Slot:
    """One aspect of a role that wants a tool. `candidates`: those in reach, best first."""

    role: str
    aspect: str
    election: Election
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True)
class Terms:
    """What binds a stack: US dollars a year, the hours a month that people can give, and pairs of tools."""

    budget: float
    hours: float
    pairs: Mapping[frozenset[str], float]
    overload: float
    most: float


Picks = tuple[Candidate | None, ...]
"""A candidate for each slot, None where none is left."""


def pair_worths(facts: Facts) -> dict[frozenset[str], float]:
    """What two tools together add to or take from a stack."""
    stack = facts.scales.stack
    return {
        frozenset(pair.tools): stack[pair.kind] * stack[f"confidence_{pair.confidence}"]
        for pair in facts.pairs
        if f"confidence_{pair.confidence}" in stack
    }


def assemble(slots: Sequence[Slot], terms: Terms) -> Picks:
    """The best stack found: from the best affordable start, one move after the other, the best first.

    Moves change one slot, or two whose tools are linked or priced. Deterministic: on equal worth the earlier wins.
    """
    picks = _start(slots, terms)
    worth = stack_worth(picks, terms)
    while True:
        best = None
        for moved in _moves(picks, slots, terms):
            found = stack_worth(moved, terms)
            if found > worth + SLIGHT:
                best, worth = moved, found
        if best is None:
            return picks
        picks = best


def stack_worth(picks: Picks, terms: Terms) -> float:
    """Minus infinity for a stack that the budget or a missing requirement forbids."""
    chosen = [pick for pick in picks if pick is not None]
    tools = {pick.tool: pick for pick in chosen}
    if not all(set(pick.way.tool.requires) <= tools.keys() for pick in chosen):
        return float("-inf")
    if sum(pick.way.price.floor for pick in tools.values()) > terms.budget:
        return float("-inf")
    return sum(pick.worth for pick in chosen) + pairs_worth(sorted(tools), terms) - overload(tools.values(), terms)


def pairs_worth(tools: Sequence[str], terms: Terms) -> float:
    """What is known of the pairs among the tools: of what works together, no tool brings more than `terms.most`."""
    brought = dict.fromkeys(tools, 0.0)
    against = 0.0
    for two in combinations(tools, 2):
        worth = terms.pairs.get(frozenset(two), 0.0)
        if worth > 0:
            for tool in two:
                brought[tool] += worth
        else:
            against += worth
    return sum(min(worth, terms.most) for worth in brought.values()) / 2 + against


def overload(chosen: Collection[Candidate], terms: Terms) -> float:
    """What the hours beyond those that people can give take off: `terms.overload` for each whole multiple of them."""
    hours = sum(sum(pick.hours) / 2 for pick in chosen if pick.hours is not None)
    return terms.overload * max(0.0, hours / max(terms.hours, 1.0) - 1)


def _start(slots: Sequence[Slot], terms: Terms) -> Picks:
    """For each slot in turn the best candidate that leaves enough of the budget for the slots after it."""
    floors = [min((c.way.price.floor for c in slot.candidates), default=0.0) for slot in slots]
    picks: list[Candidate | None] = []
    bought: dict[str, float] = {}
    for place, slot in enumerate(slots):
        left = terms.budget - sum(bought.values()) - sum(floors[place + 1 :])
        pick = next((c for c in slot.candidates if _fits(c, left, bought)), None)
        picks.append(pick)
        if pick is not None:
            bought[pick.tool] = pick.way.price.floor
    return tuple(picks)


def _fits(candidate: Candidate, left: float, bought: Mapping[str, float]) -> bool:
    price = 0.0 if candidate.tool in bought else candidate.way.price.floor
    return (price == 0 or price <= left) and set(candidate.way.tool.requires) <= bought.keys()


def _moves(picks: Picks, slots: Sequence[Slot], terms: Terms) -> Iterator[Picks]:
    options = [_worth_trying(slot, pick) for slot, pick in zip(slots, picks, strict=True)]
    for place, candidates in enumerate(options):
        for candidate in candidates:
            yield (*picks[:place], candidate, *picks[place + 1 :])
    for one, other in combinations(range(len(slots)), 2):
        for a in options[one]:
            for b in options[other]:
                if _linked(a, b, picks[one], picks[other], terms):
                    yield (*picks[:one], a, *picks[one + 1 : other], b, *picks[other + 1 :])


def _worth_trying(slot: Slot, pick: Candidate | None) -> list[Candidate]:
    """The others that the rest of the stack could still put before the pick."""
    if not slot.candidates:
        return []
    best = slot.candidates[0].worth
    return [c for c in slot.candidates if c is not pick and c.worth > best - REACH]


def _linked(a: Candidate, b: Candidate, now: Candidate | None, then: Candidate | None, terms: Terms) -> bool:
    """Whether changing both at once can pay where changing one doesn't."""
    requires = a.tool in b.way.tool.requires or b.tool in a.way.tool.requires
    paired = terms.pairs.get(frozenset((a.tool, b.tool)), 0.0) > 0
    prices = [c.way.price.floor for c in (now, then) if c is not None]
    return requires or paired or ((a.way.price.floor > 0 or b.way.price.floor > 0) and any(prices))
