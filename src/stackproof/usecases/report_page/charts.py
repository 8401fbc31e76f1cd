"""Charts as inline SVG, each a pure function of its numbers.

Classes, styled by the page: `a` what is as it was, `b` what changed, `guide` a line to compare with.
Each of them differs in its pattern as well as in its colour.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import TypeGuard

from stackproof.roles.features import Value
from stackproof.usecases.pages.html import Html
from stackproof.usecases.pages.numbers import figure, nice_step, percent, tick_label, ticks
from stackproof.usecases.pages.svg import LETTER, Drawing, fitted

FONT = 12.0
WIDTH = 340.0
_LEFT, _RIGHT, _BOTTOM = 46.0, 12.0, 40.0
_MOST_CATEGORIES = 8
_LARGEST = 1e100
_OTHER = "others"
_MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Series:
    """A line of a chart. `style`: "a", "b" or "guide"; `dots` marks each point as well."""

    points: Sequence[tuple[float, float]]
    style: str
    dots: bool = False
    line: bool = True


@dataclass(frozen=True, slots=True)
class Frame:
    """Where the values of a chart lie on the drawing."""

    left: float
    top: float
    width: float
    height: float
    x: tuple[float, float]
    y: tuple[float, float]

    def place(self, x: float, y: float) -> tuple[float, float]:
        return (
            self.left + self.width * (x - self.x[0]) / (self.x[1] - self.x[0]),
            self.top + self.height * (1 - (y - self.y[0]) / (self.y[1] - self.y[0])),
        )

    def places(self, points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
        """Where the points lie; one that cannot be drawn is NaN, which breaks a line."""
        nowhere = (math.nan, math.nan)
        return [self.place(x, y) if is_drawable(x) and is_drawable(y) else nowhere for x, y in points]


def is_drawable(value: object) -> TypeGuard[int | float]:
    """Whether a value is a number that an axis can hold: finite, and not so large that a range overflows."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST


def line_chart(
    key: str,
    title: str,
    description: str,
    series: Sequence[Series],
    *,
    x_label: str,
    y_label: str,
    x_range: tuple[float, float] | None = None,
    y_range: tuple[float, float] | None = None,
) -> Html:
    """Lines over common axes; the ranges are those of the values when not given."""
    every = [point for one in series for point in one.points if all(map(is_drawable, point))]
    drawing = Drawing(key, WIDTH, 260, title, description)
    frame = Frame(
        _LEFT, 24, WIDTH - _LEFT - _RIGHT, 260 - 24 - _BOTTOM,
        x_range or _span([x for x, _ in every]), y_range or _span([y for _, y in every], padding=0.06),
    )  # fmt: skip
    _draw_axes(drawing, frame, x_label, y_label)
    for one in series:
        places = frame.places(one.points)
        if one.line:
            drawing.polyline(places, f"line {one.style}")
        if one.dots:
            drawing.dots(places, f"dots {one.style}")
    return drawing.markup()


def _span(values: Sequence[float], *, padding: float = 0.0) -> tuple[float, float]:
    """The range of the values, never empty."""
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    if high - low <= _resolution(low, high):
        room = max(0.5, 2 * _resolution(low, high))
        low, high = low - room, high + room
    room = (high - low) * padding
    return low - room, high + room


def _resolution(low: float, high: float) -> float:
    """The smallest difference between such values that is worth an axis."""
    return 1e-9 * max(abs(low), abs(high))


def _draw_axes(drawing: Drawing, frame: Frame, x_label: str, y_label: str, *, wanted: int = 5) -> None:
    _draw_y_axis(drawing, frame)
    bottom = frame.top + frame.height
    _draw_x_axis(drawing, frame, wanted)
    drawing.text(frame.left + frame.width / 2, bottom + 34, x_label, "axis-label", "middle")
    drawing.text(frame.left - 38, frame.top - 10, y_label, "axis-label")


