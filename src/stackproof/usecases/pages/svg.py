"""A drawing as inline SVG with a title and a description. Every text and attribute is escaped by the writer."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from xml.etree import ElementTree

from stackproof.usecases.pages.html import Html, printable

LETTER = 0.62
"""The width of a letter, as a share of the font's size, in the widest usual fonts."""


class Drawing:
    """An SVG of `width` x `height` units, named by `key`, which is unique on the page.

    `role`: "img" for one picture, "group" where parts of it are links or are named themselves.
    """

    def __init__(
        self, key: str, width: float, height: float, title: str, description: str, *, role: str = "img"
    ) -> None:
        self._root = ElementTree.Element(
            "svg",
            {
                "viewBox": f"0 0 {_short(width)} {_short(height)}",
                "role": role,
                "aria-labelledby": f"{key}-title {key}-desc",
                "class": "picture",
            },
        )
        self._within = self._root
        self.add("title", title, id=f"{key}-title")
        self.add("desc", description, id=f"{key}-desc")

    def add(self, tag: str, content: str = "", /, **attributes: str | float) -> ElementTree.Element:
        """Add an element; `class_` is the attribute class, other underscores are hyphens."""
        named = {name.rstrip("_").replace("_", "-"): _text(value) for name, value in attributes.items()}
        element = ElementTree.SubElement(self._within, tag, named)
        element.text = printable(content)
        return element

    @contextmanager
    def group(self, tag: str, /, **attributes: str | float) -> Iterator[None]:
        """What is added meanwhile goes into this element."""
        outside = self._within
        self._within = self.add(tag, **attributes)
        yield
        self._within = outside

    def text(self, x: float, y: float, content: str, class_: str, anchor: str = "start") -> None:
        self.add("text", content, x=x, y=y, class_=class_, text_anchor=anchor)

    def line(self, x1: float, y1: float, x2: float, y2: float, class_: str) -> None:
        self.add("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)

    def rect(self, x: float, y: float, width: float, height: float, class_: str, rx: float = 0) -> ElementTree.Element:
        return self.add("rect", x=x, y=y, width=max(width, 0), height=max(height, 0), class_=class_, rx=rx)

    def polyline(self, points: Sequence[tuple[float, float]], class_: str) -> None:
        """One line through the points; one that is not finite breaks it."""
        self.add("path", d=path_through(points), class_=class_)

    def dots(self, points: Sequence[tuple[float, float]], class_: str) -> None:
        """Dots, all in one element: strokes without length and with round ends."""
        marks = (f"M{_short(x)} {_short(y)}h0" for x, y in points if _is_finite(x, y))
        self.add("path", d="".join(marks), class_=class_)

    def markup(self) -> Html:
        """The SVG, safe to put into a page as it is: ElementTree escaped all that is in it."""
        return Html(ElementTree.tostring(self._root, encoding="unicode"))


def path_through(points: Sequence[tuple[float, float]]) -> str:
    """SVG path data; a point that is not finite lifts the pen."""
    parts, drawing = [], False
    for x, y in points:
        if not _is_finite(x, y):
            drawing = False
            continue
        parts.append(f"{'L' if drawing else 'M'}{_short(x)} {_short(y)}")
        drawing = True
    return "".join(parts)


def fitted(content: str, width: float, font_size: float) -> str:
    """The text, cut with an ellipsis when it would be wider than `width` units."""
    room = max(1, int(width / (LETTER * font_size)))
    return content if len(content) <= room else content[: room - 1] + "…"


def _text(value: str | float) -> str:
    return printable(value) if isinstance(value, str) else _short(value)


def _short(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _is_finite(x: float, y: float) -> bool:
    return math.isfinite(x) and math.isfinite(y)
