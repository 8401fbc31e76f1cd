"""Whether the chosen Python tools install together, where the decision asked a resolver."""

from collections.abc import Mapping
from typing import Any

from stackproof.usecases.decision_page import wording
from stackproof.usecases.decision_page.page import Page, scrolling, table
from stackproof.usecases.pages.html import Html, joined, tag

KEYS = ("requirement", "version", "environment")


def installing(page: Page) -> Html | None:
    """None where no resolver was asked."""
    found = page.decision.resolution
    if found is None:
        return None
    tools: Mapping[str, Any] = found.get("tools") or {}
    rows = (
        tag("tr", tag("th", page.tool(tool), scope="row"),
            *(tag("td", str(one.get(key) or wording.NOTHING)) for key in KEYS))
        for tool, one in tools.items()
    )  # fmt: skip
    unasked = page.tools(found.get("unasked") or ())
    return joined(
        [
            tag("h3", "Do the packages install together?"),
            tag("p", said(found, page)),
            scrolling("Packages", table(("Tool", "Asked for", "Would be", "Environment"), rows)) if tools else None,
            tag("p", f"Not asked: {unasked}.", class_="note") if unasked else None,
        ]
    )


def said(found: Mapping[str, Any], page: Page) -> str:
    python = found.get("python", "")
    if found.get("together") is None:
        return "None of them is a Python package of which a version was tested."
    if found["together"]:
        return f"Yes: one environment with Python {python} can hold them all."
    conflict: Mapping[str, Any] = found.get("conflict") or {}
    apart = page.tools(conflict.get("tools") or ()) or "some of them"
    because = f" {conflict['because']}" if conflict.get("because") else ""
    return f"Not all of them, with Python {python}: {apart} can’t be in one environment.{because}"