def _draw_y_axis(drawing: Drawing, frame: Frame, *, wanted: int = 5, as_share: bool = False) -> None:
    step = nice_step((frame.y[1] - frame.y[0]) / wanted)
    for mark in ticks(*frame.y, wanted):
        _, y = frame.place(frame.x[0], mark)
        drawing.line(frame.left, y, frame.left + frame.width, y, "grid")
        label = f"{100 * mark:.0f}\u00a0%" if as_share else tick_label(mark, step)
        drawing.text(frame.left - 6, y + 4, label, "tick", "end")


def _draw_x_axis(drawing: Drawing, frame: Frame, wanted: int = 5) -> None:
    bottom = frame.top + frame.height
    step = nice_step((frame.x[1] - frame.x[0]) / wanted)
    drawing.line(frame.left, bottom, frame.left + frame.width, bottom, "axis")
    for mark in ticks(*frame.x, wanted):
        x, _ = frame.place(mark, frame.y[0])
        drawing.line(x, bottom, x, bottom + 4, "axis")
        drawing.text(x, bottom + 17, tick_label(mark, step).replace("-", "−"), "tick", "middle")


# ------------------------------------------------------------ one feature before and after


def numbers_of(values: Sequence[Value]) -> list[float]:
    """The values that are finite numbers, in their order."""
    return [float(value) for value in values if is_drawable(value)]


def is_numeric(values: Sequence[Value]) -> bool:
    """Whether every value that is there is a number; none at all is not."""
    there = [value for value in values if value is not None]
    return bool(there) and all(isinstance(v, int | float) and not isinstance(v, bool) for v in there)


def bins_of(values: Sequence[float], wanted: int = 28) -> list[float]:
    """The edges of bins of one round width that cover all values: between 2 and about 2.5 x `wanted` edges."""
    low, high = min(values), max(values)
    step = nice_step((high - low) / wanted) if high - low > _resolution(low, high) else 1.0
    step = max(step, nice_step(_resolution(low, high)) if _resolution(low, high) else 0.0)
    first, last = math.floor(low / step), math.floor(high / step) + 1
    return [edge * step for edge in range(first, last + 1)]


def shares_in(values: Sequence[float], edges: Sequence[float]) -> list[float]:
    """The share of the values in each bin [edge, next edge); all 0 without values."""
    counts = [0] * (len(edges) - 1)
    step = (edges[-1] - edges[0]) / len(counts)
    for value in values:
        place = int((value - edges[0]) / step)
        counts[min(max(place, 0), len(counts) - 1)] += 1
    return [count / max(len(values), 1) for count in counts]


def histogram_pair(
    key: str, feature: str, before: Sequence[Value], after: Sequence[Value], labels: tuple[str, str]
) -> Html:
    """Two histograms over the same bins, one below the other, with both medians marked.

    A feature that is no number gets a bar for each category. Missing values are counted in the labels.
    """
    if not is_numeric([*before, *after]):
        return _category_pair(key, feature, before, after, labels)
    parts = (numbers_of(before), numbers_of(after))
    edges = bins_of([*parts[0], *parts[1]] or [0.0])
    shares = [shares_in(part, edges) for part in parts]
    highest = max(*shares[0], *shares[1], 0.01) * 1.08
    drawing = Drawing(key, WIDTH, 366, f"{feature} before and after the change", _compared(labels, parts))
    for place, style in enumerate(("a", "b")):
        top = 30 + place * 172
        frame = Frame(_LEFT, top, WIDTH - _LEFT - _RIGHT, 118, (edges[0], edges[-1]), (0, highest))
        _draw_y_axis(drawing, frame, wanted=3, as_share=True)
        _draw_bins(drawing, frame, edges, shares[place], style)
        _draw_x_axis(drawing, frame)
        drawing.text(8, top - 12, _panel_label(labels[place], (before, after)[place]), "panel-label")
        _draw_median(drawing, frame, parts[place], style)
    drawing.text(_LEFT + (WIDTH - _LEFT - _RIGHT) / 2, 356, feature, "axis-label", "middle")
    return drawing.markup()


