"""The report in a real browser: Chromium without a window, spoken to through its debugging pipe."""

import json
import os
import runpy
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from stackproof.usecases.report_page.rendering import render

pytestmark = pytest.mark.services

PHONE, DESKTOP = 390, 1280
SAMPLE = Path(__file__).parents[1] / "unit" / "usecases" / "report_sample.py"


@dataclass
class Browser:
    """One page of a browser. `events`: what the browser told meanwhile, by method."""

    commands: int
    answers: int
    session: str = ""
    events: list[dict[str, Any]] = field(default_factory=list)
    _asked: int = 0
    _rest: bytes = b""

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        self._asked += 1
        message = {"id": self._asked, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.commands, json.dumps(message).encode() + b"\0")
        while True:
            heard = self._hear()
            if heard.get("id") == self._asked:
                assert "error" not in heard, heard
                return heard["result"]
            self.events.append(heard)

    def _hear(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            part = os.read(self.answers, 1 << 16)
            assert part, "the browser ended"
            self._rest += part
        line, _, self._rest = self._rest.partition(b"\0")
        return json.loads(line)

    def open(self, url: str) -> None:
        self.events.clear()
        self.ask("Page.navigate", url=url)
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._hear())

    def show(self, *, width: int, height: int = 844, scheme: str = "light", media: str = "") -> None:
        self.ask(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        self.ask(
            "Emulation.setEmulatedMedia", media=media, features=[{"name": "prefers-color-scheme", "value": scheme}]
        )

    def value(self, expression: str) -> Any:
        result = self.ask("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")


@contextmanager
def chromium(profile: Path) -> Iterator[Browser]:
    """A browser that is spoken to through two pipes, which it expects as files 3 and 4."""
    ours_in, theirs_out = os.pipe()
    theirs_in, ours_out = os.pipe()
    command = (
        f"exec chromium --headless --no-sandbox --disable-gpu --no-first-run --remote-debugging-pipe"
        f' --disable-background-networking --user-data-dir="{profile}" 3<&{theirs_in} 4>&{theirs_out}'
    )
    process = subprocess.Popen(
        ["bash", "-c", command], pass_fds=(theirs_in, theirs_out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    os.close(theirs_in)
    os.close(theirs_out)
    browser = Browser(ours_out, ours_in)
    try:
        target = browser.ask("Target.createTarget", url="about:blank")["targetId"]
        browser.session = browser.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            browser.ask(f"{domain}.enable")
        yield browser
    finally:
        os.close(ours_out)
        os.close(ours_in)
        process.terminate()
        process.wait(timeout=20)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if shutil.which("chromium") is None:
        pytest.skip("chromium is not installed: bash tests/services.sh installs it")
    with chromium(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a report with every part in it."""
    file = tmp_path_factory.mktemp("report") / "report.html"
    file.write_text(render(runpy.run_path(str(SAMPLE))["sample_page"]()), encoding="utf-8")
    return file.as_uri()


@pytest.fixture(params=[(PHONE, "light"), (PHONE, "dark"), (DESKTOP, "light"), (DESKTOP, "dark")], ids=str)
def shown(request: pytest.FixtureRequest, browser: Browser, report: str) -> Browser:
    width, scheme = request.param
    browser.show(width=width, scheme=scheme)
    browser.open(report)
    return browser


def test_the_browser_logs_nothing_and_asks_for_nothing_but_the_page(shown: Browser, report: str) -> None:
    told = [event for event in shown.events if event["method"] in ("Log.entryAdded", "Runtime.consoleAPICalled")]
    thrown = [event for event in shown.events if event["method"] == "Runtime.exceptionThrown"]
    asked = [e["params"]["request"]["url"] for e in shown.events if e["method"] == "Network.requestWillBeSent"]

    assert told == []
    assert thrown == []
    assert [url for url in asked if not url.startswith("data:")] == [report]


def test_the_page_never_scrolls_sideways(shown: Browser) -> None:
    inside = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"

    assert shown.value(inside)
    shown.value("document.querySelectorAll('details').forEach(it => { it.open = true })")
    assert shown.value(inside), "with every detail open"


def test_nothing_sticks_out_of_the_page_but_inside_boxes_that_scroll(shown: Browser) -> None:
    sticking_out = shown.value(
        """[...document.querySelectorAll('main *, header *, footer *')]
           .filter(it => !it.closest('.scroll') && it.getBoundingClientRect().right > innerWidth + 1)
           .map(it => it.outerHTML.slice(0, 80))"""
    )

    assert sticking_out == []


def test_no_two_texts_of_a_picture_overlap(shown: Browser) -> None:
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


def test_the_texts_of_the_lineage_stay_inside_their_boxes(shown: Browser) -> None:
    outside = shown.value(
        """[...document.querySelectorAll('.lineage svg[role=img] .node-name, .lineage .node-id, .lineage .node-detail')]
           .filter(text => ![...document.querySelectorAll('.lineage rect.box')].some(box => {
             const a = text.getBoundingClientRect(), b = box.getBoundingClientRect()
             return a.left >= b.left && a.right <= b.right && a.top >= b.top - 1 && a.bottom <= b.bottom + 1
           })).map(text => text.textContent)"""
    )

    assert outside == []


def test_every_role_shows_its_verdict_in_words(shown: Browser) -> None:
    seen = shown.value(
        """[...document.querySelectorAll('.roles tbody .pill')].filter(it => {
             const box = it.getBoundingClientRect(), row = it.closest('tr').getBoundingClientRect()
             return it.checkVisibility() && box.top >= row.top && box.bottom <= row.bottom && box.left >= 0
           }).map(it => it.innerText)"""
    )

    assert len(seen) == 9
    assert set(seen) == {"use", "can wait", "not needed", "no tool is left"}


def test_a_reader_of_the_accessibility_tree_finds_headings_names_and_labels(shown: Browser) -> None:
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


def test_ids_are_unique_and_every_reference_leads_somewhere(shown: Browser) -> None:
    ids = shown.value("[...document.querySelectorAll('[id]')].map(it => it.id)")
    named = shown.value(
        """[...document.querySelectorAll('[aria-labelledby]')]
           .flatMap(it => it.getAttribute('aria-labelledby').split(' '))
           .concat([...document.querySelectorAll('a[href^="#"]')].map(it => it.getAttribute('href').slice(1)))"""
    )

    assert len(ids) == len(set(ids))
    assert set(named) <= set(ids)


def test_every_table_says_what_its_headings_head(shown: Browser) -> None:
    assert shown.value("document.querySelectorAll('th').length") > 20
    assert shown.value("document.querySelectorAll('th:not([scope])').length") == 0


def test_boxes_that_scroll_can_be_reached_with_the_keyboard_and_have_a_name(shown: Browser) -> None:
    boxes = shown.value(
        "[...document.querySelectorAll('.scroll')].map(it => [it.tabIndex, it.getAttribute('aria-label')])"
    )

    assert boxes
    assert all(index == 0 and label for index, label in boxes)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_a_contrast_of_at_least_four_and_a_half(browser: Browser, report: str, scheme: str) -> None:
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


def test_printed_it_is_dark_on_white_and_shows_what_was_folded(browser: Browser, report: str) -> None:
    browser.show(width=794, scheme="dark", media="print")
    browser.open(report)

    assert browser.value("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert browser.value("document.querySelector('nav').checkVisibility()") is False
    assert browser.value("document.querySelector('.way li').checkVisibility({contentVisibilityAuto: true})")
    assert browser.value("document.documentElement.scrollWidth <= 794")
    browser.show(width=DESKTOP)


def contrast(one: str, other: str) -> float:
    """The contrast of two colours as WCAG 2 defines it, from 1 to 21."""
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    channels = [int(part) / 255 for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    red, green, blue = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
