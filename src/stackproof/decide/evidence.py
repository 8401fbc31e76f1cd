"""What was measured on this machine, in place of what is written."""

import datetime
from collections.abc import Iterable
from math import log
from statistics import median

from stackproof.facts.model import Criterion, Measure
from stackproof.roles.proof import Figure, Proof

Proven = tuple[tuple[float, float], str, str, datetime.date]


def newest(proofs: Iterable[Proof], role: str, tool: str) -> list[Proof]:
    """The proofs of a tool in a role, the newest first."""
    found = [proof for proof in proofs if proof.role == role and proof.tool == tool]
    return sorted(found, key=lambda proof: (proof.at, proof.scenario), reverse=True)


def measured(criterion: Criterion, role: str, tool: str, proofs: Iterable[Proof]) -> Proven | None:
    """The rating that the newest proof with the criterion's figure gives: its range, in words, source, day.

    None where nothing measured it, or only a run whose results were wrong.
    """
    if criterion.measure is None:
        return None
    for proof in newest(proofs, role, tool):
        figure = _figure(proof, criterion.measure)
        if figure is not None and proof.correct:
            ratings = [_rating(value, criterion.measure) for value in (min(figure.values), max(figure.values))]
            word = f"{median(figure.values):g} {figure.unit}, measured {len(figure.values)} times"
            return (min(ratings), max(ratings)), word, source_of(proof), proof.at.date()
    return None


def _figure(proof: Proof, measure: Measure) -> Figure | None:
    return next(
        (
            figure
            for figure in proof.figures
            if figure.name == measure.figure and figure.unit == measure.unit and figure.values
        ),
        None,
    )


def _rating(value: float, measure: Measure) -> float:
    """1 at the best, 0 at the worst, by the logarithm between: ln(worst / value) / ln(worst / best)."""
    if value <= 0:
        return 1.0 if measure.best < measure.worst else 0.0
    rating = log(measure.worst / value) / log(measure.worst / measure.best)
    return round(min(1.0, max(0.0, rating)), 6)


def wrong_results(proofs: Iterable[Proof], tool: str) -> Proof | None:
    """The newest proof of the tool whose results were wrong; None where there is none.

    Only a later right one of the same role and scenario takes a wrong one back: a small scenario clears no large one.
    """
    last: dict[tuple[str, str], Proof] = {}
    for proof in sorted(proofs, key=lambda proof: proof.at):
        if proof.tool == tool:
            last[proof.role, proof.scenario] = proof
    return max((proof for proof in last.values() if not proof.correct), key=lambda proof: proof.at, default=None)


def source_of(proof: Proof) -> str:
    """How a proof is cited."""
    return f"proof of {proof.tool}: {proof.scenario}"