def _compared(labels: tuple[str, str], parts: tuple[list[float], list[float]]) -> str:
    medians = [f"{median(part):.3g}" if part else "unknown" for part in parts]
    return (
        f"Share of the values that are there, in the same bins. Median {labels[0].lower()}: {medians[0]};"
        f" {labels[1].lower()}: {medians[1]}."
    )


def _panel_label(label: str, values: Sequence[Value]) -> str:
    missing = sum(value is None for value in values)
    note = f", {missing:,} missing" if missing else ""
    return f"{label} ({len(values):,} predictions{note})"


def _draw_bins(drawing: Drawing, frame: Frame, edges: Sequence[float], shares: list[float], style: str) -> None:
    for edge, following, share in zip(edges, edges[1:], shares, strict=False):
        if share > 0:
            x, y = frame.place(edge, share)
            end, _ = frame.place(following, 0)
            drawing.rect(x + 0.6, y, end - x - 1.2, frame.top + frame.height - y, f"bar {style}")


def _draw_median(drawing: Drawing, frame: Frame, values: list[float], style: str) -> None:
    if not values:
        return
    middle = median(values)
    x, _ = frame.place(middle, 0)
    drawing.line(x, frame.top - 2, x, frame.top + frame.height, f"median {style}")
    label = f"median {middle:.3g}"
    fits = x + 5 + len(label) * LETTER * FONT < frame.left + frame.width
    drawing.text(x + (5 if fits else -5), frame.top + 8, label, "mark-label", "start" if fits else "end")


def _category_pair(
    key: str, feature: str, before: Sequence[Value], after: Sequence[Value], labels: tuple[str, str]
) -> Html:
    names = _categories([*before, *after])
    shares = [_category_shares(values, names) for values in (before, after)]
    height = 34 + 40 * len(names)
    said = "; ".join(
        f"{name}: {percent(old)} became {percent(new)}" for name, old, new in zip(names, *shares, strict=True)
    )
    drawing = Drawing(key, WIDTH, height, f"{feature} before and after the change", said or "No values.")
    drawing.text(0, 14, f"upper bar: {labels[0].lower()}, lower: {labels[1].lower()}", "tick")
    widest = max([*shares[0], *shares[1], 0.01])
    for place, name in enumerate(names):
        y = 30 + 40 * place
        drawing.text(92, y + 18, fitted(name, 90, FONT), "tick", "end")
        for row, style in enumerate(("a", "b")):
            share, top = shares[row][place], y + 15 * row
            drawing.rect(98, top, 180 * share / widest, 12, f"bar {style}")
            drawing.text(103 + 180 * share / widest, top + 10, percent(share), "tick")
    return drawing.markup()


def _categories(values: Sequence[Value]) -> list[str]:
    """The most frequent ones first; the rest together, and missing ones, at the end."""
    there = [str(value) for value in values if value is not None]
    counted = sorted({name: there.count(name) for name in set(there)}.items(), key=lambda item: (-item[1], item[0]))
    names = [name for name, _ in counted[:_MOST_CATEGORIES]]
    names += [_OTHER] if len(counted) > _MOST_CATEGORIES else []
    return names + ([_MISSING] if len(there) < len(values) else [])


def _category_shares(values: Sequence[Value], names: Sequence[str]) -> list[float]:
    counts = dict.fromkeys(names, 0)
    for value in values:
        name = _MISSING if value is None else str(value)
        counts[name if name in counts else _OTHER] += 1
    return [count / max(len(values), 1) for count in counts.values()]


# ------------------------------------------------------------ one feature in the order of its predictions


