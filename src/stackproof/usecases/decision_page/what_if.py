"""The answers that would change a pick, gathered over all roles: what the toggles show, and the table beside them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stackproof.decide.decision import Decision, Flip
from stackproof.usecases.decision_page import wording
from stackproof.usecases.decision_page.stack_picture import short
from stackproof.usecases.pages.html import Html, joined, tag

FIRST_SHOWN = 8
"""So many questions have their toggles in view; those of the others are folded away."""


@dataclass(frozen=True, slots=True)
class OtherAnswer:
    """One other answer, and each role that it changes."""

    key: str
    before: Any
    after: Any
    changes: tuple[tuple[str, Flip], ...]


def other_answers(decision: Decision) -> tuple[OtherAnswer, ...]:
    """Every single answer that changes a role: those that change most roles first, then in the order of the roles."""
    gathered: dict[tuple[str, str], list[tuple[str, Flip]]] = {}
    for role, choice in decision.roles.items():
        for flip in choice.flips:
            gathered.setdefault((flip.key, wording.answer(flip.after)), []).append((role, flip))
    found = [OtherAnswer(c[0][1].key, c[0][1].before, c[0][1].after, tuple(c)) for c in gathered.values()]
    weight = {key: sum(len(one.changes) for one in found if one.key == key) for key in {one.key for one in found}}
    return tuple(sorted(found, key=lambda one: -weight[one.key]))


def toggles(decision: Decision, names: Mapping[str, str]) -> Html | None:
    """A form to choose one other answer; hidden until the script shows it, as it does nothing without."""
    found = other_answers(decision)
    if not found:
        return None
    by_key: dict[str, list[tuple[int, OtherAnswer]]] = {}
    for number, one in enumerate(found):
        by_key.setdefault(one.key, []).append((number, one))
    groups = [_group(key, ones) for key, ones in by_key.items()]
    rest = groups[FIRST_SHOWN:]
    return tag(
        "form",
        tag("h3", "What if an answer were another?", id="what-if-heading"),
        tag("p", "Choose one, and the picture and the table show what would then be picked.", class_="note"),
        tag(
            "fieldset",
            tag("legend", "One other answer", class_="unseen"),
            tag(
                "div",
                _chip("", "As answered", "", checked=True),
                tag("p", id="what-if-told", class_="told", role="status"),
                class_="as-answered",
            ),
            tag("div", *groups[:FIRST_SHOWN], class_="groups"),
            tag(
                "details",
                tag("summary", f"{wording.counted(len(rest), 'more question')} that would change a pick"),
                tag("div", *rest, class_="groups"),
            )
            if rest
            else None,
        ),
        id="what-if",
        aria_labelledby="what-if-heading",
        autocomplete="off",
        hidden=True,
    )


def _group(key: str, ones: list[tuple[int, OtherAnswer]]) -> Html:
    now = wording.answer(ones[0][1].before)
    chips = (_chip(str(number), wording.answer(one.after), f"{wording.question(key)}: ") for number, one in ones)
    return tag(
        "div",
        tag("p", wording.question(key), " ", tag("span", f"now {now}", class_="muted"), class_="question"),
        tag("div", *chips, class_="chips"),
        class_="group",
    )


def _chip(value: str, label: str, unseen: str, *, checked: bool = False) -> Html:
    before = tag("span", unseen, class_="unseen") if unseen else None
    return tag(
        "label",
        tag("input", type="radio", name="what-if", value=value, checked=checked),
        tag("span", before, label),
        class_="chip",
    )


def table(decision: Decision, names: Mapping[str, str]) -> Html | None:
    """The same without a script: a row for each other answer."""
    found = other_answers(decision)
    if not found:
        return None
    head = ("Question", "Now", "If it were", "Then")
    return tag(
        "details",
        tag(
            "summary",
            f"All as a table: {wording.counted(len(found), 'single answer').lower()} that would change a pick",
        ),
        tag(
            "div",
            tag(
                "table",
                tag("thead", tag("tr", *(tag("th", name, scope="col") for name in head))),
                tag("tbody", *(_row(one, decision, names) for one in found)),
            ),
            class_="scroll",
            tabindex="0",
            role="group",
            aria_label="Every single answer that would change a pick",
        ),
        id="what-if-table",
        open=True,
    )


def _row(one: OtherAnswer, decision: Decision, names: Mapping[str, str]) -> Html:
    then = (
        tag("li", f"{wording.role_title(role)}: {_then(role, flip, decision, names)}") for role, flip in one.changes
    )
    return tag(
        "tr",
        tag("th", wording.question(one.key), tag("br"), tag("code", one.key, class_="muted"), scope="row"),
        tag("td", wording.answer(one.before)),
        tag("td", wording.answer(one.after)),
        tag("td", tag("ul", *then, class_="plain")),
    )


def _then(role: str, flip: Flip, decision: Decision, names: Mapping[str, str]) -> str:
    return f"{wording.flipped(flip, names)} instead of {wording.instead_of(decision.roles[role], names)}"


def data(decision: Decision, names: Mapping[str, str]) -> Html:
    """For the script: for each other answer what is said, and what each changed role then shows."""
    document = [
        {
            "told": _told(one, decision, names),
            "changes": [
                {
                    "role": role,
                    "verdict": flip.verdict,
                    "pill": wording.VERDICTS.get(flip.verdict, flip.verdict),
                    "tool": wording.flipped(flip, names),
                    "short": short(wording.flipped(flip, names)),
                    "was": wording.was(decision.roles[role], names),
                    "wasShort": short(wording.was(decision.roles[role], names), small=True),
                }
                for role, flip in one.changes
            ],
        }
        for one in other_answers(decision)
    ]
    inert = json.dumps(document, ensure_ascii=True).replace("<", "\\u003c").replace("&", "\\u0026")
    return joined([Html('<script type="application/json" id="what-if-data">'), Html(inert), Html("</script>")])


def _told(one: OtherAnswer, decision: Decision, names: Mapping[str, str]) -> str:
    changes = "; ".join(
        f"{wording.role_title(role)}: {_then(role, flip, decision, names)}" for role, flip in one.changes
    )
    key, after = wording.question(one.key), wording.answer(one.after)
    return f"{key}: {after}, where you answered {wording.answer(one.before)}. {changes}."
