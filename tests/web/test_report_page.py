"""The report in a real browser."""

import runpy
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from stackproof.usecases.report_page.rendering import render

pytestmark = pytest.mark.services

PHONE, DESKTOP = 390, 1280
Contrast = Callable[[str, str], float]
SAMPLE = Path(__file__).parents[1] / "unit" / "usecases" / "report_sample.py"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a report with every part in it."""
    file = tmp_path_factory.mktemp("report") / "report.html"
    file.write_text(render(runpy.run_path(str(SAMPLE))["sample_page"]()), encoding="utf-8")
    return file.as_uri()


@pytest.fixture(params=[(PHONE, "light"), (PHONE, "dark"), (DESKTOP, "light"), (DESKTOP, "dark")], ids=str)
def shown(request: pytest.FixtureRequest, browser: Any, report: str) -> Any:
    width, scheme = request.param
    browser.show(width=width, scheme=scheme)
    browser.open(report)
    return browser


def test_the_browser_logs_nothing_and_asks_for_nothing_but_the_page(shown: Any, report: str) -> None:
    assert shown.told() == []
    assert shown.asked_for() == [report]


def test_the_page_never_scrolls_sideways(shown: Any) -> None:
    inside = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"

    assert shown.value(inside)
    shown.value("document.querySelectorAll('details').forEach(it => { it.open = true })")
    assert shown.value(inside), "with every detail open"


def test_nothing_sticks_out_of_the_page_but_inside_boxes_that_scroll(shown: Any) -> None:
    sticking_out = shown.value(
        """[...document.querySelectorAll('main *, header *, footer *')]
           .filter(it => !it.closest('.scroll') && it.getBoundingClientRect().right > innerWidth + 1)
           .map(it => it.outerHTML.slice(0, 80))"""
    )

    assert sticking_out == []


def test_no_two_texts_of_a_picture_overlap(shown: Any) -> None:
    overlapping = shown.value(
        """[...document.querySelectorAll('svg[role=img]')].filter(svg => svg.checkVisibility()).flatMap(svg => {
             const boxes = [...svg.querySelectorAll('text')].map(it => [it, it.getBoundingClientRect()])
             return boxes.flatMap(([one, a], i) => boxes.slice(i + 1)
               .filter(([, b]) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
                               && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 3)
               .map(([other]) => one.textContent + ' | ' + other.textContent))
           })"""
    )

    assert overlapping == []


def test_the_texts_of_the_lineage_stay_inside_their_boxes(shown: Any) -> None:
    outside = shown.value(
        """[...document.querySelectorAll('.lineage svg[role=img] .node-name, .lineage .node-id, .lineage .node-detail')]
           .filter(text => ![...document.querySelectorAll('.lineage rect.box')].some(box => {
             const a = text.getBoundingClientRect(), b = box.getBoundingClientRect()
             return a.left >= b.left && a.right <= b.right && a.top >= b.top - 1 && a.bottom <= b.bottom + 1
           })).map(text => text.textContent)"""
    )

    assert outside == []


def test_every_role_shows_its_verdict_in_words(shown: Any) -> None:
    seen = shown.value(
        """[...document.querySelectorAll('.roles tbody .pill')].filter(it => {
             const box = it.getBoundingClientRect(), row = it.closest('tr').getBoundingClientRect()
             return it.checkVisibility() && box.top >= row.top && box.bottom <= row.bottom && box.left >= 0
           }).map(it => it.innerText)"""
    )

    assert len(seen) == 9
    assert set(seen) == {"use", "can wait", "not needed", "no tool is left"}


def test_a_reader_of_the_accessibility_tree_finds_headings_names_and_labels(shown: Any) -> None:
    assert shown.value("document.documentElement.lang") == "en"
    assert shown.value("document.querySelectorAll('h1').length") == 1
    assert shown.value("document.querySelector('a').getAttribute('href')") == "#main"
    levels = shown.value("[...document.querySelectorAll('h1, h2, h3, h4, h5, h6')].map(it => +it.tagName[1])")
    assert all(later - earlier <= 1 for earlier, later in pairwise(levels))
    tree = shown.ask("Accessibility.getFullAXTree")["nodes"]
    pictures = [node for node in tree if node.get("role", {}).get("value") == "image"]
    assert len(pictures) >= 8
    assert all(node["name"]["value"] for node in pictures)
    tables = [node for node in tree if node.get("role", {}).get("value") == "table"]
    assert len(tables) >= 3, "also where the narrow style shows rows as cards"


def test_axe_finds_no_fault(shown: Any, violations: Callable[[Any], list[str]]) -> None:
    shown.value("document.querySelectorAll('details').forEach(it => { it.open = true })")

    assert violations(shown) == []


def test_ids_are_unique_and_every_reference_leads_somewhere(shown: Any) -> None:
    ids = shown.value("[...document.querySelectorAll('[id]')].map(it => it.id)")
    named = shown.value(
        """[...document.querySelectorAll('[aria-labelledby]')]
           .flatMap(it => it.getAttribute('aria-labelledby').split(' '))
           .concat([...document.querySelectorAll('a[href^="#"]')].map(it => it.getAttribute('href').slice(1)))"""
    )

    assert len(ids) == len(set(ids))
    assert set(named) <= set(ids)


def test_every_table_says_what_its_headings_head(shown: Any) -> None:
    assert shown.value("document.querySelectorAll('th').length") > 20
    assert shown.value("document.querySelectorAll('th:not([scope])').length") == 0


def test_boxes_that_scroll_can_be_reached_with_the_keyboard_and_have_a_name(shown: Any) -> None:
    boxes = shown.value(
        "[...document.querySelectorAll('.scroll')].map(it => [it.tabIndex, it.getAttribute('aria-label')])"
    )

    assert boxes
    assert all(index == 0 and label for index, label in boxes)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_a_contrast_of_at_least_four_and_a_half(
    browser: Any, contrast: Contrast, report: str, scheme: str
) -> None:
    browser.show(width=DESKTOP, scheme=scheme)
    browser.open(report)
    browser.value("document.querySelectorAll('details').forEach(it => { it.open = true })")
    texts = browser.value(
        """[...document.querySelectorAll('body *')].filter(it => it.checkVisibility()
             && [...it.childNodes].some(child => child.nodeType === 3 && child.textContent.trim()))
           .map(it => {
             let behind = it, paper = ''
             while (behind && (!paper || paper === 'rgba(0, 0, 0, 0)')) {
               paper = getComputedStyle(behind).backgroundColor
               behind = behind.parentElement
             }
             const style = getComputedStyle(it)
             const ink = it instanceof SVGTextElement ? style.fill : style.color
             return [ink, paper, it.textContent.trim().slice(0, 40)]
           })"""
    )

    poor = {(ink, paper, text) for ink, paper, text in texts if contrast(ink, paper) < 4.5}

    assert len(texts) > 200
    assert poor == set()


def test_printed_it_is_dark_on_white_and_shows_what_was_folded(browser: Any, report: str) -> None:
    browser.show(width=794, scheme="dark", media="print")
    browser.open(report)

    assert browser.value("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert browser.value("document.querySelector('nav').checkVisibility()") is False
    assert browser.value("document.querySelector('.way li').checkVisibility({contentVisibilityAuto: true})")
    assert browser.value("document.documentElement.scrollWidth <= 794")
    browser.show(width=DESKTOP)
