"""From the values of a page to its HTML: draws the pictures and fills the templates."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stackproof.usecases.pages import base_style, numbers
from stackproof.usecases.pages.html import Html
from stackproof.usecases.report_page.charts import (
    Bar,
    Series,
    bar_chart,
    histogram_pair,
    is_numeric,
    line_chart,
    strip_chart,
)
from stackproof.usecases.report_page.lineage_picture import lineage_picture
from stackproof.usecases.report_page.page import Curve, Drift, Graph, Notice, Page, TimelineStep, Training, Trials

if TYPE_CHECKING:
    from jinja2 import Environment

WIDE = 700.0
BEFORE_AFTER = ("Control stream", "After the change")
_CURVE_NAMES = {"roc": "ROC", "precision-recall": "Precision and recall", "calibration": "Calibration"}
_UNIT = (0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Figure:
    """A picture with its heading. `legend`: for each line its style and what it is."""

    heading: str
    picture: Html
    legend: tuple[tuple[str, str], ...] = ()


def render(page: Page) -> str:
    """The page as one HTML document that needs nothing else. All text is escaped."""
    environment = _environment()
    style, _, _ = environment.loader.get_source(environment, "page.css")  # type: ignore[union-attr]  # it was given one
    template = environment.get_template("page.html.j2")
    return template.render(
        page=page, style=base_style() + style, total_s=sum(step.duration_s for step in page.steps), **pictures(page)
    )


def pictures(page: Page) -> Mapping[str, object]:
    """All pictures of the page by name; None or empty where the page has no values for it."""
    training, notice, drift = page.training, page.notice, page.drift
    return {
        "bars": timeline_bars(page.steps),
        "lineage_picture": _lineage(page.lineage) if page.lineage and page.lineage.nodes else None,
        "curve_figures": [_curve(curve) for curve in training.curves] if training else [],
        "trials_figure": _trials(training.trials) if training and training.trials else None,
        "notice_figures": _notice(notice) if notice and notice.finding else None,
        "months_figure": _months(drift) if drift and drift.months else None,
        "metric_names": metric_names(training) if training else [],
    }


def _environment() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined  # the base install has no Jinja2

    environment = Environment(
        loader=PackageLoader("stackproof.usecases.report_page", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for name in ("seconds", "percent", "thousands", "tiny", "figure", "instant", "short_id", "readable"):
        environment.filters[name] = getattr(numbers, name)
    return environment


def timeline_bars(steps: tuple[TimelineStep, ...]) -> list[tuple[float, float]]:
    """For each step where it starts and how long it is, in percent of the whole."""
    total = sum(step.duration_s for step in steps) or 1.0
    bars, start = [], 0.0
    for step in steps:
        bars.append((100 * start / total, 100 * step.duration_s / total))
        start += step.duration_s
    return bars


def metric_names(training: Training) -> list[str]:
    """The metrics that any model version has, the two best known first."""
    names = dict.fromkeys(["auc", "log_loss"])
    for model in training.models:
        names |= dict.fromkeys(sorted(model.metrics))
    return [name for name in names if any(name in model.metrics for model in training.models)]


def _lineage(graph: Graph) -> Html:
    drawn = ", ".join(f"{sum(n.column == c for n in graph.nodes)} in “{h}”" for c, h in enumerate(graph.columns))
    return lineage_picture(
        "lineage", graph, "What the prediction rests on",
        f"From left to right: {drawn}. Each box is listed with its identifier in the table below the picture.",
    )  # fmt: skip


def _curve(curve: Curve) -> Figure:
    *earlier, main = curve.lines
    is_calibration = curve.name == "calibration"
    guide = [Series([(0, 0), (1, 1)], "guide")] if curve.name in ("roc", "calibration") else []
    series = [*guide, *(Series(line.points, "b") for line in earlier), Series(main.points, "a", dots=is_calibration)]
    ends = [point for line in curve.lines for point in line.points]
    ranges = _square(ends) if is_calibration else (_UNIT if all(_inside(p) for p in ends) else None)
    if is_calibration and ranges:
        guide[0] = Series([(ranges[0], ranges[0]), (ranges[1], ranges[1])], "guide")
        series[0] = guide[0]
    name = _CURVE_NAMES.get(curve.name, curve.name.replace("-", " ").capitalize())
    described = f"{curve.y_label} over {curve.x_label}, {' and '.join(line.label for line in curve.lines)}."
    picture = line_chart(
        f"curve-{curve.name}", name, described, series,
        x_label=curve.x_label, y_label=curve.y_label, x_range=ranges, y_range=ranges,
    )  # fmt: skip
    legend = [("a", main.label), *(("b", line.label) for line in earlier)]
    legend += [("guide", "perfect" if is_calibration else "chance")] if guide else []
    return Figure(name, picture, tuple(legend))


def _inside(point: tuple[float, float]) -> bool:
    return 0 <= point[0] <= 1 and 0 <= point[1] <= 1


def _square(points: list[tuple[float, float]]) -> tuple[float, float] | None:
    """One range for both axes, from 0 to a little over the greatest value, so that the diagonal is one."""
    if not points or not all(_inside(point) for point in points):
        return None
    return 0.0, min(1.0, max(max(point) for point in points) * 1.08 or 1.0)


def best_so_far(values: tuple[tuple[int, float], ...]) -> list[tuple[float, float]]:
    """The lowest value up to each trial, as steps."""
    points: list[tuple[float, float]] = []
    for number, value in sorted(values):
        best = min(value, points[-1][1]) if points else value
        if points:
            points.append((float(number), points[-1][1]))
        points.append((float(number), best))
    return points


def _trials(trials: Trials) -> Figure:
    numbered = [(float(number), value) for number, value in trials.values]
    picture = line_chart(
        "trials", "Tuning trials", f"The loss of {len(numbered)} finished trials, and the lowest so far.",
        [Series(best_so_far(trials.values), "a"), Series(numbered, "b", dots=True, line=False)],
        x_label="trial", y_label="validation loss", x_range=_trial_range(trials),
    )  # fmt: skip
    return Figure("Tuning trials", picture, (("a", "best so far"), ("b dot", "one trial")))


def _trial_range(trials: Trials) -> tuple[float, float]:
    last = max([number for number, _ in trials.values] + ([trials.planned - 1] if trials.planned else []))
    return -0.5, last + 0.5


def _notice(notice: Notice) -> Mapping[str, Figure | None]:
    feature = notice.finding.column if notice.finding else ""
    pair = histogram_pair("histograms", feature, notice.before, notice.after, BEFORE_AFTER)
    figures: dict[str, Figure | None] = {"histograms": Figure(f"{feature}, before and after", pair)}
    figures |= dict.fromkeys(("wide", "narrow"))
    if is_numeric([*notice.before, *notice.after]):
        for name, width in (("wide", WIDE), ("narrow", 340.0)):
            strip = strip_chart(
                f"strip-{name}", feature, notice.before, notice.after, notice.to_alert,
                width=width, height=380 if name == "wide" else 300,
            )  # fmt: skip
            figures[name] = Figure(f"{feature}, prediction by prediction", strip)
    return figures


def _months(drift: Drift) -> Figure:
    bars = [Bar(month.label, month.log_loss, "b" if month.live else "a") for month in drift.months]
    said = ", ".join(f"{month.label}: {numbers.figure(month.log_loss)}" for month in drift.months)
    picture = bar_chart("months", "Log loss by month", f"{said}. Lower is better.", bars)
    return Figure(
        "Log loss by month (lower is better)", picture, (("a", "validation part of a run"), ("b", "served predictions"))
    )
