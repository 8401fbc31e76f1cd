"""Ranges drawn as bars: solid up to the low end, pale up to the high end, hatched where nothing is known.

A bar is one empty element whose style says where its parts end; the same numbers stand beside it as text.
"""

from stackproof.usecases.decision_page.wording import Range
from stackproof.usecases.pages.html import Html, tag

THINNEST, PER_WEIGHT = 4.0, 1.4
"""The thickness of a bar in pixels for weight 0, and what each weight adds to it."""


def bar(between: Range | None, *, top: float = 1.0, point: float | None = None) -> Html:
    """A bar on a scale from 0 to `top`, which nothing exceeds, with a mark at `point`; None is hatched."""
    if between is None:
        return tag("i", class_="unknown")
    low, high = (_share(bound, top) for bound in between)
    style = f"--low:{low}%" + (f";--high:{high}%" if high != low else "")
    return tag("i", style=style if point is None else f"{style};--at:{_share(point, top)}%")


def thickness(weight: float) -> str:
    """The style of what holds bars whose thickness is a weight (0 to 10)."""
    return f"--thick:{THINNEST + PER_WEIGHT * weight:.3g}px"


def _share(value: float, top: float) -> str:
    return f"{100 * min(max(value / top, 0.0), 1.0) if top > 0 else 0.0:.3g}"
