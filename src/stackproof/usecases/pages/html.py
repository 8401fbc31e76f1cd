"""HTML written by small functions. Text is escaped unless its type says that it is HTML already."""

from collections.abc import Iterable
from html import escape
from typing import TypeAlias

Attribute: TypeAlias = str | int | float | bool | None

VOID = frozenset({"meta", "link", "input", "br", "col"})
"""The elements that hold nothing and have no end tag."""

TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""What makes text run the other way until it is ended, which overlays and answers need not do."""


class Html(str):
    """Text that is HTML already. Joined with other text by `+` or in an f-string it is plain text again."""

    __slots__ = ()

    def __html__(self) -> "Html":
        """What templates ask for, so that they don't escape it once more."""
        return self


def text(content: str) -> Html:
    """The content as HTML: `Html` as it is, anything else escaped."""
    return content if isinstance(content, Html) else Html(escape(printable(content)))


def joined(parts: Iterable[str | None], between: str = "") -> Html:
    """The parts one after the other; those that are None or empty are left out."""
    return Html(str(text(between)).join(text(part) for part in parts if part))


def tag(name: str, /, *content: str | None, **attributes: Attribute) -> Html:
    """One element.

    `class_` is the attribute class and other underscores are hyphens. An attribute that is None or False is
    left out, one that is True stands without a value. Content that is None or empty is left out.
    """
    named = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in VOID:
        return Html(f"<{name}{named}>")
    return Html(f"<{name}{named}>{joined(content)}</{name}>")


def printable(content: str) -> str:
    """The text without the control characters that no HTML may hold, and without those that turn the direction of
    all that follows."""
    return "".join(letter if _may_stand(letter) else "\ufffd" for letter in content)


def _may_stand(letter: str) -> bool:
    return (letter >= " " or letter in "\n\t") and letter not in TURNING


def _attribute(key: str, value: Attribute) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{escape(printable(str(value)))}"'
