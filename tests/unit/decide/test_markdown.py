"""decision.md: an architecture decision record that a team can commit and sign."""

import re
import runpy
from dataclasses import replace
from pathlib import Path

import pytest

from stackproof.decide.markdown import decision_record, plain

SAMPLES = Path(__file__).parents[1] / "usecases"
SAMPLE = runpy.run_path(str(SAMPLES / "decision_sample.py"))
ODD = runpy.run_path(str(SAMPLES / "odd_decisions.py"))
HEADINGS = [
    "## Context and Problem Statement",
    "## Decision Drivers",
    "## Considered Options",
    "## Decision Outcome",
    "### Consequences",
    "### Confirmation",
    "## Pros and Cons of the Options",
    "## Cost",
    "## Other stacks",
    "## Migration",
    "## Do the packages install together?",
    "## What would change it",
    "## Where sources disagree",
    "## More Information",
    "## Signatures",
]


@pytest.fixture(scope="module")
def record() -> str:
    return decision_record(SAMPLE["sample_decision"](), names=SAMPLE["NAMES"])


def section(record: str, heading: str) -> str:
    """What stands between a heading and the next one of its level or above."""
    level = heading.partition(" ")[0]
    _, _, rest = record.partition(f"\n{heading}\n")
    return re.split(rf"\n#{{1,{len(level)}}} ", rest)[0]


def test_the_headings_are_those_of_the_form_in_its_order(record: str) -> None:
    found = [line for line in record.splitlines() if line in HEADINGS]

    assert found == HEADINGS


def test_the_front_matter_has_a_status_and_a_date_and_room_for_those_who_decide(record: str) -> None:
    front = record.split("---")[1]

    assert 'status: "proposed"' in front
    assert "date: 2026-11-21" in front
    assert "decision-makers: []" in front


def test_the_title_names_the_stack(record: str) -> None:
    titles = [line for line in record.splitlines() if line.startswith("# ")]

    assert len(titles) == 1
    assert "MLflow" in titles[0]
    assert "Evidently + Prometheus + Grafana" in titles[0]


def test_every_role_is_in_the_outcome_with_its_verdict(record: str) -> None:
    outcome = section(record, "## Decision Outcome")

    assert re.search(r"\| tracking \| use \| MLflow \| 0\.79 \(0\.76 to 0\.84\) \| 93% \|", outcome)
    assert re.search(r"\| features \| can wait \| - \|", outcome)
    assert re.search(r"\| automl \| not needed \| - \|", outcome)


def test_consequences_are_good_and_bad(record: str) -> None:
    consequences = section(record, "### Consequences")

    assert "* Good, because (tracking) Startup: MLflow" in consequences
    assert "* Bad, because (tracking) Its server has no access control" in consequences
    assert "* Neutral, because operating it takes 11 to 30 hours a month of about 48" in consequences


def test_more_hours_than_people_have_is_bad() -> None:
    record = decision_record(replace(SAMPLE["sample_decision"](), hours_available=12.0))

    assert "* Bad, because operating it takes 11 to 30 hours a month of about 12" in record


def test_the_options_have_their_scores_and_an_unknown_rating_is_called_unknown(record: str) -> None:
    options = section(record, "## Pros and Cons of the Options")

    assert "* Alternative Weights & Biases (0.55): It scores 0.24 less" in options
    assert "* Struck out Neptune (lifecycle): It is discontinued since 2026-03-05" in options
    assert re.search(r"\| Collaboration \| 4 \| basic \(0\.30 to 0\.50\) \| unknown \| excellent", options)


def test_the_cost_is_in_ranges_and_says_what_is_not_priced(record: str) -> None:
    bare = decision_record(ODD["bare_decision"]())

    assert "| Servers and storage | $600 | $2,400 |" in section(record, "## Cost")
    assert "| Three years | not priced | not priced |" in section(bare, "## Cost")


def test_it_says_what_would_change_it_and_how_to_get_there(record: str) -> None:
    assert "| needs.collaboration | some | central | tracking | Weights & Biases |" in record
    assert "### tracking: from TensorBoard to MLflow (2 to 5 days)\n\n1. Start a tracking server" in record


def test_there_is_room_to_sign(record: str) -> None:
    signatures = section(record, "## Signatures")

    assert "| Name | Role | Date | Accepted or rejected |" in signatures
    assert signatures.count("|  |  |  |  |") == 3


def test_the_documents_and_the_digest_of_the_facts_are_named(record: str) -> None:
    more = section(record, "## More Information")

    assert "sha256:77ab01cd" in more
    assert "002_0127a875f217fc52.txt" in more


def test_a_role_without_a_tool_says_why_and_what_is_cheapest_to_relax() -> None:
    record = decision_record(ODD["bare_decision"]())

    assert "| serving | no tool is left | - |" in record
    assert "Cheapest to relax: infrastructure.hosting" in record
    assert "## Migration" not in record, "a part with nothing to say is left out"


def test_every_table_has_as_many_cells_in_each_line(record: str) -> None:
    nasty = decision_record(ODD["nasty_decision"]())

    for text in (record, nasty):
        for table in re.findall(r"(?:^\|.*\|\n)+", text, flags=re.MULTILINE):
            widths = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
            assert len(widths) == 1, table


def test_nothing_in_a_text_is_read_as_markdown_or_html() -> None:
    record = decision_record(ODD["nasty_decision"]())

    assert "<script>" not in record.replace("\\<script\\>", "")
    assert "\n# heading" not in record
    assert "\x07" not in record
    assert [line for line in record.splitlines() if line.startswith("# ")] == [
        line for line in record.splitlines() if line.startswith("# The MLOps stack")
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [("a|b", "a\\|b"), ("two\nlines", "two lines"), ("- a list", "\\- a list"), ("plain 3.18", "plain 3.18")],
)
def test_a_text_stays_on_its_line_and_means_itself(text: str, said: str) -> None:
    assert plain(text) == said


def test_the_same_decision_gives_the_same_record(record: str) -> None:
    assert decision_record(SAMPLE["sample_decision"](), names=SAMPLE["NAMES"]) == record
