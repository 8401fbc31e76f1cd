"""What holds for the stack as a whole: the picture, the table of roles, where to start, what it rests on."""

from stackproof.decide.decision import Assumed, RoleDecision
from stackproof.facts.model import Pair
from stackproof.roles import ROLES
from stackproof.usecases.decision_page import wording
from stackproof.usecases.decision_page.installing import installing
from stackproof.usecases.decision_page.page import Page, first_and_rest, folded, pill, section, table
from stackproof.usecases.decision_page.stack_picture import NARROW, WIDE, linked_roles, stack_picture
from stackproof.usecases.decision_page.what_if import table as what_if_table
from stackproof.usecases.decision_page.what_if import toggles
from stackproof.usecases.pages.html import Html, joined, tag
from stackproof.usecases.pages.numbers import percent


def stack(page: Page) -> Html:
    linked = linked_roles(page.decision, page.pairs)
    warned = any(choice.warnings for choice in page.decision.roles.values())
    legend = [
        _key("flow", "the order of the work"),
        _key("link", "known to work together") if linked else None,
        tag("li", tag("span", "▲", class_="warned"), " a warning, told below") if warned else None,
    ]
    return section(
        "stack",
        "The stack",
        tag(
            "figure",
            tag("div", stack_picture(page.decision, page.names, page.pairs, WIDE), class_="wide-only"),
            tag("div", stack_picture(page.decision, page.names, page.pairs, NARROW), class_="narrow"),
            tag("figcaption", tag("ul", *legend, class_="legend")),
            class_="card stack-picture",
        )
        if set(ROLES) <= page.decision.roles.keys()
        else None,
        tag("div", toggles(page.decision, page.names), class_="what-if"),
        what_if_table(page.decision, page.names),
        _together(page),
    )


def _key(style: str, words: str) -> Html:
    line = Html(
        f'<svg viewBox="0 0 26 10" aria-hidden="true" focusable="false"><path class="{style}" d="M1 5h24"/></svg>'
    )
    return tag("li", line, words)


def _together(page: Page) -> Html | None:
    """What is known of the chosen tools as pairs."""
    chosen = {tool for choice in page.decision.roles.values() for tool in wording.tools_of(choice)}
    known = [pair for pair in page.pairs if set(pair.tools) <= chosen]
    known.sort(key=lambda pair: pair.kind == "integrates")
    if not known:
        return None
    lines = first_and_rest([_pair(p, page) for p in known], "pair", lambda some: tag("ul", *some, class_="pairs"))
    return joined([tag("h3", "Side by side"), *lines])


def _pair(pair: Pair, page: Page) -> Html:
    kind = {"integrates": "work together", "conflicts": "get in each other’s way", "duplicates": "overlap"}
    return tag(
        "li",
        tag("strong", f"{page.tool(pair.tools[0])} and {page.tool(pair.tools[1])}"),
        f" {kind.get(pair.kind, pair.kind)}: ",
        page.cited(pair.text, pair.source, pair.date),
        class_=None if pair.kind == "integrates" else "warning",
    )


def at_a_glance(page: Page) -> Html:
    heads = ("Role", "Decided", "Main reason", "Score", "Stays", "Hours a month")
    numbers = ("Score", "Stays", "Hours a month")
    rows = (_row(role, choice, page) for role, choice in page.decision.roles.items())
    named = (tag("th", h, scope="col", role="columnheader", class_="number" if h in numbers else None) for h in heads)
    return section(
        "roles",
        "Role by role",
        tag("p", "Score: 0 to 1, on the criteria that your answers weigh. Stays: the share of perturbed weights "
            "under which the pick stays the same.", class_="note"),
        tag(
            "table",
            tag("thead", tag("tr", *named, role="row"), role="rowgroup"),
            tag("tbody", *rows, role="rowgroup"),
            class_="roles",
            role="table",
        ),
    )  # fmt: skip


