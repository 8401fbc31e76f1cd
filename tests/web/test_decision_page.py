"""decision.html in a real browser."""

import json
import runpy
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from stackproof.usecases.decision_page import decision_page

pytestmark = pytest.mark.services

PHONE, DESKTOP = 390, 1280
SAMPLES = Path(__file__).parents[1] / "unit" / "usecases"
COLLABORATION = "[...document.querySelectorAll('#what-if label')].find(it => it.textContent.endsWith('central'))"
UNFOLD = "document.querySelectorAll('details').forEach(it => { it.open = true })"

Violations = Callable[[Any], list[str]]
Pages = dict[str, str]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Pages:
    """The address of each page: one with every part, one with hostile texts, one with nearly nothing."""
    folder = tmp_path_factory.mktemp("decisions")
    sample = runpy.run_path(str(SAMPLES / "decision_sample.py"))
    for name, decision in runpy.run_path(str(SAMPLES / "odd_decisions.py"))["decisions"]().items():
        page = decision_page(decision, names=sample["NAMES"], pairs=sample["PAIRS"])
        (folder / f"{name}.html").write_text(page, encoding="utf-8")
    return {file.stem: file.as_uri() for file in folder.iterdir()}


@pytest.fixture(params=[(PHONE, "light"), (PHONE, "dark"), (DESKTOP, "light"), (DESKTOP, "dark")], ids=str)
def shown(request: pytest.FixtureRequest, browser: Any, pages: Pages) -> Any:
    width, scheme = request.param
    browser.show(width=width, scheme=scheme)
    browser.open(pages["full"])
    return browser


@pytest.fixture
def desktop(browser: Any, pages: Pages) -> Any:
    browser.show(width=DESKTOP)
    browser.open(pages["full"])
    return browser


def boxes(browser: Any) -> dict[str, str]:
    """What the visible picture shows in the box of each role."""
    return browser.value(
        """Object.fromEntries([...document.querySelectorAll('a.role-box')].filter(it => it.checkVisibility())
           .map(it => [it.dataset.role, it.querySelector('.tool-name').textContent]))"""
    )


def row(browser: Any, role: str) -> str:
    return browser.value(f"document.querySelector('tr[data-role={role}] td').innerText")


# ------------------------------------------------------------ for everybody


def test_axe_finds_no_fault(shown: Any, violations: Violations) -> None:
    assert violations(shown) == []


def test_axe_finds_no_fault_with_everything_unfolded_and_another_answer_chosen(
    shown: Any, violations: Violations
) -> None:
    shown.value(UNFOLD)
    shown.value(f"{COLLABORATION}.click()")
    shown.value("document.querySelector('.criteria input[value=\"2\"]').click()")

    assert violations(shown) == []


@pytest.mark.parametrize("name", ["nasty", "bare"])
@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_axe_finds_no_fault_in_odd_decisions(
    browser: Any, violations: Violations, pages: Pages, name: str, width: int
) -> None:
    browser.show(width=width, scheme="dark")
    browser.open(pages[name])
    browser.value(UNFOLD)

    assert violations(browser) == []


def test_axe_would_find_a_fault(desktop: Any, violations: Violations) -> None:
    desktop.value("document.querySelector('main').append(document.createElement('img'))")
    desktop.value("document.querySelector('h1').style.color = '#bbbbbb'")

    assert {fault.partition(":")[0] for fault in violations(desktop)} == {"image-alt", "color-contrast"}


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_a_contrast_of_at_least_four_and_a_half(
    browser: Any, pages: Pages, contrast: Callable[[str, str], float], width: int, scheme: str
) -> None:
    browser.show(width=width, scheme=scheme)
    browser.open(pages["full"])
    browser.value(UNFOLD)
    browser.value(f"{COLLABORATION}.click()")
    texts = browser.value(
        """[...document.querySelectorAll('body *')].filter(it => it.checkVisibility()
             && [...it.childNodes].some(child => child.nodeType === 3 && child.textContent.trim()))
           .map(it => {
             const box = it.closest('a.role-box')?.querySelector('rect')
             let behind = it, paper = box ? getComputedStyle(box).fill : ''
             while (behind && (!paper || paper === 'rgba(0, 0, 0, 0)')) {
               paper = getComputedStyle(behind).backgroundColor
               behind = behind.parentElement
             }
             const style = getComputedStyle(it)
             return [it instanceof SVGTextElement ? style.fill : style.color, paper, it.textContent.trim().slice(0, 40)]
           })"""
    )

    assert len(texts) > 400
    assert {(ink, paper, text) for ink, paper, text in texts if contrast(ink, paper) < 4.5} == set()


def test_headings_go_down_one_level_at_a_time(shown: Any) -> None:
    levels = shown.value("[...document.querySelectorAll('h1, h2, h3, h4, h5, h6')].map(it => +it.tagName[1])")

    assert levels.count(1) == 1
    assert all(later - earlier <= 1 for earlier, later in pairwise(levels))


