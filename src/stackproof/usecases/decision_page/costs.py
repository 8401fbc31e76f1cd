"""What the stack costs in money and in hours, and what other stacks would."""

import math

from stackproof.decide.decision import StackOption
from stackproof.usecases.decision_page import wording
from stackproof.usecases.decision_page.bars import bar
from stackproof.usecases.decision_page.page import Page, first_and_rest, scrolling, section
from stackproof.usecases.pages.html import Html, joined, tag
from stackproof.usecases.pages.numbers import nice_step, ticks

COSTS = (
    ("licences", "Licences, managed services"),
    ("infrastructure", "Servers and storage"),
    ("people", "People’s time"),
    ("total", "All together, a year"),
    ("three_years", "Three years"),
)


def cost(page: Page) -> Html:
    assumed = [tag("li", page.cited(item.text, item.source)) for item in page.decision.cost.assumptions]
    return section(
        "cost",
        "What it costs",
        *_amounts(page),
        _hours(page),
        tag("h3", "These amounts rest on") if assumed else None,
        *first_and_rest(assumed, "assumption", lambda lines: tag("ul", *lines, class_="rests")),
    )


def _amounts(page: Page) -> list[Html]:
    """All amounts on one scale, which begins at nothing."""
    amounts = {key: getattr(page.decision.cost, key) for key, _ in COSTS}
    top = max((amount[1] for amount in amounts.values() if amount), default=None)
    if top is None:
        return [tag("p", "Not priced yet.", class_="lead")]
    step = nice_step(top / 4)
    end = step * max(math.ceil(top / step - 1e-9), 1)
    return [
        tag("p", "US dollars a year, as ranges: a solid bar is the least, a pale one the most.", class_="note"),
        tag("ol", *(_amount(words, amounts[key], end, key) for key, words in COSTS), class_="bars amounts"),
        _axis(end),
    ]


def _amount(words: str, amount: wording.Range | None, top: float, key: str) -> Html:
    return tag(
        "li",
        tag("span", words, class_="criterion"),
        bar(amount, top=top),
        tag("span", wording.usd(amount, "not priced yet"), class_="word"),
        class_=f"amount is-{key.replace('_', '-')}",
    )


def _axis(top: float) -> Html:
    marks = (tag("span", wording.usd_tick(mark), style=f"left:{100 * mark / top:.1f}%") for mark in ticks(0, top, 4))
    return tag("div", tag("div", *marks, class_="marks"), class_="axis-line", aria_hidden="true")


def _hours(page: Page) -> Html | None:
    needed, available = page.decision.hours_per_month, page.decision.hours_available
    if needed is None:
        return None
    top = max(needed[1], available or 0.0, 1.0) * 1.1
    of = None if available is None else f"of {wording.hours((available, available))} that people can give (the mark)"
    enough = available is None or needed[1] <= available
    return joined(
        [
            tag("h3", "Hours against people"),
            tag(
                "ol",
                tag(
                    "li",
                    tag("span", "To operate, a month", class_="criterion"),
                    bar(needed, top=top, point=available),
                    tag("span", wording.hours(needed), tag("small", of) if of else None, class_="word"),
                    class_="amount",
                ),
                class_="bars amounts",
            ),
            None if enough else tag("p", "It may take more hours than there are.", class_="warning"),
        ]
    )


def other_stacks(page: Page) -> Html | None:
    """The alternatives that differ in kind, beside this one; None where there are none."""
    options = page.decision.alternative_stacks
    if not options:
        return None
    ours = {r: wording.tools_of(c) for r, c in page.decision.roles.items() if wording.tools_of(c)}
    used = [r for r in page.decision.roles if ours.get(r) or any(option.roles.get(r) for option in options)]
    heads = tag("tr", *(tag("th", h, scope="col") for h in ("What", "This decision", *(o.name for o in options))))
    spent, ours_a_month = page.decision.cost, page.decision.hours_per_month
    summary = (
        ("A year", [wording.usd(spent.total), *(wording.usd(option.cost.total) for option in options)]),
        ("Three years", [wording.usd(spent.three_years), *(wording.usd(o.cost.three_years) for o in options)]),
        ("Hours a month", [wording.hours(hours) for hours in (ours_a_month, *(o.hours_per_month for o in options))]),
        ("Mean score", [wording.score(_mean_score(page)), *(wording.score(option.score) for option in options)]),
    )  # fmt: skip
    body = [tag("tr", tag("th", name, scope="row"), *(tag("td", c) for c in cells)) for name, cells in summary]
    body += [_stack_row(role, ours.get(role, ()), options, page) for role in used]
    because = (tag("td", option.differs_because) for option in options)
    body.append(tag("tr", tag("th", "In words", scope="row"), tag("td"), *because))
    grid = tag("table", tag("thead", heads), tag("tbody", *body), class_="stacks")
    return section(
        "others",
        "Other stacks",
        tag("p", "Each differs in kind from this decision. What differs is marked.", class_="note"),
        scrolling("This decision and other stacks", grid),
    )


def _stack_row(role: str, ours: tuple[str, ...], options: tuple[StackOption, ...], page: Page) -> Html:
    cells = [tag("td", page.tools(ours) or wording.NOTHING)]
    for option in options:
        theirs = tuple(option.roles.get(role, ()))
        shown = page.tools(theirs) or wording.NOTHING
        cells.append(tag("td", shown if theirs == ours else tag("mark", shown)))
    return tag("tr", tag("th", wording.role_title(role), scope="row"), *cells)


def _mean_score(page: Page) -> float | None:
    scores = [choice.score for choice in page.decision.roles.values() if choice.score is not None]
    return sum(scores) / len(scores) if scores else None
