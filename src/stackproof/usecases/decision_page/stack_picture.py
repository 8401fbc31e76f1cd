"""The nine roles as the flow of the lifecycle, with what fills each, in a wide and in a narrow form."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from stackproof.decide.decision import Decision, RoleDecision
from stackproof.facts.model import Pair
from stackproof.usecases.decision_page import wording
from stackproof.usecases.pages.html import Html
from stackproof.usecases.pages.svg import Drawing, fitted

NOTE_FONT = 12.0
Point = tuple[float, float]

NARROWEST, NARROW_FONT = 172.0, 13.5
PADDING = 10.0
FLOW = (
    ("versioning", "validation"), ("versioning", "features"), ("validation", "features"), ("features", "tuning"),
    ("features", "automl"), ("tuning", "tracking"), ("automl", "tracking"), ("tracking", "serving"),
    ("serving", "monitoring"), ("monitoring", "orchestration"),
)  # fmt: skip
"""From what is done first to what follows."""
AGAIN = ("orchestration", "validation")
"""What was noticed starts the pipeline again."""


@dataclass(frozen=True, slots=True)
class Place:
    left: float
    top: float
    width: float
    height: float

    @property
    def right(self) -> float:
        return self.left + self.width

    @property
    def bottom(self) -> float:
        return self.top + self.height

    @property
    def middle(self) -> Point:
        return self.left + self.width / 2, self.top + self.height / 2


@dataclass(frozen=True, slots=True)
class Layout:
    key: str
    width: float
    height: float
    font: float
    places: Mapping[str, Place]
    flow: tuple[tuple[str, str], ...]
    headings: tuple[tuple[str, float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Linked:
    """Two chosen tools of different roles that are known to work together."""

    roles: tuple[str, str]
    pair: Pair


_ROW, _COLUMN, _BOX = (30.0, 142.0), (0.0, 221.0, 442.0, 663.0, 884.0), (188.0, 88.0)
WIDE = Layout(
    "wide", 1072.0, 344.0, 15.0,
    {
        "versioning": Place(_COLUMN[0], _ROW[0], *_BOX),
        "validation": Place(_COLUMN[0], _ROW[1], *_BOX),
        "features": Place(_COLUMN[1], 86.0, *_BOX),
        "tuning": Place(_COLUMN[2], _ROW[0], *_BOX),
        "automl": Place(_COLUMN[2], _ROW[1], *_BOX),
        "tracking": Place(_COLUMN[3], 86.0, *_BOX),
        "serving": Place(_COLUMN[4], _ROW[0], *_BOX),
        "monitoring": Place(_COLUMN[4], _ROW[1], *_BOX),
        "orchestration": Place(0.0, 264.0, 1072.0, 78.0),
    },
    (*FLOW, AGAIN),
    (("Data", _COLUMN[0], 14.0), ("Features", _COLUMN[1], 14.0), ("Training", _COLUMN[2], 14.0),
     ("Models", _COLUMN[3], 14.0), ("Production", _COLUMN[4], 14.0)),
)  # fmt: skip
_HALF, _SECOND = NARROWEST, 186.0
NARROW = Layout(
    "narrow", 358.0, 640.0, NARROW_FONT,
    {
        "versioning": Place(0.0, 2.0, _HALF, 84.0),
        "validation": Place(_SECOND, 2.0, _HALF, 84.0),
        "features": Place(0.0, 116.0, 358.0, 78.0),
        "tuning": Place(0.0, 224.0, _HALF, 84.0),
        "automl": Place(_SECOND, 224.0, _HALF, 84.0),
        "tracking": Place(0.0, 338.0, 358.0, 78.0),
        "serving": Place(0.0, 446.0, _HALF, 84.0),
        "monitoring": Place(_SECOND, 446.0, _HALF, 84.0),
        "orchestration": Place(0.0, 560.0, 358.0, 78.0),
    },
    FLOW,
)  # fmt: skip


def stack_picture(decision: Decision, names: Mapping[str, str], pairs: Sequence[Pair], layout: Layout) -> Html:
    """The picture. Each box leads to the role's part of the page; roles that were not decided have no box."""
    drawing = Drawing(
        f"stack-{layout.key}", layout.width, layout.height, "The stack", described(decision, names), role="group"
    )
    _marker(drawing, layout.key)
    for heading, x, y in layout.headings:
        drawing.text(x, y, heading, "column-heading")
    linked = {frozenset(link.roles) for link in linked_roles(decision, pairs)}
    drawn = {role: place for role, place in layout.places.items() if role in decision.roles}
    flow = {pair for pair in layout.flow if set(pair) <= drawn.keys()}
    for one, other in sorted(flow):
        end = f"url(#arrow-{layout.key})"
        drawing.add("path", d=_path(drawn[one], drawn[other]), class_="flow", marker_end=end)
    for one, other in combinations(drawn, 2):
        if frozenset((one, other)) in linked and _is_free(drawn[one], drawn[other], drawn.values()):
            drawing.add("path", d=_path(drawn[one], drawn[other]), class_="link", data_link=f"{one} {other}")
    for role in drawn:
        _box(drawing, role, decision.roles[role], names, layout)
    return drawing.markup()