def test_the_boxes_of_the_picture_have_names_and_lead_to_their_roles(desktop: Any) -> None:
    tree = desktop.ask("Accessibility.getFullAXTree")["nodes"]
    links = [node["name"]["value"].split() for node in tree if node.get("role", {}).get("value") == "link"]

    assert ["Tracking", "MLflow", "2", "to", "6", "h", "a", "month", "▲"] in links
    assert ["AutoML", "Not", "needed"] in links
    assert desktop.value(
        "[...document.querySelectorAll('a.role-box')].every(it => document.querySelector(it.getAttribute('href')))"
    )


def test_no_motion_for_those_who_want_none(desktop: Any) -> None:
    desktop.ask(
        "Emulation.setEmulatedMedia", media="", features=[{"name": "prefers-reduced-motion", "value": "reduce"}]
    )

    assert desktop.value("getComputedStyle(document.documentElement).scrollBehavior") == "auto"


# ------------------------------------------------------------ on every screen


def test_the_browser_logs_nothing_and_asks_for_nothing_but_the_page(shown: Any, pages: Pages) -> None:
    shown.value(f"{COLLABORATION}.click()")

    assert shown.told() == []
    assert shown.asked_for() == [pages["full"]]


@pytest.mark.parametrize("name", ["full", "nasty", "bare"])
@pytest.mark.parametrize("width", [320, PHONE, 768, DESKTOP])
def test_the_page_never_scrolls_sideways(browser: Any, pages: Pages, name: str, width: int) -> None:
    browser.show(width=width)
    browser.open(pages[name])
    assert browser.value("document.documentElement.scrollWidth") <= width
    browser.value(UNFOLD)
    assert browser.value("document.documentElement.scrollWidth") <= width, "with every detail open"


def test_the_texts_of_the_picture_stay_inside_their_boxes_and_apart(shown: Any) -> None:
    shown.value(f"{COLLABORATION}.click()")
    faults = shown.value(
        """[...document.querySelectorAll('a.role-box')].filter(it => it.checkVisibility()).flatMap(box => {
             const around = box.querySelector('rect').getBoundingClientRect()
             const texts = [...box.querySelectorAll('text')].filter(it => it.textContent)
               .map(it => [it.textContent, it.getBoundingClientRect()])
             const outside = texts.filter(([, a]) => a.left < around.left || a.right > around.right
                                                  || a.top < around.top - 1 || a.bottom > around.bottom + 1)
             const overlapping = texts.filter(([, a], i) => texts.slice(i + 1).some(([, b]) =>
               Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
               && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 4))
             return [...outside, ...overlapping].map(([text]) => text)
           })"""
    )

    assert faults == []


def test_a_hostile_text_runs_nothing_and_loads_nothing(browser: Any, pages: Pages) -> None:
    browser.show(width=DESKTOP)
    browser.open(pages["nasty"])
    browser.value("[...document.querySelectorAll('#what-if input')].forEach(it => it.click())")

    assert browser.told() == []
    assert browser.asked_for() == [pages["nasty"]]
    assert not any(event["method"] == "Page.javascriptDialogOpening" for event in browser.events)
    assert browser.value("document.querySelectorAll('script').length") == 2


def test_a_script_put_into_the_page_does_not_run(desktop: Any) -> None:
    desktop.value("const it = document.createElement('script'); it.text = 'window.ran = 1'; document.body.append(it)")

    assert desktop.value("window.ran") is None


# ------------------------------------------------------------ what if


def test_another_answer_changes_the_picture_and_the_table(shown: Any) -> None:
    before = boxes(shown)
    assert before["tracking"] == "MLflow"

    shown.value(f"{COLLABORATION}.click()")

    after = boxes(shown)
    assert {role for role in before if before[role] != after[role]} == {"tracking", "monitoring"}
    assert after["tracking"].startswith("Weights &")
    assert "Weights & Biases" in row(shown, "tracking")
    assert "was MLflow" in row(shown, "tracking")
    told = shown.value("document.getElementById('what-if-told').innerText")
    assert told.startswith("Collaboration: central, where you answered some. Tracking: Weights & Biases instead of")


def test_going_back_to_the_given_answers_shows_the_decision_again(desktop: Any) -> None:
    picture = "document.querySelector('.stack-picture').outerHTML + document.querySelector('table.roles').outerHTML"
    before = desktop.value(picture)
    desktop.value(f"{COLLABORATION}.click()")
    assert desktop.value(picture) != before

    desktop.value("document.querySelector('#what-if input[value=\"\"]').click()")

    assert desktop.value(picture) == before
    assert desktop.value("document.getElementById('what-if-told').innerText") == ""


def test_a_role_that_would_wait_or_be_left_out_says_so(desktop: Any) -> None:
    desktop.value(
        "[...document.querySelectorAll('#what-if label')].find(it => it.textContent.endsWith('research')).click()"
    )

    assert boxes(desktop)["tracking"] == "Not needed"
    assert "not needed" in row(desktop, "tracking")


