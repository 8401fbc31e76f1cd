"""The proofs of one role beside each other: for each figure the medians with their intervals, and who is ahead."""

from collections.abc import Sequence
from dataclasses import dataclass

from stackproof.prove.figures import GROUPS, Meaning, meaning
from stackproof.prove.statistics import Interval, median_interval
from stackproof.roles.proof import Figure, Proof


@dataclass(frozen=True, slots=True)
class Compared:
    """One figure. `intervals`: for each proof in order, None where it was not measured.

    `ahead`: the proofs, by their place, that are better than every other or can't be told from the best; empty where
    fewer than two were measured, or one of them once only, where it is neither good nor bad, and where nobody can be
    told from anybody.
    """

    name: str
    unit: str
    meaning: Meaning
    intervals: tuple[Interval | None, ...]
    ahead: frozenset[int]


def compare(proofs: Sequence[Proof]) -> list[Compared]:
    """Every figure that any of the proofs has, by group, in the order in which they were measured.

    A candidate with wrong results is ahead in nothing: how fast a wrong answer comes is of no worth.
    """
    names = dict.fromkeys((figure.name, figure.unit) for proof in proofs for figure in proof.figures if figure.values)
    found = [_compared(name, unit, proofs) for name, unit in names]
    places = {group: place for place, group in enumerate(GROUPS)}
    return sorted(found, key=lambda one: places[one.meaning.group])


def figure_of(proof: Proof, name: str, unit: str) -> Figure | None:
    return next((one for one in proof.figures if (one.name, one.unit) == (name, unit) and one.values), None)


def _compared(name: str, unit: str, proofs: Sequence[Proof]) -> Compared:
    figures = [figure_of(proof, name, unit) for proof in proofs]
    intervals = tuple(median_interval(figure.values) if figure else None for figure in figures)
    known = meaning(name)
    right = {place: one for place, one in enumerate(intervals) if one is not None and proofs[place].correct}
    return Compared(name, unit, known, intervals, _ahead(right, known))


def _ahead(intervals: dict[int, Interval], known: Meaning) -> frozenset[int]:
    sure = known.exact or all(one.confidence > 0 for one in intervals.values())
    if len(intervals) < 2 or not known.better or not sure:
        return frozenset()
    middles = {place: one.middle for place, one in intervals.items()}
    best = (min if known.better == "less" else max)(middles, key=lambda place: middles[place])
    level = {place for place, one in intervals.items() if one.overlaps(intervals[best])}
    return frozenset() if len(level) == len(intervals) else frozenset(level)
