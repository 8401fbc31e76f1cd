"""The criteria of a role as bars: the chosen tool, and beside it another one that the reader picks."""

from stackproof.decide.decision import CriterionScore, Ranking, Scored
from stackproof.usecases.decision_page import wording
from stackproof.usecases.decision_page.bars import bar, thickness
from stackproof.usecases.decision_page.page import Page, folded, scrolling, table
from stackproof.usecases.pages.html import Html, joined, tag

MOST_RIVALS = 3
"""So many others can be put beside the chosen tool; the table has all of them."""

IN_VIEW = 7
"""So many criteria are in view, the heaviest; the lighter ones are folded away."""


def criteria_figure(role: str, number: int, ranking: Ranking, page: Page) -> Html | None:
    """None where nothing was scored. The choice beside whom needs no script: the style follows what is checked."""
    if not ranking.tools:
        return None
    chosen = next((one for one in ranking.tools if one.tool == ranking.chosen), ranking.tools[0])
    others = [one for one in ranking.tools if one is not chosen]
    key = f"criteria-{role}-{number}"
    title = f"{page.tool(chosen.tool)} by each criterion"
    counted = sorted((c for c in chosen.criteria if c.weight > 0), key=lambda c: -c.weight)
    lines = [_criterion(one, chosen, others[:MOST_RIVALS], page) for one in counted]
    return tag(
        "figure",
        tag("figcaption", tag("h4", f"{title}{f', for {ranking.aspect}' if ranking.aspect else ''}"), id=key),
        _beside(key, others[:MOST_RIVALS], page),
        tag("ol", *lines[:IN_VIEW], class_="bars"),
        _lighter(lines[IN_VIEW:]),
        _uncounted(chosen),
        folded("The same as a table, with sources", _table([chosen, *others], page)),
        class_="criteria",
        aria_labelledby=key,
    )


def _lighter(lines: list[Html]) -> Html | None:
    if not lines:
        return None
    said = wording.counted(len(lines), "lighter criterion", "lighter criteria")
    return tag("details", tag("summary", said), tag("ol", *lines, class_="bars"), class_="lighter")


def _beside(key: str, others: list[Scored], page: Page) -> Html | None:
    if not others:
        return None
    chips = (
        tag(
            "label",
            tag("input", type="radio", name=key, value=value, checked=value == 0, autocomplete="off"),
            tag("span", name),
            class_="chip",
        )
        for value, name in enumerate(["nobody", *(page.tool(one.tool) for one in others)])
    )
    return tag("fieldset", tag("legend", "Beside it:"), *chips, class_="beside")


def _criterion(one: CriterionScore, chosen: Scored, others: list[Scored], page: Page) -> Html:
    because = f", as {one.because}" if one.because else ""
    rivals = (_rival(number, one.id, other, page) for number, other in enumerate(others, start=1))
    return tag(
        "li",
        tag("span", one.name, tag("small", f"weight {one.weight:g}{because}"), class_="criterion"),
        _bar(one, chosen),
        _word(one, page),
        *rivals,
        style=thickness(one.weight),
    )


def _rival(number: int, criterion: str, other: Scored, page: Page) -> Html | None:
    found = next((one for one in other.criteria if one.id == criterion), None)
    if found is None:
        return None
    name = tag("small", page.tool(other.tool))
    return tag("span", name, _bar(found, other), _word(found, None), class_=f"rival r{number}")


def _bar(one: CriterionScore, whole: Scored) -> Html:
    between = one.rating if one.known else None
    return bar(between, point=_point(one, caution(whole)) if one.known else None)


def _word(one: CriterionScore, page: Page | None) -> Html:
    """The rating in words and numbers; with a page, its source is cited."""
    if not one.known:
        return tag("span", "unknown", class_="word muted")
    said = one.word or wording.interval(one.rating)
    return tag(
        "span",
        page.cited(said, one.source, one.date) if page else said,
        tag("small", wording.interval(one.rating)) if one.word else None,
        class_="word",
    )


def caution(whole: Scored) -> float:
    """Where in its interval a tool's score lies: the same share holds inside each of its ratings."""
    low, high = whole.interval
    return (whole.score - low) / (high - low) if high > low else 0.0


def _point(one: CriterionScore, share: float) -> float:
    low, high = one.rating
    return low + share * (high - low)


def _uncounted(chosen: Scored) -> Html | None:
    left = [f"{c.name}{f' ({c.because})' if c.because else ''}" for c in chosen.criteria if c.weight <= 0]
    return tag("p", f"Not counted: {wording.in_a_row(left)}.", class_="note") if left else None


def _table(tools: list[Scored], page: Page) -> Html:
    """Criteria in rows, tools in columns, in the order of their scores."""
    ids = {c.id: c for tool in tools for c in tool.criteria}
    rows = [
        tag("tr", tag("th", c.name, scope="row"), tag("td", f"{c.weight:g}", class_="number"),
            *(tag("td", _cell(key, tool, page)) for tool in tools))
        for key, c in ids.items()
    ]  # fmt: skip
    total = [tag("td", tag("strong", wording.score(t.score)), f" ({wording.interval(t.interval)})") for t in tools]
    rows.append(tag("tr", tag("th", "Score", scope="row"), tag("td"), *total))
    heads = ("Criterion", "Weight", *(page.tool(tool.tool) for tool in tools))
    return scrolling("Criteria and ratings", table(heads, rows, numbers=("Weight",)))


def _cell(criterion: str, tool: Scored, page: Page) -> Html:
    found = next((one for one in tool.criteria if one.id == criterion), None)
    if found is None or not found.known:
        return tag("span", "unknown", class_="muted")
    said = f"{found.word} ({wording.interval(found.rating)})" if found.word else wording.interval(found.rating)
    return joined([page.cited(said, found.source, found.date), " measured" if found.measured else None])
