"""proofs.html in a real browser."""

import datetime
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from stackproof.prove.verdict import compare
from stackproof.roles.proof import Conformance, Figure, Proof
from stackproof.usecases.proof_page.page import write_page
from stackproof.usecases.prove import Outcome

pytestmark = pytest.mark.services

PHONE, DESKTOP = 390, 1280
AT = datetime.datetime(2026, 11, 21, 10, tzinfo=datetime.UTC)
HOSTILE = "a<script>alert(1)</script>\u202e" + "x" * 80


def proof(tool: str, factor: float, *, correct: bool = True) -> Proof:
    figures = (
        Figure("points_written", "1/s", (1000 * factor, 1100 * factor, 1200 * factor)),
        Figure("durable_call_p99", "ms", (30 / factor, 31 / factor, 55 / factor)),
        Figure("peak_memory", "MB", (20 * factor,)),
        Figure("recovered", "1", (40.0,)),
        Figure("load", "processes", (1.5,)),
    )
    machine = {"name": "build-7", "cores": "2"}
    faults = () if correct else ("after SIGKILL 3 of 40 acknowledged points are gone",)
    suite = Conformance(60, {"test_x": HOSTILE}, {"test_y": "by design"}, {})
    return Proof(
        "tracking", tool, "runs and points, smoke", AT, machine, {tool: "1.0"}, "sha256:0", correct, faults, figures,
        ("registry",), {"test_y": "by design"}, suite, (HOSTILE,),
    )  # fmt: skip


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Three candidates: one of ours, one that is wrong, one with a hostile name; and a role with a single one."""
    proofs = (proof("embedded", 1.0), proof("mlflow", 3.0, correct=False), proof(HOSTILE, 0.01))
    alone = (replace(proof("dvc", 1.0), role="versioning", figures=()),)
    outcomes = [Outcome("tracking", proofs, tuple(compare(proofs))), Outcome("versioning", alone, ())]
    return write_page(outcomes, tmp_path_factory.mktemp("proofs") / "proofs.html").as_uri()


@pytest.fixture(params=[(PHONE, "light"), (PHONE, "dark"), (DESKTOP, "light"), (DESKTOP, "dark")], ids=str)
def shown(request: pytest.FixtureRequest, browser: Any, page: str) -> Any:
    width, scheme = request.param
    browser.show(width=width, scheme=scheme)
    browser.open(page)
    browser.value("document.querySelectorAll('details').forEach(it => { it.open = true })")
    return browser


def test_axe_finds_no_fault(shown: Any, violations: Callable[[Any], list[str]]) -> None:
    assert violations(shown) == []


def test_it_asks_for_nothing_says_nothing_and_is_no_wider_than_the_screen(shown: Any, page: str) -> None:
    assert shown.asked_for() == [page]
    assert shown.told() == []
    assert shown.value("document.documentElement.scrollWidth <= innerWidth")


def test_no_text_of_a_chart_leaves_its_chart_or_covers_another(shown: Any) -> None:
    wrong = shown.value(
        """[...document.querySelectorAll('svg.picture')].flatMap(svg => {
             const frame = svg.getBoundingClientRect()
             const boxes = [...svg.querySelectorAll('text')].map(it => [it.textContent, it.getBoundingClientRect()])
             const outside = ([, b]) => b.left < frame.left - 1 || b.right > frame.right + 1
             const beside = (b, c) => b.left > c.right - 1 || c.left > b.right - 1
             const apart = (b, c) => beside(b, c) || b.top > c.bottom - 3 || c.top > b.bottom - 3
             const over = boxes.flatMap(([text, b], i) =>
               boxes.slice(i + 1).filter(([, c]) => !apart(b, c)).map(([other]) => `${text} over ${other}`))
             return [...boxes.filter(outside).map(([text]) => text), ...over]
           })"""
    )
    assert wrong == []


def test_every_candidate_has_the_same_colour_and_a_wrong_one_is_hollow(shown: Any) -> None:
    fills = shown.value(
        "[...document.querySelectorAll('svg.picture')].map(svg => [...svg.querySelectorAll('.bar')]"
        ".map(it => getComputedStyle(it).fill))"
    )
    assert fills
    for first, wrong, third in fills:
        assert first == third != "none"
        assert wrong == "none"


def test_a_bar_is_as_long_as_its_value(browser: Any, page: str) -> None:
    browser.show(width=DESKTOP)
    browser.open(page)
    widths = browser.value(
        "[...document.querySelector('svg.picture').querySelectorAll('.bar')].map(it => it.width.baseVal.value)"
    )
    assert widths[1] / widths[0] == pytest.approx(3, rel=0.02)


def test_on_paper_nothing_is_cut_off(browser: Any, page: str) -> None:
    browser.show(width=800, media="print")
    browser.open(page)
    assert browser.value("document.documentElement.scrollWidth <= innerWidth")
    browser.show(width=DESKTOP)
