"""Of a release that is recorded only what the index knows changes, in the facts and in their files."""

import datetime
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackproof.errors import RefusedInput
from stackproof.facts.model import Fact
from stackproof.usecases.package_index import Published
from stackproof.usecases.released import changes, recorded, release_table, with_release

TODAY = datetime.date(2027, 1, 15)


def release(value: str, **more: str) -> Fact:
    return Fact("release", value, "the index", datetime.date(2026, 11, 21), "high", more=more)


def published(package: str, version: str, python: str = "", day: str = "2027-01-02", licence: str = "") -> Published:
    return Published(package, "", "found", version, datetime.date.fromisoformat(day), python, licence)


@pytest.mark.parametrize(
    ("fact", "answers", "value", "released"),
    [
        (release("3.18.0", package="mlflow", released="2026-11-03"), [("mlflow", "3.19.0")], "3.19.0", "2027-01-02"),
        (
            release("0.9.6 / 0.13.0", package="alibi / alibi-detect", released="2024-04-18 / 2025-12-11"),
            [("alibi", "0.9.7"), ("alibi-detect", "0.14")],
            "0.9.7 / 0.14",
            "2027-01-02 / 2027-01-02",
        ),
        (
            release(
                "lib 0.26.0; server 3.14.0", package="prom (lib)", released="lib 2026-07-24; server 2026-08-17"
            ),
            [("prom", "0.27.0")],
            "lib 0.27.0; server 3.14.0",
            "lib 2027-01-02; server 2026-08-17",
        ),
        (
            release("8.1.0 (client); server 8.10", package="redis (client, MIT)", released="server 2026-07-29"),
            [("redis", "8.2.0")],
            "8.2.0 (client); server 8.10",
            "server 2026-07-29; 2027-01-02 (client, MIT)",
        ),
        (release("0.15.0 (sdist only)", package="auto"), [("auto", "0.16")], "0.16 (sdist only)", "2027-01-02"),
    ],
)  # fmt: skip
def test_only_the_words_about_the_package_are_replaced(
    fact: Fact, answers: list[tuple[str, str]], value: str, released: str
) -> None:
    found = {package: published(package, version) for package, version in answers}
    table = release_table(fact, found)
    assert (table["value"], table["released"]) == (value, released)
    again = Fact(**{**{slot: getattr(fact, slot) for slot in Fact.__slots__}, "value": value, "more": table})
    assert [known.version for known in recorded(again)] == [version for _, version in answers]


@pytest.mark.parametrize(
    ("was", "now", "changed"),
    [
        (">=3.10 (3.10-3.14)", ">=3.10", False),
        (">=3.8,<4", "<4.0,>=3.8", False),
        ("none declared (3.6-3.10 classifiers)", "", False),
        ("none declared", ">=3.9", True),
        ("classifiers 3.6-3.13", ">=3.9", True),
        (">=3.10", ">=3.11", True),
        ("scikit-learn<0.25 => Python <=3.9", ">=3.7", False),
    ],
)
def test_a_python_requirement_changes_only_when_it_means_something_else(was: str, now: str, changed: bool) -> None:
    fact = release("1.0", package="demo", released="2027-01-02", python=was)
    found = published("demo", "1.0", now)
    assert bool(changes("t", recorded(fact)[0], found)) is changed
    assert release_table(fact, {"demo": found})["python"] == (now if changed else was)


def test_a_licence_that_becomes_another_is_a_change_and_one_that_was_never_recorded_is_none() -> None:
    found = published("demo", "1.0", licence="BUSL-1.1")
    before = recorded(release("1.0", package="demo", released="2027-01-02", licence="Apache-2.0"))[0]
    (change,) = changes("t", before, found)
    assert (change.fact, change.was, change.now) == ("licence", "Apache-2.0", "BUSL-1.1")
    never = recorded(release("1.0", package="demo", released="2027-01-02"))[0]
    assert changes("t", never, found) == []


TOOL = """# A comment — kept\r
id = "demo"\r
[facts.release]  # the newest\r
value = "1.0"\r
package = "demo"\r
# about the source\r
source = "index"\r
\r
[[modes]]\r
value = "1.0"\r
"""


def test_a_release_is_edited_in_its_file_and_every_other_byte_stays() -> None:
    after = with_release(TOOL, {"value": "2.0", "date": TODAY}, "demo.toml")
    assert after == TOOL.replace('"1.0"', '"2.0"', 1).replace(
        'source = "index"\r\n', 'source = "index"\r\ndate = 2027-01-15\r\n'
    )


@pytest.mark.parametrize(
    "text", ["", "# empty\n", 'id = "demo"', "[facts.status]\nvalue = 'x'\n", "[[modes]]\na = 1\n"]
)
def test_a_release_that_is_not_there_is_added(text: str) -> None:
    after = with_release(text, {"value": "2.0"}, "demo.toml")
    assert after.startswith(text)
    assert tomllib.loads(after)["facts"]["release"] == {"value": "2.0"}


@pytest.mark.parametrize(
    "text", ["facts = { release = { value = '1' } }\n", "[facts.release]\nvalue = '''\n1'''\n", "facts = 3\n"]
)
def test_a_file_that_can_not_be_edited_by_lines_is_refused(text: str) -> None:
    with pytest.raises(RefusedInput, match=r"demo\.toml.*one key on each line"):
        with_release(text, {"value": "2.0"}, "demo.toml")


@given(value=st.text(min_size=1), more=st.text())
def test_whatever_a_value_holds_it_is_read_back_and_nothing_else_changes(value: str, more: str) -> None:
    values = {"value": value, "detail": more}
    after = with_release(TOOL, values, "demo.toml")
    document = tomllib.loads(after)
    assert document["facts"]["release"] == {"value": value, "detail": more, "package": "demo", "source": "index"}
    assert document["modes"] == [{"value": "1.0"}]
    assert with_release(after, values, "demo.toml") == after
