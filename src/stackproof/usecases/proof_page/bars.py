"""One figure as bars: for each candidate a bar to the median, its interval as a line with ends, and the number."""

from collections.abc import Sequence

from stackproof.prove.statistics import Interval
from stackproof.prove.verdict import Compared
from stackproof.roles.proof import Proof
from stackproof.usecases.pages.html import Html
from stackproof.usecases.pages.svg import LETTER, Drawing, fitted
from stackproof.usecases.proof_page.wording import amount, interval, with_unit

WIDTH, NAMES, ROW, TOP = 340.0, 104.0, 44.0, 8.0
FONT = 12.0
BAR = 12.0


def figure_bars(key: str, one: Compared, proofs: Sequence[Proof]) -> Html:
    """Every candidate has the same colour; one with wrong results is drawn hollow."""
    described = "; ".join(
        f"{proof.tool}: {with_unit(interval(found), one.unit)}"
        for proof, found in zip(proofs, one.intervals, strict=True)
    )
    drawing = Drawing(key, WIDTH, TOP + ROW * len(proofs), one.meaning.title, described)
    top = max((found.high for found in one.intervals if found is not None), default=0.0) or 1.0
    for place, (proof, found) in enumerate(zip(proofs, one.intervals, strict=True)):
        _draw_row(drawing, TOP + ROW * place, proof, found, top, one.unit)
    return drawing.markup()


def _draw_row(drawing: Drawing, y: float, proof: Proof, found: Interval | None, top: float, unit: str) -> None:
    drawing.text(NAMES - 8, y + 22, fitted(proof.tool, NAMES - 8, FONT), "name", "end")
    drawing.line(NAMES, y, NAMES, y + ROW, "axis")
    if found is None:
        drawing.text(NAMES + 6, y + 22, "not measured", "none")
        return
    scale = (WIDTH - NAMES - 8) / top
    style = "bar right" if proof.correct else "bar wrong"
    drawing.rect(NAMES, y + 4, max(1.5, found.middle * scale), BAR, style)
    if found.high > found.low:
        low, high, middle = NAMES + found.low * scale, NAMES + found.high * scale, y + 4 + BAR / 2
        drawing.line(low, middle, high, middle, "whisker")
        for end in (low, high):
            drawing.line(end, middle - 4, end, middle + 4, "whisker")
    said = with_unit(amount(found.middle), unit)
    spread = f" ({amount(found.low)}–{amount(found.high)})" if found.high > found.low else ""
    room = (WIDTH - NAMES) / (LETTER * FONT)
    drawing.text(NAMES + 6, y + 4 + BAR + 14, said + spread if len(said + spread) <= room else said, "value")
