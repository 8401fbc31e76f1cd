"""decision.html: what it says, that it is safe, and that nothing is missing."""

import json
import re
import runpy
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackproof.roles import ROLES
from stackproof.usecases.decision_page import decision_page, wording
from stackproof.usecases.decision_page.bars import bar
from stackproof.usecases.decision_page.criteria import caution
from stackproof.usecases.decision_page.rendering import headline
from stackproof.usecases.decision_page.sources import Sources, linked
from stackproof.usecases.decision_page.stack_picture import linked_roles
from stackproof.usecases.decision_page.what_if import other_answers
from stackproof.usecases.pages.html import VOID, Html, joined, tag

SAMPLE = runpy.run_path(str(Path(__file__).with_name("decision_sample.py")))
DECISIONS = runpy.run_path(str(Path(__file__).with_name("odd_decisions.py")))["decisions"]()
MOST_BYTES = 400_000


class Reader(HTMLParser):
    """What a browser would make of the page: its elements, its text, and whether every element is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.wrong: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("script", "style"):
            self.words.append(data)


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    return reader


def drawn(name: str) -> str:
    return decision_page(DECISIONS[name], names=SAMPLE["NAMES"], pairs=SAMPLE["PAIRS"])


@pytest.fixture(scope="module")
def page() -> str:
    return drawn("full")


@pytest.fixture(scope="module")
def words(page: str) -> str:
    return re.sub(r"\s+", " ", " ".join(read(page).words))


# ------------------------------------------------------------ the whole page


@pytest.mark.parametrize("name", DECISIONS)
def test_every_element_is_closed_and_ids_are_unique(name: str) -> None:
    found = read(drawn(name))
    ids = [attributes["id"] for _, attributes in found.elements if "id" in attributes]

    assert found.wrong == []
    assert found.open == []
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("name", DECISIONS)
def test_every_link_inside_leads_somewhere_and_every_label_exists(name: str) -> None:
    elements = read(drawn(name)).elements
    ids = {attributes["id"] for _, attributes in elements if "id" in attributes}
    inside = {(a.get("href") or "")[1:] for _, a in elements if (a.get("href") or "").startswith("#")}
    labels = {label for _, a in elements for label in (a.get("aria-labelledby") or "").split()}

    assert inside <= ids
    assert labels <= ids


@pytest.mark.parametrize("name", DECISIONS)
def test_nothing_is_loaded_from_elsewhere(name: str) -> None:
    elements = read(drawn(name)).elements

    assert [a for t, a in elements if t in ("img", "iframe", "object") or "src" in a or "srcset" in a] == []
    assert [a["href"] for t, a in elements if t == "link"] == ["data:,"]
    assert {(a["href"] or "").partition(":")[0] for t, a in elements if t == "a" and ":" in (a["href"] or "")} <= {
        "https"
    }


def test_texts_from_overlays_and_answers_stay_texts() -> None:
    found = read(drawn("nasty"))

    assert sum(tag == "script" for tag, _ in found.elements) == 2, "the data and the script of the page"
    assert not any(name.startswith("on") for _, attributes in found.elements for name in attributes)
    assert any('<script>alert("x")</script>' in word for word in found.words)
    assert "\x07" not in drawn("nasty")
    assert "\u202e" not in drawn("nasty"), "no text turns the direction of what follows"


def test_only_the_script_of_the_page_may_run(page: str) -> None:
    policy = next(a["content"] for t, a in read(page).elements if t == "meta" and "http-equiv" in a)

    assert policy is not None
    assert "default-src 'none'" in policy
    assert re.search(r"script-src 'sha256-[A-Za-z0-9+/]{43}='", policy)


def test_the_data_of_the_script_cannot_end_its_element() -> None:
    inert = re.search(r'id="what-if-data">(.*?)</script>', drawn("nasty"), re.DOTALL)

    assert inert is not None
    assert "<" not in inert.group(1)
    told = " ".join(one["told"] for one in json.loads(inert.group(1)))
    assert "<script>alert" in told


def test_the_page_is_small_and_the_same_for_the_same_decision(page: str) -> None:
    assert len(page.encode()) < MOST_BYTES
    assert drawn("full") == page


# ------------------------------------------------------------ what it says


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (
            {"python": "3.12", "together": True, "conflict": None, "tools": {}, "unasked": []},
            "Yes: one environment with",
        ),
        ({"python": "3.12", "together": None, "conflict": None, "tools": {}, "unasked": ["git"]}, "Not asked: git."),
    ],
)
def test_it_says_whether_the_packages_install_together(found: dict[str, object], said: str) -> None:
    assert said in " ".join(read(decision_page(replace(DECISIONS["full"], resolution=found))).words)
    assert "install together" not in drawn("bare"), "nobody asked"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("full", "Six roles use a tool, two can wait, one is not needed"),
        ("bare", "One role has no tool left, one role uses a tool"),
    ],
)
def test_the_verdict_is_one_sentence(name: str, said: str) -> None:
    assert headline(DECISIONS[name]) == said
    assert said in " ".join(read(drawn(name)).words)


def test_every_role_has_a_box_in_both_pictures_a_row_and_a_part(page: str) -> None:
    elements = read(page).elements
    boxes = [a["data-role"] for _, a in elements if "role-box" in (a.get("class") or "")]
    rows = [a["data-role"] for t, a in elements if t == "tr" and "data-role" in a]

    assert sorted(boxes) == sorted([*ROLES, *ROLES])
    assert rows == list(ROLES)
    assert {f"role-{role}" for role in ROLES} <= {a.get("id") for t, a in elements if t == "article"}


def test_a_decision_for_some_roles_draws_no_half_picture() -> None:
    assert "role-box" not in drawn("bare").partition("</style>")[2].partition("<script")[0]


@pytest.mark.parametrize(
    "said",
    [
        "MLflow", "Weights & Biases", "as of", "21 November 2026", "$11,400 to $28,320",
        "of 48\u00a0h that people can give",
        "basic", "weight 8", "unknown", "the budget is below $1,000 a year", "measured: 4,100 writes a second",
        "Not counted: Audit and access control (no audit is asked for).", "It scores 0.24 less", "Closest call",
        "It is discontinued since 2026-03-05", "Its server has no access control", "If Weights & Biases were free",
        "Replace each SummaryWriter by mlflow.log_metric", "2 to 5 days", "Somebody else runs what would be a server",
        "A single server costs 50 to 200 dollars a month", "Grafana draws what Prometheus stores",
        "the third, which argues it",
        "MLflow and Optuna can’t be in one environment. mlflow needs numpy<3", "Not asked: Grafana.",
        "use_case.latency_ms", "sha256:77ab01cd", "It can wait until 10 models are in production",
    ],
)  # fmt: skip
def test_what_the_decision_says_is_on_the_page(said: str, words: str) -> None:
    assert re.sub(r"\s+", " ", said) in words.replace(" , ", ", ")


def test_every_source_is_listed_once_and_addresses_are_links(page: str) -> None:
    listed = re.search(r'<ol class="sources">(.*?)</ol>', page, re.DOTALL)

    assert listed is not None
    entries = re.findall(r"<li.*?</li>", listed.group(1))
    assert len(entries) == len(set(entries)) > 15
    assert '<a href="https://example.org/neptune/transition">' in listed.group(1)


def test_the_table_of_other_answers_says_what_the_toggles_show(page: str) -> None:
    found = other_answers(DECISIONS["full"])
    table = page.partition('id="what-if-table"')[2].partition("</details>")[0]
    toggles = [a["value"] for t, a in read(page).elements if t == "input" and a.get("name") == "what-if"]

    assert toggles == ["", *(toggles[1:])]
    assert sorted(toggles[1:], key=lambda value: int(value or -1)) == [str(number) for number in range(len(found))]
    assert table.count("<tr>") == len(found) + 1
    assert "Weights &amp; Biases instead of MLflow" in table
    assert "Feast instead of waiting" in table


def test_answers_that_change_several_roles_are_gathered_and_come_first() -> None:
    first = other_answers(DECISIONS["full"])[0]

    assert first.key == "needs.collaboration"
    assert [(role, flip.tool) for role, flip in first.changes] == [("tracking", "wandb"), ("monitoring", "grafana")]


def test_two_values_of_one_answer_are_two_toggles() -> None:
    models = [one.after for one in other_answers(DECISIONS["full"]) if one.key == "use_case.models_in_production"]

    assert models == [12, 60]


def test_where_nothing_would_change_a_pick_there_are_no_toggles() -> None:
    good = DECISIONS["full"]
    still = {role: replace(choice, flips=()) for role, choice in good.roles.items()}
    page = decision_page(replace(good, roles=still))

    assert not any(attributes.get("id") in ("what-if", "what-if-table") for _, attributes in read(page).elements)


def test_only_tools_that_are_both_chosen_and_work_together_are_linked() -> None:
    found = {link.pair.tools: link.roles for link in linked_roles(DECISIONS["full"], SAMPLE["PAIRS"])}

    assert found[("optuna", "mlflow")] == ("tuning", "tracking")
    assert found[("prometheus", "grafana")] == ("monitoring", "monitoring")
    assert ("dvc", "mlflow") not in found, "they overlap, and one is not chosen"
    assert ("airflow", "kserve") not in found


# ------------------------------------------------------------ the pieces


@given(st.text())
def test_text_comes_back_from_an_element_as_it_went_in_save_for_what_no_page_may_hold(content: str) -> None:
    found = read(tag("p", content, title=content))

    assert [name for name, _ in found.elements] == ["p"]
    assert found.wrong == []
    kept = "".join(letter for letter in content if letter >= " " and not "\u202a" <= letter <= "\u202e")
    assert set("".join(found.words)) <= set(kept) | set("\n\t\ufffd") | set(content)


def test_html_is_not_escaped_twice_and_text_always_once() -> None:
    inner = tag("b", "a & b")

    assert tag("p", inner, " < ") == "<p><b>a &amp; b</b> &lt; </p>"
    assert joined([inner, "<", None]) == "<b>a &amp; b</b>&lt;"
    assert isinstance(joined([]), Html)
    assert tag("input", checked=True, hidden=False, value="0", class_=None) == '<input checked value="0">'


@pytest.mark.parametrize(
    ("source", "addresses"),
    [
        ("000_1ff43e1cb122fd45.txt: Cost", []),
        ("javascript:alert(1)", []),
        ("read at https://a.example/x?b=1&c=2, then (https://b.example/y).", ["https://a.example/x?b=1&c=2", "https://b.example/y"]),
        ("https://a.example/\"onclick='x'", ["https://a.example/"]),
    ],
)  # fmt: skip
def test_web_addresses_become_links_and_nothing_else_does(source: str, addresses: list[str]) -> None:
    found = read(linked(source))

    assert [attributes["href"] for name, attributes in found.elements if name == "a"] == addresses
    assert "".join(found.words) == source


def test_a_source_keeps_its_number_and_no_source_has_none() -> None:
    sources = Sources()

    assert sources.cite("one") == sources.cite("one")
    assert sources.cite("two") != sources.cite("one")
    assert sources.cite(" ") is None
    assert len(sources) == 2


@given(st.floats(-10, 1e7), st.floats(-10, 1e7), st.floats(-1, 1e7))
def test_a_bar_never_leaves_its_scale(one: float, other: float, top: float) -> None:
    shares = [float(share) for share in re.findall(r":([0-9.e+-]+)%", bar((min(one, other), max(one, other)), top=top))]

    assert shares == sorted(shares)
    assert all(0 <= share <= 100 for share in shares)


def test_the_mark_of_a_bar_lies_where_the_score_lies_in_its_interval() -> None:
    assert caution(SAMPLE["GOOD"]) == pytest.approx(SAMPLE["CAUTION"], abs=0.01)
    assert caution(replace(SAMPLE["GOOD"], interval=(0.5, 0.5), score=0.5)) == 0.0


@pytest.mark.parametrize(
    ("value", "said"),
    [(True, "yes"), ((), "none"), (("a", "b"), "a, b"), (10000, "10,000"), (None, "none"), ("central", "central")],
)
def test_answers_are_told_as_a_person_would(value: object, said: str) -> None:
    assert wording.answer(value) == said


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("use_case.models_in_production", "Models in production"),
        ("priorities.tracking", "First job of tracking"),
        ("current.serving", "In use today for serving"),
        ("odd", "Odd"),
    ],
)
def test_questions_are_told_in_words(key: str, said: str) -> None:
    assert wording.question(key) == said


@pytest.mark.parametrize(
    ("amount", "said"), [((600.0, 2400.0), "$600 to $2,400"), ((0.0, 0.0), "$0"), (None, "not priced")]
)
def test_amounts_are_ranges(amount: tuple[float, float] | None, said: str) -> None:
    assert wording.usd(amount) == said