def strip_chart(
    key: str,
    feature: str,
    before: Sequence[Value],
    after: Sequence[Value],
    to_alert: int | None,
    *,
    width: float = WIDTH,
    height: float = 300,
) -> Html:
    """The feature's values in order, counted from the change, with the change and the alert marked.

    Of the values before the change the last ones are shown, about twice as many as after it. The
    line is the median of 25 values. Missing values are left out.
    """
    shown = min(len(before), max(150, min(2 * len(after), 1200)))
    parts = {"a": _in_order(before, -len(before)), "b": _in_order(after, 0)}
    medians = {style: running_median(points) for style, points in parts.items()}
    parts, medians = ({s: [p for p in ps if p[0] >= -shown] for s, ps in by.items()} for by in (parts, medians))
    drawing = Drawing(key, width, height, f"{feature} over the predictions", _strip_text(shown, len(after), to_alert))
    frame = Frame(
        _LEFT, 64, width - _LEFT - _RIGHT, height - 64 - _BOTTOM,
        (-shown, max(len(after), 1)), _span([y for points in parts.values() for _, y in points], padding=0.05),
    )  # fmt: skip
    _draw_marks(drawing, frame, to_alert)
    _draw_axes(drawing, frame, "predictions since the change", feature, wanted=6 if width > WIDTH else 4)
    for style, points in parts.items():
        drawing.dots(frame.places(points), f"dots faint {style}")
        drawing.polyline(frame.places(medians[style]), f"line {style}")
    return drawing.markup()


def _in_order(values: Sequence[Value], first: int) -> list[tuple[float, float]]:
    """The values that are numbers, each at its place, counted from `first`."""
    return [(float(place), float(value)) for place, value in enumerate(values, start=first) if is_drawable(value)]


def running_median(points: Sequence[tuple[float, float]], window: int = 25) -> list[tuple[float, float]]:
    """For each point the median of it and up to `window` - 1 points before it."""
    return [
        (x, median([y for _, y in points[max(0, end - window) : end]])) for end, (x, _) in enumerate(points, start=1)
    ]


def _strip_text(before: int, after: int, to_alert: int | None) -> str:
    end = "no alert followed" if to_alert is None else f"the alert came {to_alert:,} predictions after the change"
    return f"The last {before:,} predictions before the change and {after:,} after it; {end}."


def _draw_marks(drawing: Drawing, frame: Frame, to_alert: int | None) -> None:
    """Two flags above the plot, in two rows, so that they never cover each other or the values."""
    start, _ = frame.place(0, frame.y[0])
    end = frame.left + frame.width
    drawing.rect(start, frame.top, end - start, frame.height, "after")
    _draw_flag(drawing, frame, 0, 12, "the change", "a")
    if to_alert is not None:
        place = min(float(to_alert), frame.x[1])
        _draw_flag(drawing, frame, place, 28, f"alert after {to_alert:,}", "b")


def _draw_flag(drawing: Drawing, frame: Frame, x_value: float, baseline: float, label: str, style: str) -> None:
    x, _ = frame.place(x_value, frame.y[0])
    drawing.line(x, baseline - 10, x, frame.top + frame.height, f"flag {style}")
    fits = x + 5 + len(label) * LETTER * FONT < frame.left + frame.width + _RIGHT
    drawing.text(x + (5 if fits else -5), baseline, label, "mark-label", "start" if fits else "end")


# ------------------------------------------------------------ a few values side by side


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: its label, its value and its style, "a" or "b"."""

    label: str
    value: float
    style: str


def bar_chart(key: str, title: str, description: str, bars: Sequence[Bar]) -> Html:
    """Horizontal bars from 0 on, the label above each and the value at its end."""
    there = [bar for bar in bars if is_drawable(bar.value)]
    highest = max([bar.value for bar in there if bar.value > 0] or [1.0])
    drawing = Drawing(key, WIDTH, 46 * max(len(there), 1) + 4, title, description)
    length = WIDTH - 56
    for place, bar in enumerate(there):
        y = 46 * place + 14
        width = length * max(bar.value, 0) / highest
        drawing.text(0, y, fitted(bar.label, WIDTH, FONT), "tick")
        drawing.rect(0, y + 6, width, 16, f"bar {bar.style}")
        drawing.text(width + 6, y + 19, figure(bar.value), "value")
    return drawing.markup()
