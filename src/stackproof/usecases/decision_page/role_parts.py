"""Why each role ended as it did: reasons, warnings, criteria, the others, and what was struck out."""

from collections.abc import Sequence

from stackproof.decide.decision import Flip, Migration, RoleDecision, Step
from stackproof.usecases.decision_page import wording
from stackproof.usecases.decision_page.criteria import criteria_figure
from stackproof.usecases.decision_page.page import Page, figures, folded, pill, scrolling, section, table
from stackproof.usecases.pages.html import Html, joined, tag
from stackproof.usecases.pages.numbers import percent

_HELD = {True: "holds", False: "does not hold"}
TOLD_ELSEWHERE = frozenset({"criterion"})
RULES = frozenset({"tree", "table"})
UNJUDGED = frozenset({"score", "aspect"})
"""Steps of which it is not said whether they hold: they say which tool was picked."""


def why(page: Page) -> Html:
    return section(
        "why",
        "Why, role by role",
        tag("p", "Small numbers lead to the sources, at the end of the page.", class_="note"),
        *(_role(role, choice, page) for role, choice in page.decision.roles.items()),
    )


def _role(role: str, choice: RoleDecision, page: Page) -> Html:
    key = f"role-{role}"
    tools = page.tools(wording.tools_of(choice))
    return tag(
        "article",
        tag(
            "div",
            tag(
                "h3",
                tag("span", wording.role_title(role), class_="role-title"),
                " ",
                tag("span", tools, class_="tool") if tools else None,
                id=f"{key}-heading",
            ),
            pill(choice),
            tag("p", wording.JOBS.get(role), class_="job muted"),
            class_="role-head",
        ),
        _said(choice, page),
        _numbers(choice),
        tag(
            "div",
            *(criteria_figure(role, number, ranking, page) for number, ranking in enumerate(choice.rankings)),
            class_="rankings",
        ),
        tag("div", _alternatives(choice, page), _more(role, choice, page), class_="aside"),
        id=key,
        class_=f"role is-{choice.verdict}",
        aria_labelledby=f"{key}-heading",
    )


def _said(choice: RoleDecision, page: Page) -> Html:
    main = choice.reasons[0]
    until = f"It can wait until {choice.until}." if choice.until and choice.verdict == "defer" else choice.until
    return joined(
        [
            tag("p", page.cited(main.text, main.source, main.date), class_="main-reason"),
            tag("p", until) if until else None,
            tag("ul", *(tag("li", line) for line in choice.because), class_="because") if choice.because else None,
            warnings(choice, page),
        ]
    )


def warnings(choice: RoleDecision, page: Page) -> Html | None:
    if not choice.warnings:
        return None
    return joined(
        tag(
            "p",
            tag("strong", "Know before you start: "),
            page.cited(warned.text, warned.source, warned.date),
            class_="warning",
        )
        for warned in choice.warnings
    )


def _numbers(choice: RoleDecision) -> Html | None:
    return figures(
        ("Score", None if choice.score is None else wording.score(choice.score),
         f"from {wording.interval(choice.interval).replace('–', ' to ')}" if choice.interval else ""),
        ("Stays the pick", None if choice.stability is None else percent(choice.stability), "of perturbed weights"),
        ("To operate", wording.hours(choice.hours_per_month, ""), "a month"),
        ("Environment", choice.environment if wording.tools_of(choice) else None, ""),
    )  # fmt: skip


def _alternatives(choice: RoleDecision, page: Page) -> Html | None:
    if not choice.alternatives:
        return None
    lines = (
        tag(
            "li",
            tag("strong", page.tool(other.tool)),
            f" {wording.score(other.score)}" if other.score is not None else None,
            tag("small", other.why_not),
        )
        for other in choice.alternatives
    )
    return joined([tag("h4", "Why not the others"), tag("ul", *lines, class_="plain others")])