def linked_roles(decision: Decision, pairs: Sequence[Pair]) -> list[Linked]:
    """The pairs of chosen tools that work together, each with its two roles (the same one twice inside a role)."""
    where = {tool: role for role, choice in decision.roles.items() for tool in wording.tools_of(choice)}
    return [
        Linked((where[pair.tools[0]], where[pair.tools[1]]), pair)
        for pair in pairs
        if pair.kind == "integrates" and set(pair.tools) <= where.keys()
    ]


def described(decision: Decision, names: Mapping[str, str]) -> str:
    said = "; ".join(
        f"{wording.role_title(role)}: {wording.picked(choice, names)}"
        + (f" with {wording.tool_names(choice.beside, names)}" if choice.beside else "")
        for role, choice in decision.roles.items()
    )
    return f"From data to production. {said}."


def short(name: str, *, small: bool = False) -> str:
    """The text, cut so that it fits into the narrowest box."""
    return fitted(name, NARROWEST - 2 * PADDING, NOTE_FONT if small else NARROW_FONT)


def _box(drawing: Drawing, role: str, choice: RoleDecision, names: Mapping[str, str], layout: Layout) -> None:
    place = layout.places[role]
    inside = place.width - 2 * PADDING
    x, y = place.left + PADDING, place.top + (place.height - 62) / 2
    warned = len(choice.warnings)
    with drawing.group("a", href=f"#{wording.anchor(role)}", class_=f"role-box is-{choice.verdict}", data_role=role):
        drawing.rect(place.left, place.top, place.width, place.height, "box", rx=10)
        drawing.text(x, y + 15, wording.role_title(role), "role-name")
        drawing.add(
            "text", fitted(wording.picked(choice, names), inside, layout.font),
            x=x, y=y + 38, class_="tool-name", data_part="tool",
        )  # fmt: skip
        drawing.add(
            "text", fitted(_note(choice, names), inside, NOTE_FONT),
            x=x, y=y + 57, class_="box-note", data_part="note",
        )  # fmt: skip
        if warned:
            drawing.text(place.right - PADDING, y + 15, "▲" if warned == 1 else f"{warned} ▲", "warned", "end")


def _note(choice: RoleDecision, names: Mapping[str, str]) -> str:
    if choice.beside:
        return f"+ {', '.join(wording.tool_name(tool, names) for tool in choice.beside)}"
    if choice.verdict == "use" and choice.hours_per_month:
        return f"{wording.hours(choice.hours_per_month)} a month" if any(choice.hours_per_month) else "nothing to run"
    return "embedded for now" if choice.verdict == "defer" else ""


def _marker(drawing: Drawing, key: str) -> None:
    shape: dict[str, str | float] = {
        "viewBox": "0 0 8 8",
        "refX": 7,
        "refY": 4,
        "markerWidth": 7,
        "markerHeight": 7,
        "orient": "auto",
    }
    with drawing.group("defs"), drawing.group("marker", id=f"arrow-{key}", **shape):
        drawing.add("path", d="M0 0.5L7.5 4L0 7.5z", class_="arrow-head")


def _path(start: Place, end: Place) -> str:
    """A straight line between boxes one above the other, else a curve from side to side."""
    (x1, y1), (x2, y2) = _ends(start, end)
    if x1 == x2:
        return f"M{x1:.1f} {y1:.1f}V{y2:.1f}"
    middle = (x1 + x2) / 2
    return f"M{x1:.1f} {y1:.1f}C{middle:.1f} {y1:.1f} {middle:.1f} {y2:.1f} {x2:.1f} {y2:.1f}"


def _ends(start: Place, end: Place) -> tuple[Point, Point]:
    """Where a line leaves the one box and where it meets the other."""
    left, right = max(start.left, end.left), min(start.right, end.right)
    if right > left:
        x = (left + right) / 2
        return ((x, start.bottom), (x, end.top)) if start.top < end.top else ((x, start.top), (x, end.bottom))
    x1, x2 = (start.right, end.left) if start.left < end.left else (start.left, end.right)
    return (x1, start.middle[1]), (x2, end.middle[1])


def _is_free(start: Place, end: Place, boxes: Iterable[Place]) -> bool:
    """Whether a line between the two meets no other box: one that went behind it would seem to end there."""
    (x1, y1), (x2, y2) = _ends(start, end)
    left, right, top, bottom = min(x1, x2), max(x1, x2), min(y1, y2), max(y1, y2)
    return not any(
        box.left <= right and box.right >= left and box.top <= bottom and box.bottom >= top
        for box in boxes
        if box not in (start, end)
    )
