"""The pictures of the report: their numbers, their texts and their layout."""

import math
import re
import runpy
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stackproof.ledger import Entity, Lineage, Link, Relation
from stackproof.usecases.pages import numbers
from stackproof.usecases.report_page.charts import (
    Bar,
    Series,
    bar_chart,
    bins_of,
    histogram_pair,
    line_chart,
    running_median,
    shares_in,
    strip_chart,
)
from stackproof.usecases.report_page.lineage import MOST_IN_COLUMN, graph_of
from stackproof.usecases.report_page.lineage_picture import lay_out, lineage_picture
from stackproof.usecases.report_page.page import Edge, Graph, Node, Page, TimelineStep
from stackproof.usecases.report_page.rendering import best_so_far, render, timeline_bars

SAMPLE = runpy.run_path(str(Path(__file__).with_name("report_sample.py")))
AT = datetime(2026, 11, 21, tzinfo=UTC)
finite = st.floats(-1e9, 1e9, allow_nan=False)


def texts(picture: str) -> list[str]:
    return ["".join(text.itertext()) for text in ElementTree.fromstring(picture).iter("text")]


def spots(picture: str) -> list[float]:
    """Every number in the paths of a picture."""
    paths = [path.attrib["d"] for path in ElementTree.fromstring(picture).iter("path")]
    return [float(number) for path in paths for number in re.findall(r"-?\d+(?:\.\d+)?", path)]


# ------------------------------------------------------------ numbers


@pytest.mark.parametrize(
    ("value", "said"), [(0.04, "0.0 s"), (9.74, "9.7 s"), (59.94, "59.9 s"), (59.96, "1 min 0 s"), (125.4, "2 min 5 s")]
)
def test_durations_are_rounded_and_have_a_unit(value: float, said: str) -> None:
    assert numbers.seconds(value).replace("\u00a0", " ") == said


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.9, "90 %"), (0.1, "10 %"), (0.09, "9 %"), (0.0123, "1.2 %"), (0.0, "0 %"), (1.0, "100 %"), (math.nan, "–")],
)
def test_shares_are_percent(value: float, said: str) -> None:
    assert numbers.percent(value).replace("\u00a0", " ") == said


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.043, "0.043"), (3.1e-15, "3 × 10⁻¹⁵"), (1e-8, "10⁻⁸"), (9.7e-8, "10⁻⁷"), (0.0, "< 10⁻³⁰⁰"), (math.nan, "–")],
)
def test_small_probabilities_are_powers_of_ten(value: float, said: str) -> None:
    assert numbers.tiny(value).replace("\u00a0", " ") == said


def test_a_long_digest_is_cut_and_an_arrow_becomes_one() -> None:
    assert numbers.readable(f"model: sha256:{'0a' * 32}, 1 -> 2") == f"model: sha256:{'0a' * 6}…, 1 → 2"


@given(finite, st.floats(1e-6, 1e9), st.integers(1, 10))
def test_ticks_lie_inside_the_range_at_even_distances_and_are_no_more_than_wanted(
    low: float, length: float, wanted: int
) -> None:
    high = low + length
    marks = numbers.ticks(low, high, wanted)

    assert len(marks) <= wanted + 1
    room = 1e-6 * length + 1e-9 * abs(low)
    assert all(low - room <= mark <= high + room for mark in marks)


# ------------------------------------------------------------ charts


@given(st.lists(finite, min_size=1, max_size=60))
def test_bins_cover_every_value_and_their_shares_sum_to_one(values: list[float]) -> None:
    edges = bins_of(values)

    assert edges[0] <= min(values) + 1e-6
    assert edges[-1] >= max(values) - 1e-6
    assert 2 <= len(edges) <= 80
    assert sum(shares_in(values, edges)) == pytest.approx(1)


def test_a_value_on_an_edge_counts_in_the_bin_that_begins_there() -> None:
    assert shares_in([0.0, 1.0, 1.5, 3.0], [0.0, 1.0, 2.0, 3.0]) == [0.25, 0.5, 0.25]


@given(st.lists(st.one_of(st.none(), st.floats(), st.integers(-5, 5)), max_size=40), st.integers(0, 400))
@settings(max_examples=50)
def test_a_feature_with_gaps_and_infinities_is_drawn_with_finite_numbers(
    values: list[float | None], to_alert: int
) -> None:
    for picture in (
        histogram_pair("h", "x", values, values[::-1], ("Before", "After")),
        strip_chart("s", "x", values, values[::-1], to_alert),
    ):
        assert "nan" not in picture
        assert "inf" not in picture
        assert all(abs(spot) < 10_000 for spot in spots(picture))


def test_missing_values_are_counted_beside_the_histogram() -> None:
    said = texts(histogram_pair("h", "wind", [1.0, None, None], [2.0], ("Before", "After")))

    assert "Before (3 predictions, 2 missing)" in said
    assert "After (1 predictions)" in said