def _more(role: str, choice: RoleDecision, page: Page) -> Html | None:
    parts = [_reasons(choice, page), _struck(choice, page), _changes(choice, page), _trace(role, choice, page)]
    return tag("div", *parts, class_="more") if any(parts) else None


def _reasons(choice: RoleDecision, page: Page) -> Html | None:
    rest = choice.reasons[1:]
    if not rest:
        return None
    lines = (tag("li", page.cited(reason.text, reason.source, reason.date)) for reason in rest)
    return folded(wording.counted(len(rest), "more reason"), tag("ul", *lines))


def _struck(choice: RoleDecision, page: Page) -> Html | None:
    if not choice.rejected:
        return None
    rows = (
        tag("tr", tag("th", page.tool(struck.tool), scope="row"), tag("td", struck.kind),
            tag("td", page.cited(struck.because, struck.source, struck.date)))
        for struck in choice.rejected
    )  # fmt: skip
    said = wording.counted(len(choice.rejected), "tool") + " struck out"
    return folded(said, scrolling("Tools struck out", table(("Tool", "By", "Because"), rows)))


def _changes(choice: RoleDecision, page: Page) -> Html | None:
    lines = [tag("li", _flip(flip, page)) for flip in choice.flips]
    if choice.decisive is not None:
        decisive = choice.decisive
        lines.append(tag("li", page.cited(decisive.text, decisive.source, decisive.date)))
    if not lines:
        return None
    return folded(wording.counted(len(lines), "thing") + " that would change it", tag("ul", *lines))


def _flip(flip: Flip, page: Page) -> Html:
    then = wording.flipped(flip, page.names)
    asked = f"{wording.question(flip.key)}: {wording.answer(flip.after)}"
    return joined([asked, tag("span", f" (now {wording.answer(flip.before)})", class_="muted"), f": {then}"])


def _trace(role: str, choice: RoleDecision, page: Page) -> Html | None:
    if not choice.path:
        return None
    command = tag("code", f"stackproof explain {role} --answers FILE")
    return folded("The way there", _steps(choice.path, page), tag("p", "Every step: ", command, class_="note"))


def _steps(steps: Sequence[Step], page: Page) -> Html:
    """The steps and what lies below them, without what the tables show and without the rules that don't hold."""
    told = [step for step in steps if step.kind not in TOLD_ELSEWHERE]
    shown = [step for step in told if step.held is not False or step.kind not in RULES]
    lines = [tag("li", *_step(step, page)) for step in shown]
    if left := len(told) - len(shown):
        lines.append(tag("li", f"{wording.counted(left, 'rule does', 'rules do')} not hold", class_="muted"))
    return tag("ul", *lines, class_="trace") if lines else Html()


def _step(step: Step, page: Page) -> list[str]:
    held = f" {_HELD[step.held]}" if step.kind not in UNJUDGED and step.held is not None else ""
    below = _steps(step.below, page) if step.below and step.kind != "constraint" else ""
    said = step.text if step.kind == "answer" else page.cited(step.text, step.source, step.date)
    return [said, tag("span", held, class_="muted") if held else "", below]


def moves(page: Page) -> Html | None:
    """How to get there from the tools in use today; None where nothing is in use."""
    moving = [(role, c, c.migration) for role, c in page.decision.roles.items() if c.migration is not None]
    if not moving:
        return None
    return joined([tag("h3", "From the tools in use today"), *(_move(role, c, m, page) for role, c, m in moving)])


def _move(role: str, choice: RoleDecision, migration: Migration, page: Page) -> Html:
    effort = f", {wording.days(migration.effort_days)}" if migration.effort_days else ""
    towards = page.tools(wording.tools_of(choice)) or wording.VERDICTS.get(choice.verdict, "")
    return tag(
        "div",
        tag(
            "h4",
            f"{wording.role_title(role)}: {page.tool(migration.source_tool)} → {towards}",
            tag("span", effort, class_="muted light") if effort else None,
        ),
        tag("ol", *(tag("li", step) for step in migration.steps)),
        class_="move",
    )