def test_lines_between_tools_go_when_one_of_them_would_go(desktop: Any) -> None:
    lines = """[...document.querySelectorAll('.wide-only [data-link]')]
               .filter(it => getComputedStyle(it).visibility === 'visible').map(it => it.dataset.link)"""
    assert "tuning tracking" in desktop.value(lines) or "tracking tuning" in desktop.value(lines)

    desktop.value(f"{COLLABORATION}.click()")

    assert not any("tracking" in line for line in desktop.value(lines))


def test_the_keyboard_alone_chooses_another_answer(desktop: Any) -> None:
    desktop.value("document.querySelector('#what-if input:checked').focus()")
    assert desktop.value("document.activeElement.value") == ""

    desktop.press("ArrowDown", 40)

    assert desktop.value("document.activeElement.checked && document.activeElement.value !== ''")
    assert boxes(desktop)["tracking"].startswith("Weights &")
    around = desktop.value("getComputedStyle(document.activeElement.nextElementSibling).outlineStyle")
    assert around == "solid", "the focus is seen"


def test_every_control_is_reached_with_the_tab_key(desktop: Any) -> None:
    desktop.value("document.querySelector('.skip').focus()")
    reached = set()
    for _ in range(120):
        desktop.press("Tab", 9)
        reached.add(desktop.value("document.activeElement.closest('section, form')?.id"))

    assert {"stack", "what-if", "roles", "cost", "others", "why"} <= reached


def test_without_a_script_there_are_no_toggles_and_the_table_is_open(browser: Any, pages: Pages) -> None:
    browser.show(width=DESKTOP, script=False)
    browser.open(pages["full"])
    try:
        document = browser.ask("DOM.getDocument", depth=-1)["root"]["nodeId"]
        form = browser.ask("DOM.querySelector", nodeId=document, selector="#what-if[hidden]")["nodeId"]
        table = browser.ask("DOM.querySelector", nodeId=document, selector="#what-if-table[open]")["nodeId"]
    finally:
        browser.show(width=DESKTOP)

    assert form
    assert table


def test_another_tool_is_put_beside_the_chosen_one(desktop: Any) -> None:
    beside = "[...document.querySelectorAll('#role-tracking .rival')].filter(it => it.checkVisibility()).length"
    names = "[...document.querySelectorAll('#role-tracking .rival > small')].filter(it => it.checkVisibility())"
    assert desktop.value(beside) == 0

    desktop.value("document.querySelector('#role-tracking .criteria input[value=\"2\"]').click()")

    assert desktop.value(f"[...new Set({names}.map(it => it.innerText))]") == ["Weights & Biases"]


def test_bars_are_as_thick_as_their_weight_and_as_long_as_their_rating(desktop: Any) -> None:
    weights = desktop.value(
        """[...document.querySelectorAll('#role-tracking .bars > li > i')].filter(it => it.checkVisibility())
           .map(it => parseFloat(getComputedStyle(it, '::before').height))"""
    )
    hatched = desktop.value("document.querySelectorAll('#role-tracking .rival i.unknown').length")

    assert weights == sorted(weights, reverse=True)
    assert weights[0] > 2 * weights[-1]
    assert hatched >= 1


def test_the_number_behind_a_statement_leads_to_its_source(desktop: Any) -> None:
    desktop.value("document.querySelector('#role-tracking sup a').click()")

    assert desktop.value("location.hash").startswith("#s")
    assert desktop.value("document.querySelector(':target').checkVisibility()")


# ------------------------------------------------------------ on paper


def test_printed_it_is_dark_on_white_with_everything_open_and_no_toggles(browser: Any, pages: Pages) -> None:
    browser.show(width=794, scheme="dark", media="print")
    browser.open(pages["full"])
    seen = json.loads(
        browser.value(
            """JSON.stringify({
                 paper: getComputedStyle(document.body).backgroundColor,
                 form: document.getElementById('what-if').checkVisibility(),
                 nav: document.querySelector('nav').checkVisibility(),
                 picture: document.querySelector('.wide-only svg').checkVisibility(),
                 folded: [...document.querySelectorAll('details *')].filter(it => !it.closest('.rival, form'))
                   .filter(it => !it.checkVisibility({contentVisibilityAuto: true})).map(it => it.outerHTML),
                 wide: document.documentElement.scrollWidth > 794,
               })"""
        )
    )
    browser.show(width=DESKTOP)

    assert seen == {
        "paper": "rgb(255, 255, 255)", "form": False, "nav": False, "picture": True, "folded": [], "wide": False,
    }  # fmt: skip


def test_what_is_folded_is_open_while_printing_and_folded_after(desktop: Any) -> None:
    folded = "document.querySelectorAll('details:not([open])').length"
    before = desktop.value(folded)
    assert before > 5

    desktop.value("dispatchEvent(new Event('beforeprint'))")
    assert desktop.value(folded) == 0
    desktop.value("dispatchEvent(new Event('afterprint'))")
    assert desktop.value(folded) == before