def _row(role: str, choice: RoleDecision, page: Page) -> Html:
    main = choice.reasons[0]
    stays = wording.NOTHING if choice.stability is None else percent(choice.stability)
    cells = (
        ("Decided", joined([pill(choice), " ", *_chosen(choice, page)]), None),
        ("Main reason", page.cited(main.text, main.source, main.date), None),
        ("Score", _score(choice), "number"),
        ("Stays", stays, "number"),
        ("Hours a month", wording.hours(choice.hours_per_month, wording.NOTHING), "number"),
    )
    link = tag("a", wording.role_title(role), href=f"#{wording.anchor(role)}")
    return tag(
        "tr",
        tag("th", link, scope="row", role="rowheader"),
        *(
            tag(
                "td",
                text,
                role="cell",
                data_label=label,
                class_=f"{style} is-empty" if text == wording.NOTHING else style,
            )
            for label, text, style in cells
        ),
        role="row",
        data_role=role,
        class_=f"is-{choice.verdict}",
    )


def _chosen(choice: RoleDecision, page: Page) -> list[Html]:
    shown = wording.picked(choice, page.names) if wording.tools_of(choice) else ""
    parts = [tag("span", shown, class_="tool", data_part="tool")]
    beside = f"with {page.tools(choice.beside)}" if choice.beside else ""
    return [*parts, tag("small", beside, data_part="note")]


def _score(choice: RoleDecision) -> Html:
    between = tag("small", wording.interval(choice.interval)) if choice.interval else None
    return joined([wording.score(choice.score), between])


def start_here(page: Page, moves: Html | None) -> Html | None:
    readiness = page.decision.readiness
    if not readiness.because and not readiness.order and moves is None:
        return None
    reasons = (tag("p", page.cited(reason.text, reason.source, reason.date)) for reason in readiness.because)
    order = (tag("li", *_first(role, page)) for role in readiness.order)
    return section(
        "start",
        "Start here",
        tag("div", *reasons, class_="lead"),
        tag("ol", *order, class_="steps") if readiness.order else None,
        moves,
    )


def _first(role: str, page: Page) -> list[str]:
    choice = page.decision.roles.get(role)
    title = tag("strong", wording.role_title(role))
    if choice is None:
        return [title]
    if tools := page.tools(wording.tools_of(choice)):
        return [title, f" with {tools}"]
    done = "the embedded part does it until then" if choice.verdict == "defer" else wording.VERDICTS[choice.verdict]
    return [title, f": {done}"]


def rests_on(page: Page) -> Html | None:
    """Assumptions and conflicts of sources; None where there are neither."""
    parts = [_assumed(page), installing(page), _conflicts(page)]
    return section("rests", "What it rests on", *parts) if any(parts) else None


def _assumed(page: Page) -> Html | None:
    """The open questions that matter, those that matter for most roles first."""
    mattering = sorted((a for a in page.decision.assumed if a.matters_for), key=lambda a: -len(a.matters_for))
    rest = [item for item in page.decision.assumed if not item.matters_for]
    if not page.decision.assumed:
        return None
    others = tag(
        "ul", *(tag("li", tag("code", f"{a.key} = {wording.answer(a.value)}")) for a in rest), class_="plain columns"
    )
    heads = ("Question left open", "Assumed", "Matters for")
    return joined(
        [
            tag("h3", "Assumed, and it matters"),
            *first_and_rest([_assumption(a) for a in mattering], "question", lambda rows: table(heads, rows)),
            None if mattering else tag("p", "No question that was left open changes a pick."),
            folded(wording.counted(len(rest), "assumption") + " without effect", others) if rest else None,
        ]
    )


def _assumption(item: Assumed) -> Html:
    key = tag("small", tag("code", item.key))
    roles = wording.in_a_row([wording.role_title(role) for role in item.matters_for])
    asked = tag("th", wording.question(item.key), key, scope="row")
    return tag("tr", asked, tag("td", wording.answer(item.value)), tag("td", roles))


def _conflicts(page: Page) -> Html | None:
    if not page.decision.conflicts:
        return None
    rows = [
        tag("tr", tag("td", c.text, *(page.sources.cite(source) for source in c.sources)), tag("td", c.followed))
        for c in page.decision.conflicts
    ]
    heads = ("What they say", "Followed")
    held = first_and_rest(rows, "conflict", lambda some: table(heads, some, class_="conflicts"))
    return joined([tag("h3", "Where sources disagree"), *held])
