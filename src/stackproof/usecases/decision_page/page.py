"""What every part of the page is made from, and the small pieces that several parts share."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from stackproof.decide.decision import Decision, RoleDecision
from stackproof.facts.model import Pair
from stackproof.usecases.decision_page import wording
from stackproof.usecases.decision_page.sources import Sources
from stackproof.usecases.pages.html import Html, joined, tag

MOST_IN_VIEW = 8
"""Of a long list so many lines are in view."""


@dataclass(frozen=True, slots=True)
class Page:
    """A decision to be shown. `names`: how tools are called, by id; `pairs`: what is known of tools together."""

    decision: Decision
    names: Mapping[str, str]
    pairs: Sequence[Pair]
    sources: Sources = field(default_factory=Sources)

    def tool(self, tool: str | None) -> str:
        return wording.tool_name(tool, self.names)

    def tools(self, tools: Iterable[str]) -> str:
        return wording.tool_names(tools, self.names)

    def cited(self, said: str, source: str, when: date | None = None) -> Html:
        """A statement, with the number of its source behind it."""
        return joined([said, self.sources.cite(source, when)])


def section(key: str, heading: str, *content: str | None) -> Html:
    """A part of the page with its heading; `key` is its id."""
    heading_id = f"{key}-heading"
    return tag("section", tag("h2", heading, id=heading_id), *content, id=key, aria_labelledby=heading_id)


def pill(choice: RoleDecision) -> Html:
    words = wording.VERDICTS.get(choice.verdict, choice.verdict)
    return tag("span", words, class_=f"pill is-{choice.verdict}", data_part="verdict")


def figures(*named: tuple[str, str | None, str]) -> Html | None:
    """Amounts under their names, each with a note; those without an amount are left out."""
    shown = [(name, amount, note) for name, amount, note in named if amount]
    if not shown:
        return None
    return tag(
        "dl",
        *(
            tag("div", tag("dt", name), tag("dd", amount, tag("small", note) if note else None))
            for name, amount, note in shown
        ),
        class_="figures",
    )


def folded(summary: str, *content: str | None) -> Html:
    return tag("details", tag("summary", summary), *content)


def first_and_rest(lines: Sequence[Html], what: str, held_by: Callable[[Sequence[Html]], Html]) -> list[Html]:
    """The first lines in what holds them, and the rest folded away."""
    if len(lines) <= MOST_IN_VIEW + 1:
        return [held_by(lines)] if lines else []
    rest = lines[MOST_IN_VIEW:]
    return [held_by(lines[:MOST_IN_VIEW]), folded(wording.counted(len(rest), f"more {what}"), held_by(rest))]


def scrolling(label: str, table: Html) -> Html:
    """A table that may be wider than a phone, in a box of its own that scrolls."""
    return tag("div", table, class_="scroll", tabindex="0", role="group", aria_label=label)


def table(heads: Sequence[str], rows: Iterable[Html], *, numbers: Sequence[str] = (), **attributes: str) -> Html:
    """A table with a heading for each column; those in `numbers` are set to the right."""
    named = (tag("th", head, scope="col", class_="number" if head in numbers else None) for head in heads)
    return tag("table", tag("thead", tag("tr", *named)), tag("tbody", *rows), **attributes)
