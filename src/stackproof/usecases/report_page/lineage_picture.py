"""Draws a graph of columns: boxes from left to right, and curves between them that cross no box."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import mean

from stackproof.usecases.pages.html import Html
from stackproof.usecases.pages.svg import Drawing, fitted
from stackproof.usecases.report_page.lineage import short_name
from stackproof.usecases.report_page.page import Edge, Graph, Node

BOX_WIDTH, BOX_HEIGHT = 132.0, 58.0
COLUMN = 164.0
_GAP = 14.0
_LANE = 12.0
_TOP = 40.0
_SWEEPS = 6
_PADDING = 8.0
_NAME_SIZE, _SMALL_SIZE = 12.0, 11.0


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything lies. `tops`: by node and by lane. `ways`: for each edge what it passes, ends included."""

    tops: Mapping[str, float]
    heights: Mapping[str, float]
    columns: Mapping[str, int]
    ways: tuple[tuple[Edge, tuple[str, ...]], ...]
    height: float

    def middle(self, id: str) -> float:
        return self.tops[id] + self.heights[id] / 2


def lay_out(graph: Graph) -> Layout:
    """Place the nodes so that nothing overlaps: an edge over several columns gets a lane of its own in each."""
    columns = {node.id: node.column for node in graph.nodes}
    heights = dict.fromkeys(columns, BOX_HEIGHT)
    ways = []
    for edge in graph.edges:
        between = range(columns[edge.upstream] + 1, columns[edge.downstream])
        lanes = {f"lane:{edge.upstream}→{edge.downstream}@{column}": column for column in between}
        columns |= lanes
        heights |= dict.fromkeys(lanes, _LANE)
        ways.append((edge, (edge.upstream, *lanes, edge.downstream)))
    order = _ordered(columns, [way for _, way in ways], len(graph.columns))
    tops, height = _placed(order, heights, [way for _, way in ways])
    return Layout(tops, heights, columns, tuple(ways), height)


def _ordered(columns: Mapping[str, int], ways: Sequence[Sequence[str]], number: int) -> list[list[str]]:
    """Each column's order, by the mean place of the neighbours in the columns beside it, to and fro."""
    order: list[list[str]] = [[] for _ in range(number)]
    for id, column in columns.items():
        order[column].append(id)
    before, after = _neighbours(ways)
    for sweep in range(_SWEEPS):
        forward = sweep % 2 == 0
        for column in range(number) if forward else reversed(range(number)):
            beside = before if forward else after
            place = {id: i / max(len(level) - 1, 1) for level in order for i, id in enumerate(level)}
            own = {id: (mean(place[n] for n in beside[id]) if beside.get(id) else place[id]) for id in order[column]}
            order[column].sort(key=own.__getitem__)
    return order


def _neighbours(ways: Sequence[Sequence[str]]) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    before: dict[str, list[str]] = {}
    after: dict[str, list[str]] = {}
    for way in ways:
        for left, right in pairwise(way):
            after.setdefault(left, []).append(right)
            before.setdefault(right, []).append(left)
    return before, after


def _placed(
    order: Sequence[Sequence[str]], heights: Mapping[str, float], ways: Sequence[Sequence[str]]
) -> tuple[dict[str, float], float]:
    """Tops that keep the order and the gaps, and lie close to the neighbours; and the height of all."""
    before, after = _neighbours(ways)
    tops: dict[str, float] = {}
    for level in order:
        top = 0.0
        for id in level:
            tops[id], top = top, top + heights[id] + _GAP
    height = max((tops[level[-1]] + heights[level[-1]] for level in order if level), default=0.0)
    for _ in range(_SWEEPS):
        for level in order:
            wished = {id: _wish(id, tops, heights, [*before.get(id, ()), *after.get(id, ())]) for id in level}
            tops |= _settled(level, wished, heights, height)
    return {id: top + _TOP for id, top in tops.items()}, height + _TOP


def _wish(id: str, tops: Mapping[str, float], heights: Mapping[str, float], beside: Sequence[str]) -> float:
    if not beside:
        return tops[id]
    return mean(tops[n] + heights[n] / 2 for n in beside) - heights[id] / 2


def _settled(
    level: Sequence[str], wished: Mapping[str, float], heights: Mapping[str, float], height: float
) -> dict[str, float]:
    """The tops nearest to the wishes, from the top down and then pushed back up inside the height."""
    tops: dict[str, float] = {}
    least = 0.0
    for id in level:
        tops[id] = max(wished[id], least)
        least = tops[id] + heights[id] + _GAP
    most = height
    for id in reversed(level):
        tops[id] = min(tops[id], most - heights[id])
        most = tops[id] - _GAP
    return tops


def lineage_picture(key: str, graph: Graph, title: str, description: str) -> Html:
    """The graph, with a heading over each column. What led to the prediction has full lines, the rest dashed ones."""
    layout = lay_out(graph)
    width = COLUMN * (len(graph.columns) - 1) + BOX_WIDTH + 2
    drawing = Drawing(key, width, layout.height + 2, title, description)
    for column, heading in enumerate(graph.columns):
        _draw_heading(drawing, column, heading)
    for edge, way in sorted(layout.ways, key=lambda item: item[0].on_path):
        drawing.add("path", d=_curve(layout, way), class_="edge" if edge.on_path else "edge aside")
    for node in graph.nodes:
        _draw_node(drawing, node, layout.tops[node.id])
    return drawing.markup()


def _draw_heading(drawing: Drawing, column: int, heading: str) -> None:
    """In one line, or broken after its first comma."""
    first, _, rest = heading.partition(", ")
    lines = [f"{first},", rest] if rest else [heading]
    for line, text in enumerate(lines):
        drawing.text(COLUMN * column + 1, 12 + 14 * (line + 2 - len(lines)), text, "column-heading")


def _curve(layout: Layout, way: Sequence[str]) -> str:
    """From the right side of a box to the left side of another, straight through its lanes."""
    parts = []
    for left, right in pairwise(way):
        x1, x2 = COLUMN * layout.columns[left] + BOX_WIDTH + 1, COLUMN * layout.columns[right] + 1
        y1, y2 = layout.middle(left), layout.middle(right)
        if left.startswith("lane:"):
            parts.append(f"L{x1:.1f} {y1:.1f}")
        else:
            parts.append(f"M{x1:.1f} {y1:.1f}")
        half = (x1 + x2) / 2
        parts.append(f"C{half:.1f} {y1:.1f} {half:.1f} {y2:.1f} {x2:.1f} {y2:.1f}")
    return "".join(parts)


def _draw_node(drawing: Drawing, node: Node, top: float) -> None:
    x = COLUMN * node.column + 1
    room = BOX_WIDTH - 2 * _PADDING
    drawing.rect(x, top, BOX_WIDTH, BOX_HEIGHT, f"box {node.kind if node.on_path else 'aside'}", rx=7)
    drawing.text(x + _PADDING, top + 18, fitted(node.name, room, _NAME_SIZE), "node-name")
    if not node.id.startswith("more:"):
        drawing.text(x + _PADDING, top + 33, fitted(short_name(node), room, _SMALL_SIZE), "node-id")
        drawing.text(x + _PADDING, top + 48, fitted(node.detail, room, _SMALL_SIZE), "node-detail")