def test_both_histograms_have_the_same_bins() -> None:
    picture = ElementTree.fromstring(histogram_pair("h", "x", [0.0, 5.0, 10.0], [0.0, 10.0], ("Before", "After")))

    places = {
        style: {bar.attrib["x"] for bar in picture.iter("rect") if bar.attrib["class"] == f"bar {style}"}
        for style in "ab"
    }
    assert places["b"] < places["a"]


def test_a_feature_of_words_gets_a_bar_for_each_with_the_rest_together() -> None:
    before = [*("AA" for _ in range(8)), *("UA" for _ in range(2))]
    said = texts(histogram_pair("h", "carrier", before, [*(f"C{n}" for n in range(9)), None], ("Before", "After")))

    assert said[1:4] == ["AA", "80\u00a0%", "0\u00a0%"]
    assert "others" in said
    assert "missing" in said


def test_the_strip_marks_change_and_alert_and_says_so_in_words() -> None:
    picture = strip_chart("s", "wind", [10.0] * 400, [4.0] * 80, 75)

    assert "the change" in texts(picture)
    assert "alert after 75" in texts(picture)
    assert "the alert came 75 predictions after the change" in picture


def test_the_running_median_follows_the_last_values() -> None:
    points = [(float(n), 10.0 if n < 10 else 0.0) for n in range(20)]

    assert [y for _, y in running_median(points, window=5)][8:14] == [10, 10, 10, 10, 0, 0]


def test_a_line_that_is_not_finite_somewhere_is_broken_there() -> None:
    picture = line_chart(
        "c", "t", "d", [Series([(0, 0), (1, math.nan), (2, 1), (3, 2)], "a")], x_label="x", y_label="y"
    )

    drawn = next(path.attrib["d"] for path in ElementTree.fromstring(picture).iter("path"))
    assert drawn.count("M") == 2
    assert drawn.count("L") == 1


@pytest.mark.parametrize("points", [[], [(1.0, 1.0)], [(math.nan, math.inf)]])
def test_a_chart_of_hardly_any_values_is_still_drawn(points: list[tuple[float, float]]) -> None:
    picture = line_chart("c", "t", "d", [Series(points, "a", dots=True)], x_label="x", y_label="y")

    assert "nan" not in picture
    assert "x" in texts(picture)


def test_bars_are_as_long_as_their_values_and_unknown_ones_are_left_out() -> None:
    picture = bar_chart("b", "t", "d", [Bar("one", 0.5, "a"), Bar("two", 1.0, "b"), Bar("none", math.nan, "b")])

    widths = [float(bar.attrib["width"]) for bar in ElementTree.fromstring(picture).iter("rect")]
    assert widths[1] == pytest.approx(2 * widths[0])
    assert "none" not in texts(picture)


def test_every_picture_has_a_title_and_a_description_that_it_names() -> None:
    picture = ElementTree.fromstring(bar_chart("months", "Log loss", "by month", [Bar("<b>", 1, "a")]))

    assert picture.attrib["role"] == "img"
    assert picture.attrib["aria-labelledby"] == "months-title months-desc"
    assert [(part.attrib["id"], part.text) for part in list(picture)[:2]] == [
        ("months-title", "Log loss"), ("months-desc", "by month"),
    ]  # fmt: skip


def test_texts_cannot_leave_their_element_and_control_characters_are_replaced() -> None:
    picture = bar_chart("k", "</title><script>", '"><script>\x00', [Bar("<script>\x1b", 1, "a")])

    assert "<script>" not in picture
    assert "\x00" not in picture
    assert texts(picture)[0] == "<script>\ufffd"


def test_the_best_so_far_never_rises() -> None:
    assert best_so_far(((3, 0.4), (0, 0.5), (1, 0.6))) == [(0, 0.5), (1, 0.5), (1, 0.5), (3, 0.5), (3, 0.4)]


def test_the_bars_of_the_timeline_follow_each_other() -> None:
    steps = tuple(TimelineStep(n, "s", duration, "") for n, duration in enumerate((1.0, 3.0, 0.0)))

    assert timeline_bars(steps) == [(0, 25), (25, 75), (100, 0)]


# ------------------------------------------------------------ lineage


def test_the_lineage_goes_from_the_data_to_the_prediction() -> None:
    graph = SAMPLE["sample_page"]().lineage

    column = {node.id: graph.columns[node.column] for node in graph.nodes}
    assert column["data:weather@be11ac0ffe42"] == "Source data"
    assert column["data:weather_reports@c0dec0ffee11"] == "Derived data"
    assert column[SAMPLE["CODE"]] == column["features:plane@1c2d3e4f5a6b"] == "Features, code, environment"
    assert [column[id] for id in (SAMPLE["RUNS"][1], "model:delay@2", "deployment:delay@1", SAMPLE["PREDICTION"])] == [
        "Run", "Model version", "Deployment", "Prediction",
    ]  # fmt: skip


