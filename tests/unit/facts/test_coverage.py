"""Every statement of the sources is carried by something, or says why not; and the check of it can fail."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackproof.facts.coverage import (
    Place,
    Section,
    Statement,
    coverage_page,
    left_over,
    read_documents,
    read_sections,
    read_statements,
    sections_of,
    split_source,
    stale,
    twice,
    undecided,
    unresolved,
)
from stackproof.facts.loader import SHIPPED, load_facts

Documents = Mapping[str, Mapping[str, Any]]
ROOT = Path(__file__).parents[3]
SOURCES = Path(os.environ.get("STACKPROOF_SOURCES", ROOT.parent / "shared" / "sources"))
STATEMENTS = read_statements(SHIPPED / "statements")
MADE_UP = """\
# A guide

It begins with a sentence. Has it a second one? Yes, vs. Nothing else.

## Choosing

**For everybody:**
- Take the red one
- Take the blue one

| Kind | Price |
|------|-------|
| Red | 1 |

```
Which?
│
└─ The red one
```

```bash
buy red
```

**Best For**: those who like red
"""


def a_statement(line: int, part: int = 0, *, carried_by: tuple[str, ...] = (), not_carried: str = "") -> Statement:
    return Statement("guide.txt", line, part, "says something", carried_by, not_carried, "made-up.toml")


@pytest.fixture(scope="module")
def documents() -> Documents:
    return read_documents(SHIPPED)


@pytest.fixture(scope="module")
def texts() -> Mapping[str, str]:
    found = {file.name: file.read_text("utf-8") for file in sorted(SOURCES.glob("00[0-3]_*.txt"))}
    if not found:
        pytest.skip("the source documents are not shipped: name their folder in STACKPROOF_SOURCES")
    return found


def named(statements: list[Statement]) -> list[str]:
    return [f"{statement.file}: {statement.source}, {statement.place}" for statement in statements]


def test_a_source_is_split_into_the_lines_and_sentences_that_say_something() -> None:
    assert [(place.line, place.part) for place in split_source(MADE_UP)] == [
        *[(3, 1), (3, 2), (3, 3)],
        *[(8, 0), (9, 0), (13, 0), (16, 0), (18, 0), (25, 0)],
    ]
    assert split_source(MADE_UP)[2].words == "Yes, vs. Nothing else."


def test_headings_are_sections_and_a_bold_label_is_none() -> None:
    assert sections_of(MADE_UP, "guide.txt") == [Section("guide.txt", 5, "Choosing")]


@given(st.lists(st.from_regex(r"- [A-Za-z0-9 ]{1,20}[a-z]", fullmatch=True), max_size=8))
def test_every_bullet_needs_an_entry(bullets: list[str]) -> None:
    assert [place.line for place in split_source("\n".join(bullets))] == list(range(1, len(bullets) + 1))


def test_a_statement_that_nothing_covers_is_left_over() -> None:
    text = "- one\n- two\n"
    covered = [a_statement(1, not_carried="made up")]
    assert left_over(covered, {"guide.txt": text}) == [("guide.txt", Place(2, 0, "- two"))]
    assert left_over([*covered, a_statement(2, not_carried="made up")], {"guide.txt": text}) == []


def test_a_sentence_is_not_covered_by_an_entry_for_its_whole_line() -> None:
    text = "It is red. It is cheap."
    assert [place.part for _, place in left_over([a_statement(1, not_carried="made up")], {"guide.txt": text})] == [
        1,
        2,
    ]


def test_an_entry_for_a_place_that_does_not_exist_is_stale() -> None:
    real, gone, sentence = a_statement(1), a_statement(7), a_statement(1, 2)
    assert stale([real, gone, sentence], {"guide.txt": "- one\n"}) == [gone, sentence]
    assert stale([gone], {}) == []


def test_two_entries_for_one_place_are_found() -> None:
    first, second, other = a_statement(1), a_statement(1), a_statement(1, 1)
    assert twice([first, second, other]) == [first, second]


def test_an_entry_with_both_or_neither_of_carrier_and_reason_is_undecided() -> None:
    both, neither = a_statement(1, carried_by=("proofs",), not_carried="made up"), a_statement(2)
    assert undecided([both, neither, a_statement(3, carried_by=("proofs",))]) == [both, neither]


@pytest.mark.parametrize(
    "reference",
    [
        "trees/tracking.toml#no-such-branch",
        "trees/no-such-role.toml",
        "tools/mlflow.toml#ratings.no-such-criterion",
        "tools/mlflow.toml#",
        "contradictions.toml#0",
        "no-such-word",
        "",
    ],
)
def test_a_reference_to_nothing_is_unresolved(reference: str, documents: Documents) -> None:
    statement = a_statement(1, carried_by=(reference,))
    assert unresolved(documents, [statement]) == [(statement, reference)]


@pytest.mark.parametrize(
    "reference",
    [
        "proofs",
        "tools/mlflow.toml",
        "tools/mlflow.toml#facts.status",
        "trees/tracking.toml#open-source",
        "trees/monitoring.toml#aspects.drift",
        "questions.toml#organization.people",
        "contradictions.toml#1",
        "stacks.toml#minimal",
        "migrations/tracking.toml#tensorboard-mlflow",
    ],
)
def test_each_form_of_reference_resolves(reference: str, documents: Documents) -> None:
    assert unresolved(documents, [a_statement(1, carried_by=(reference,))]) == []


def test_every_reference_of_the_shipped_statements_names_something(documents: Documents) -> None:
    found = unresolved(documents, STATEMENTS)
    assert [f"{s.file}: {s.source}, {s.place}: {reference}" for s, reference in found] == []


def test_every_shipped_statement_is_carried_or_says_why_not() -> None:
    assert STATEMENTS
    assert named(undecided(STATEMENTS)) == []


def test_no_place_of_a_source_has_two_shipped_statements() -> None:
    assert named(twice(STATEMENTS)) == []


def test_no_statement_of_a_source_is_left_over(texts: Mapping[str, str]) -> None:
    assert [f"{source}, line {place.line}.{place.part}" for source, place in left_over(STATEMENTS, texts)] == []


def test_every_shipped_statement_stands_at_a_place_of_its_source(texts: Mapping[str, str]) -> None:
    assert named(stale(STATEMENTS, texts)) == []


def test_the_shipped_sections_are_the_headings_of_the_sources(texts: Mapping[str, str]) -> None:
    headings = [section for source, text in texts.items() for section in sections_of(text, source)]
    assert read_sections(SHIPPED / "statements") == headings


def test_no_shipped_statement_repeats_a_sentence_of_a_source(texts: Mapping[str, str]) -> None:
    sentences = {
        (source, place.line, place.part): place.words.strip(" -.?│├└─")
        for source, text in texts.items()
        for place in split_source(text)
    }
    repeated = [
        f"{s.source}, {s.place}: {s.says}"
        for s in STATEMENTS
        if len(s.says.split()) > 5 and s.says.strip(".") == sentences.get((s.source, s.line, s.part))
    ]
    assert repeated == []


def test_the_page_counts_and_lists_what_carries_each_statement() -> None:
    carried = a_statement(3, 2, carried_by=("proofs", "stacks.toml#minimal"))
    page = coverage_page(
        [carried, a_statement(9, not_carried="below < or | above")],
        [Section("guide.txt", 5, "Choosing")],
        {"guide.txt": "A guide"},
    )
    assert "| A guide (`guide.txt`) | 2 | 1 | 1 |" in page
    assert "| line 3, sentence 2 | says something | `proofs`, `stacks.toml#minimal` |" in page
    assert "| line 9 | says something | not carried: below &lt; or \\| above |" in page
    assert page.index("### Opening") < page.index("line 3") < page.index("### Choosing") < page.index("line 9")


def test_the_page_in_the_docs_is_current() -> None:
    titles = {source.file: source.title for source in load_facts().sources.values()}
    page = coverage_page(STATEMENTS, read_sections(SHIPPED / "statements"), titles)
    written = (ROOT / "docs" / "reference" / "sources.md").read_text("utf-8")
    assert written.endswith(page), "the page is stale. Next: make docs"
