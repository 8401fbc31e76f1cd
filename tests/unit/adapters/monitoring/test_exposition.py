"""Pages follow the Prometheus text format, whatever names and texts are given."""

import math
import re

import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from stackproof.adapters.monitoring.exposition import page_of
from stackproof.errors import RefusedInput

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"'
NUMBER = r"(?:NaN|[+-]Inf|-?\d+(?:\.\d+)?(?:e[+-]\d+)?)"
SAMPLE = re.compile(rf"({NAME})(?:\{{({LABEL}(?:,{LABEL})*)\}})? ({NUMBER})")
HELP = re.compile(rf"# HELP ({NAME}) (?:[^\\\n]|\\[\\n])*")
TYPE = re.compile(rf"# TYPE ({NAME}) gauge")

texts = st.text(max_size=12)


@given(value=st.floats(), name=texts, labels=st.dictionaries(texts, texts, max_size=3))
def test_every_line_is_of_the_format_and_the_value_comes_back(value: float, name: str, labels: dict[str, str]) -> None:
    try:
        page = page_of({name: value}, labels)
    except RefusedInput:
        reject()
    help_line, type_line, sample_line, rest = page.split("\n")
    sample = SAMPLE.fullmatch(sample_line)
    assert sample
    assert rest == ""
    names = {HELP.fullmatch(help_line)[1], TYPE.fullmatch(type_line)[1], sample[1]}
    assert len(names) == 1
    assert names.pop().startswith("stackproof_")
    assert not re.search(r"(^|,)__", sample[2] or "")
    assert repr(float(sample[3])) == repr(value) or math.isnan(value)


def test_a_prefix_that_is_there_is_not_doubled() -> None:
    assert "stackproof_rows 1.0\n" in page_of({"stackproof_rows": 1}, {})


def test_nothing_gives_an_empty_page() -> None:
    assert page_of({}, {"model": "a"}) == ""


@pytest.mark.parametrize(("values", "labels"), [({"a.b": 1.0, "a-b": 2.0}, {}), ({"a": 1.0}, {"x.y": "", "x-y": ""})])
def test_two_names_that_become_one_are_refused(values: dict[str, float], labels: dict[str, str]) -> None:
    with pytest.raises(RefusedInput, match="same name"):
        page_of(values, labels)
