"""Where each statement of the page comes from: a number beside the statement, and a list at the end."""

import re
from datetime import date
from html import escape

from stackproof.usecases.pages.html import Html, joined, tag, text

_URL = re.compile(r"https?://[^\s<>\"';,()]+[^\s<>\"';,().:!?]")


class Sources:
    """The sources cited so far, numbered from 1 in the order in which they were first cited."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, date | None], int] = {}

    def cite(self, source: str, when: date | None = None) -> Html | None:
        """A small number that leads to the source; None where there is none."""
        if not source.strip():
            return None
        number = self._numbers.setdefault((source, when), len(self._numbers) + 1)
        return tag("sup", tag("a", str(number), href=f"#s{number}"))

    def listed(self) -> Html:
        """All that was cited, as an ordered list; web addresses are links."""
        return tag(
            "ol",
            *(
                tag("li", linked(source), _dated(source, when), id=f"s{number}")
                for (source, when), number in self._numbers.items()
            ),
            class_="sources",
        )

    def __len__(self) -> int:
        return len(self._numbers)


def linked(content: str) -> Html:
    """The text with its web addresses as links; nothing else becomes one."""
    parts, end = [], 0
    for found in _URL.finditer(content):
        parts += [text(content[end : found.start()]), tag("a", found.group(), href=found.group())]
        end = found.end()
    return joined([*parts, text(content[end:])])


def _dated(source: str, when: date | None) -> Html | None:
    if when is None or when.isoformat() in source:
        return None
    return Html(f', <time datetime="{when.isoformat()}">{escape(when.isoformat())}</time>')
