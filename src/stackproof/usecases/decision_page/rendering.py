"""A decision as one page that needs nothing else: no network, no templates, no other file."""

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources

from stackproof.decide.decision import Decision
from stackproof.facts.model import Pair
from stackproof.usecases.decision_page import wording
from stackproof.usecases.decision_page.costs import cost, other_stacks
from stackproof.usecases.decision_page.page import Page, figures, folded, section
from stackproof.usecases.decision_page.role_parts import moves, why
from stackproof.usecases.decision_page.what_if import data
from stackproof.usecases.decision_page.whole_stack import at_a_glance, rests_on, stack, start_here
from stackproof.usecases.pages import base_style
from stackproof.usecases.pages.html import Html, joined, tag
from stackproof.usecases.pages.numbers import percent

MOST_SOURCES = 40
"""More of them are folded away; following the number beside a statement unfolds them."""

NO_NAMES: Mapping[str, str] = {}


def decision_page(decision: Decision, *, names: Mapping[str, str] = NO_NAMES, pairs: Sequence[Pair] = ()) -> str:
    """The decision as an HTML document, the same for the same decision. All text is escaped.

    `names`: how tools are called, by id; a tool without a name is called by its id. `pairs`: what is known of tools
    together; of those that were both chosen it is drawn and told.
    """
    page = Page(decision, names, pairs)
    parts = _parts(page)
    script = _file("what_if.js")
    body = joined(
        [
            tag("a", "Skip to the decision", class_="skip", href="#main"),
            _header(page, parts),
            tag("main", *(part for _, _, part in parts), id="main", tabindex="-1"),
            _footer(page),
            data(decision, names),
            joined([Html("<script>"), Html(script), Html("</script>")]),
        ]
    )
    return f"<!doctype html>\n{tag('html', _head(page, script), tag('body', body), lang='en')}\n"


def _parts(page: Page) -> list[tuple[str, str, Html]]:
    """For each part that has something to say: its id, its name in the navigation, and it. Sources come last, as the
    other parts cite them first."""
    found = [
        ("stack", "Stack", stack(page)),
        ("roles", "Roles", at_a_glance(page)),
        ("start", "Start here", start_here(page, moves(page))),
        ("cost", "Cost", cost(page)),
        ("others", "Other stacks", other_stacks(page)),
        ("why", "Why", why(page)),
        ("rests", "Assumptions", rests_on(page)),
    ]
    shown = [(key, name, part) for key, name, part in found if part is not None]
    return [*shown, ("sources", "Sources", _sources(page))]


def _sources(page: Page) -> Html:
    listed = page.sources.listed()
    said = f"{len(page.sources)} places that this page cites"
    return section("sources", "Sources", folded(said, listed) if len(page.sources) > MOST_SOURCES else listed)


def _head(page: Page, script: str) -> Html:
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{policy}">'),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", f"{headline(page.decision)} · Stackproof decision"),
        tag("link", rel="icon", href="data:,"),
        joined([Html("<style>"), Html(base_style()), Html(_file("page.css")), Html("</style>")]),
    )


def _file(name: str) -> str:
    return resources.files("stackproof.usecases.decision_page").joinpath(name).read_text("utf-8")


def headline(decision: Decision) -> str:
    """The verdict in one sentence: six roles use a tool, two can wait."""
    count = {v: sum(c.verdict == v for c in decision.roles.values()) for v in wording.VERDICTS}
    parts = list(_counted(count))
    return (
        f"{parts[0]}{''.join(f', {part[:1].lower()}{part[1:]}' for part in parts[1:])}" if parts else "Nothing decided"
    )


def _counted(count: Mapping[str, int]) -> Iterator[str]:
    if none := count["none"]:
        yield wording.counted(none, "role has", "roles have") + " no tool left"
    if use := count["use"]:
        yield wording.counted(use, "role uses", "roles use") + " a tool"
    if defer := count["defer"]:
        yield f"{wording.counted(defer, 'can wait', 'can wait')}"
    if skip := count["skip"]:
        yield f"{wording.counted(skip, 'is', 'are')} not needed"


def _header(page: Page, parts: Sequence[tuple[str, str, Html]]) -> Html:
    decision = page.decision
    links = (tag("li", tag("a", name, href=f"#{key}")) for key, name, _ in parts)
    when = tag("time", wording.day(decision.as_of), datetime=decision.as_of.isoformat())
    return tag(
        "header",
        tag("p", "Stackproof decision · as of ", when, class_="eyebrow"),
        tag("h1", headline(decision)),
        tag("p", summary(page), class_="sum"),
        tag("nav", tag("ul", *links), aria_label="Parts of the page"),
        _tiles(page),
    )


def summary(page: Page) -> str:
    """The tools in a sentence, and how many warnings there are."""
    chosen = [t for choice in page.decision.roles.values() for t in wording.tools_of(choice)]
    warned = sum(len(choice.warnings) for choice in page.decision.roles.values())
    said = f"The stack is {page.tools(dict.fromkeys(chosen))}." if chosen else "No tool is used yet."
    if warned:
        said += f" {wording.counted(warned, 'warning')} to know before you start."
    return said


def _tiles(page: Page) -> Html | None:
    decision = page.decision
    available = decision.hours_available
    of = "" if available is None else f"of {wording.hours((available, available))} that people can give"
    weakest = decision.readiness.weakest
    return figures(
        ("A year, all together", wording.usd(decision.cost.total, ""), "licences, servers and people’s time"),
        ("To operate, a month", wording.hours(decision.hours_per_month, ""), of),
        ("Weakest question", weakest.capitalize() if weakest else None, "start with it"),
        _steadiness(page),
    )


def _steadiness(page: Page) -> tuple[str, str | None, str]:
    steady = [(c.stability, role) for role, c in page.decision.roles.items() if c.stability is not None]
    if not steady:
        return "Closest call", None, ""
    share, role = min(steady)
    if percent(share) == percent(1.0):
        return "Steady", "Every pick", "stays the same under perturbed weights"
    return "Closest call", wording.role_title(role), f"stays under {percent(share)} of perturbed weights"


def _footer(page: Page) -> Html:
    decision = page.decision
    rows = (
        ("Decided by", f"Stackproof {decision.stackproof}"),
        ("Facts of", decision.as_of.isoformat()),
        ("Digest of the facts", tag("code", decision.facts_digest)),
        ("Is it still sound?", tag("code", "stackproof review DIR")),
    )
    listed = (joined([tag("dt", name), tag("dd", value)]) for name, value in rows)
    return tag("footer", tag("div", tag("dl", *listed), class_="inner"))