def test_only_what_the_answering_version_rests_on_is_on_the_path() -> None:
    aside = {node.id for node in SAMPLE["sample_page"]().lineage.nodes if not node.on_path}

    assert aside == {"model:delay@1", SAMPLE["RUNS"][0]}


def test_a_link_that_a_longer_way_says_already_is_left_out() -> None:
    edges = {(edge.upstream, edge.downstream) for edge in SAMPLE["sample_page"]().lineage.edges}

    assert ("model:delay@2", SAMPLE["PREDICTION"]) not in edges
    assert ("deployment:delay@1", SAMPLE["PREDICTION"]) in edges
    assert ("data:planes@18aa93be01fc", "features:plane@1c2d3e4f5a6b") in edges, "said by the view's definition"


def test_things_without_a_column_are_counted() -> None:
    assert SAMPLE["sample_page"]().lineage.elsewhere == {"step": 2}


def test_a_full_column_ends_with_how_many_more_there_are() -> None:
    data = [Entity(f"data:d{n}@{n}", "data", AT, {"name": f"d{n}"}) for n in range(20)]
    run = Entity("run:1", "run", AT, {"pipeline": "train"})
    graph = graph_of(Lineage((run, *data), tuple(Link("run:1", Relation.USED, it.id) for it in data)), "run:1")

    drawn = [node.name for node in graph.nodes if node.kind == "data"]
    assert len(drawn) == MOST_IN_COLUMN
    assert drawn[-1] == f"{20 - MOST_IN_COLUMN + 1} more"
    assert graph.columns == ("Datasets", "Run")


def test_derivations_in_a_circle_are_drawn_all_the_same() -> None:
    ids = ("data:a@1", "data:b@1", "data:c@1")
    links = [Link(one, Relation.DERIVED_FROM, other) for one, other in zip(ids, (*ids[1:], ids[0]), strict=True)]

    graph = graph_of(Lineage(tuple(Entity(id, "data", AT) for id in ids), tuple(links)), ids[0])

    assert {node.id for node in graph.nodes} == set(ids)


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    sizes = draw(st.lists(st.integers(1, 5), min_size=2, max_size=6))
    nodes = [Node(f"run:{c}-{n}", "run", f"{c}-{n}", "", c) for c, size in enumerate(sizes) for n in range(size)]
    pairs = [(a.id, b.id) for a in nodes for b in nodes if a.column < b.column]
    chosen = draw(st.lists(st.sampled_from(pairs), unique=True, max_size=25))
    return Graph(tuple(map(str, range(len(sizes)))), tuple(nodes), tuple(Edge(*pair) for pair in chosen))


@given(graphs())
@settings(max_examples=100, deadline=None)
def test_no_box_and_no_lane_overlaps_another_in_its_column(graph: Graph) -> None:
    layout = lay_out(graph)

    for column in range(len(graph.columns)):
        inside = sorted((layout.tops[id], layout.heights[id]) for id, c in layout.columns.items() if c == column)
        ends = [top + height for top, height in inside]
        assert all(end < top for end, (top, _) in zip(ends, inside[1:], strict=False))
        assert inside[0][0] >= 0
        assert ends[-1] <= layout.height + 1e-6


@given(graphs())
@settings(max_examples=30, deadline=None)
def test_every_edge_goes_through_each_column_between_its_ends(graph: Graph) -> None:
    layout = lay_out(graph)

    for edge, way in layout.ways:
        columns = [layout.columns[stop] for stop in way]
        assert columns == list(range(columns[0], columns[-1] + 1))
        assert (way[0], way[-1]) == (edge.upstream, edge.downstream)
    assert Counter(path.tag for path in ElementTree.fromstring(lineage_picture("l", graph, "t", "d")))["path"] == len(
        graph.edges
    )


# ------------------------------------------------------------ the page


def test_the_page_says_which_tools_run_and_that_nothing_was_installed_only_where_none_does() -> None:
    page = SAMPLE["sample_page"]()
    assert "so that nothing else had to be installed" in render(page)
    first, *others = page.decision.roles
    ran = replace(page, decision=replace(page.decision, roles=(replace(first, runs="mlflow"), *others)))
    assert "nothing else" not in render(ran)
    assert "mlflow fills its role here, and the embedded parts the others." in render(ran)


def test_the_page_of_the_sample_is_small_and_has_every_part() -> None:
    page = render(SAMPLE["sample_page"]())

    assert len(page.encode()) < 400_000
    assert "was not" not in page
    assert page.count('role="img"') == 9


def test_a_no_is_said_in_words_and_with_another_shape() -> None:
    answers = [SAMPLE["Answer"]("trace", "Can it?", yes, (), ()) for yes in (True, False)]
    pages = [render(Page("p", "f", AT, answers=(answer,))) for answer in answers]

    assert re.findall(r'class="verdict (\w+)".*?(Yes|No)</p>', "".join(pages), re.DOTALL) == [
        ("yes", "Yes"),
        ("no", "No"),
    ]
    assert "<circle" in pages[0]
    assert "<circle" not in pages[1]
