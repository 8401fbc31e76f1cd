"""The check finds what is expired, contradicting, without a date or missing, and nothing where all is well."""

import datetime
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stackproof.errors import RefusedInput
from stackproof.facts import Facts, load_facts
from stackproof.facts.model import Contradiction, Criterion, Fact, Mode, Pair, Rating, Tool
from stackproof.usecases.catalog import catalog
from stackproof.usecases.check_facts import CATEGORIES, Checked, Finding, check_facts, licence_kinds

READ = datetime.date(2026, 11, 21)


def fact(key: str, value: str, date: datetime.date | None = READ, **more: str) -> Fact:
    return Fact(key, value, "a page", date, "high", more=more)


def mode(**changed: Any) -> Mode:
    return replace(Mode("managed", "per-seat", "a page", READ, "medium", operation="managed-service"), **changed)


def rating(value: str, date: datetime.date | None = None, role: str = "") -> Rating:
    return Rating("ease", value, f"a page that says {value}", date, "high", role)


def tool(name: str = "sound", *facts: Fact, **changed: Any) -> Tool:
    sound = {
        "status": fact("status", "active"),
        "licence": fact("licence", "Apache-2.0"),
        "licence_kind": fact("licence_kind", "open-source"),
        "release": fact("release", "1.0", package=name, released="2026-11-01"),
        **{each.key: each for each in facts},
    }
    made = Tool(
        id=name, name=name.title(), roles=("tracking",), parts=(), named_in=(), requires=(), replaced_by=(),
        facts=sound, modes=(mode(),), ratings=(rating("high", READ),),
    )  # fmt: skip
    return replace(made, **changed)


@pytest.fixture(scope="module")
def shipped() -> Facts:
    return load_facts()


@pytest.fixture
def facts(shipped: Facts) -> Facts:
    """One sound tool, and one rated criterion of its role."""
    criterion = Criterion("ease", "Ease", 1.0, "how easy", "a page", role="tracking", scale="ease")
    return replace(
        shipped, tools={"sound": tool()}, criteria=(criterion,), pairs=(), contradictions=(), migrations=()
    )  # fmt: skip


def check(facts: Facts, *tools: Tool, as_of: datetime.date = READ) -> Checked:
    return check_facts(replace(facts, tools={**facts.tools, **{each.id: each for each in tools}}), as_of)


def only(checked: Checked) -> Finding:
    (finding,) = checked.findings
    return finding


def test_sound_facts_have_no_findings(facts: Facts) -> None:
    checked = check(facts)
    assert (checked.findings, checked.tools, checked.sound) == ((), 1, True)


def test_what_is_expired_says_so_with_its_source_and_day(facts: Facts) -> None:
    old = datetime.date(2026, 8, 22)
    found = only(check(facts, tool("a", fact("release", "1.0", old, package="a", released="2026-08-01"))))
    assert (found.category, found.tool, found.key, found.source, found.date) == (
        "expired",
        "a",
        "release",
        "a page",
        old,
    )
    assert "91 days old" in found.text


def test_prices_ratings_and_pairs_expire_too_and_then_the_facts_are_not_sound(facts: Facts) -> None:
    later = READ + datetime.timedelta(days=366)
    pair = Pair(("sound", "b"), "integrates", "they fit", "a page", READ, "high")
    checked = check(replace(facts, pairs=(pair,)), tool("b", ratings=(rating("low", READ),)), as_of=later)
    assert {"mode managed", "rating ease", "pair sound+b", "status"} <= {f.key for f in checked.of("expired")}
    assert not checked.sound


def test_what_nobody_dated_is_told_only_where_a_decision_rests_on_it(facts: Facts) -> None:
    undated = tool("a", fact("status", "active", None), fact("price_claimed", "$5", None), modes=(mode(date=None),))
    checked = check(facts, undated)
    assert {(f.category, f.key) for f in checked.findings} == {("undated", "status"), ("undated", "mode managed")}
    assert checked.sound
    assert check(facts, tool("a", modes=(mode(cost="free", date=None),))).findings == ()


@pytest.mark.parametrize(
    ("made", "key", "told"),
    [
        (tool("a", replaced_by=("dead",)), "replaced_by", "dead, which is archived"),
        (tool("a", requires=("dead",)), "requires", "can't be used without dead"),
        (tool("a", fact("licence", "Elastic License 2.0")), "licence_kind", "its text says Elastic License 2.0"),
        (
            tool("a", fact("release", "1.0", package="a", released="2026-11-01", licence="BUSL-1.1")),
            "licence_kind",
            "its package says BUSL-1.1",
        ),
        (tool("a", fact("release", "1.0", package="a", released="2024-11-01")), "status", "newest release is 750 days"),
        (
            tool("a", fact("status", "archived"), fact("release", "1.0", released="2025-01-01 / 2026-11-22")),
            "status",
            "called archived on 2026-11-21, and a release came on 2026-11-22",
        ),
        (tool("a", ratings=(rating("high"), rating("low"))), "rating ease", "Its ease is rated high and low"),
        (tool("a", ratings=(rating("high", READ), rating("low", READ))), "rating ease", "rated high and low"),
    ],
)  # fmt: skip
def test_a_contradiction_says_what_contradicts_what(facts: Facts, made: Tool, key: str, told: str) -> None:
    dead = tool("dead", fact("status", "archived"))
    checked = check(facts, dead, made)
    found = only(checked)
    assert (found.category, found.tool, found.key) == ("contradicting", "a", key)
    assert told in found.text
    assert not checked.sound


def test_a_dated_rating_overtakes_undated_ones_and_ratings_for_two_roles_are_two(facts: Facts) -> None:
    assert check(facts, tool("a", ratings=(rating("high", READ), rating("low")))).findings == ()
    both = tool("a", ratings=(rating("high", role="tracking"), rating("low", role="serving")))
    assert check(facts, both).findings == ()


def test_ratings_that_differ_where_the_documents_contradict_each_other_are_told_there(facts: Facts) -> None:
    known = Contradiction(1, ("tracking",), "they differ", ("x", "y"), "both", (), ("a",))
    differing = tool("a", ratings=(rating("high"), rating("low")))
    assert check(replace(facts, contradictions=(known,)), differing).findings == ()
    elsewhere = replace(known, roles=("serving",))
    assert not check(replace(facts, contradictions=(elsewhere,)), differing).sound


def test_tools_that_fit_and_don_t_fit_contradict(facts: Facts) -> None:
    pair = Pair(("sound", "b"), "integrates", "they fit", "a page", READ, "high")
    other = replace(pair, tools=("b", "sound"), kind="conflicts")
    checked = check(replace(facts, pairs=(pair, other)), tool("b"))
    assert only(checked).text == "b and sound are said to integrate and to conflict"
    assert check(replace(facts, pairs=(pair, replace(other, kind="duplicates"))), tool("b")).findings == ()


@pytest.mark.parametrize(
    ("made", "key"),
    [
        (tool("a", replace(fact("status", "active"), confidence="not_verified")), "status"),
        (tool("a", replace(fact("licence_kind", "open-source"), confidence="not_verified")), "licence_kind"),
        (tool("a", fact("release", "1.0", package="a")), "release"),
        (tool("a", modes=(mode(operation=""),)), "mode managed"),
        (tool("a", ratings=()), "rating ease"),
        (tool("a", ratings=(rating("high", role="serving"),)), "rating ease"),
        (tool("a", ratings=(replace(rating("high"), confidence="not_verified"),)), "rating ease"),
    ],
)
def test_what_is_missing_is_told_and_does_not_make_the_facts_unsound(facts: Facts, made: Tool, key: str) -> None:
    checked = check(facts, made)
    assert (only(checked).category, only(checked).key) == ("missing", key)
    assert checked.sound


def test_a_library_without_a_release_misses_it(facts: Facts) -> None:
    library = tool("a", modes=(mode(hosting="library", cost="free"),))
    without = replace(library, facts={key: one for key, one in library.facts.items() if key != "release"})
    assert only(check(facts, without)).key == "release"
    assert check(facts, replace(without, modes=(mode(),))).findings == ()


def test_a_criterion_of_one_aspect_is_missing_only_where_a_rule_names_the_tool_for_it(facts: Facts) -> None:
    tree = facts.trees["tracking"]
    branch = replace(tree.branches[0], aspect="drift", picks=())
    criterion = replace(facts.criteria[0], id="speed", aspect="drift")
    trees = {"tracking": replace(tree, branches=(branch,))}
    assert check(replace(facts, criteria=(criterion,), trees=trees)).findings == ()
    named = replace(branch, picks=(replace(tree.branches[0].picks[0], tool="sound"),))
    trees = {"tracking": replace(tree, branches=(named,))}
    assert only(check(replace(facts, criteria=(criterion,), trees=trees))).key == "rating speed"


def test_of_a_dead_tool_nothing_expires_or_is_missing(facts: Facts) -> None:
    dead = tool("a", fact("status", "archived"), ratings=(), modes=(mode(date=None),))
    assert [f for f in check(facts, dead, as_of=READ + datetime.timedelta(days=999)).findings if f.tool == "a"] == []


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("Apache-2.0", {"open-source"}),
        ("AGPL-3.0-or-later", {"open-source"}),
        ("Redis 8+: RSALv2/SSPLv1/AGPLv3 tri-licence", {"open-source", "source-available"}),
        ("Business Source License 1.1", {"source-available"}),
        ("SDK MIT; server proprietary", {"open-source", "proprietary"}),
        ("permitted", set()),
        ("", set()),
    ],
)
def test_the_kind_of_a_licence_is_read_from_its_words(text: str, kinds: set[str]) -> None:
    assert licence_kinds(text) == kinds


def test_the_shipped_facts_contradict_nothing_on_the_day_they_were_read(shipped: Facts) -> None:
    checked = check_facts(shipped, READ)
    assert checked.of("contradicting") == ()
    order = [CATEGORIES.index(finding.category) for finding in checked.findings]
    assert order == sorted(order)


def test_after_a_year_every_live_tool_has_something_that_expired(shipped: Facts) -> None:
    expired_of = {f.tool for f in check_facts(shipped, READ + datetime.timedelta(days=800)).of("expired")}
    dated = {
        each.id
        for each in shipped.tools.values()
        if each.status.verified and each.status.date and each.status.value in ("active", "acquired_active")
    }
    assert dated
    assert dated <= expired_of


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "none"))
    folder = tmp_path / "acme"
    (folder / "tools").mkdir(parents=True)
    return folder


def test_the_catalogue_shows_your_own_facts_as_yours(own: Path) -> None:
    (own / "tools" / "wandb.toml").write_text('[facts.licence]\nvalue = "contract 17"\n', "utf-8")
    (known,) = catalog("wandb", [own])
    assert known.licence == "contract 17"
    assert known.facts["licence"]["source"] == "yours: acme/tools/wandb.toml"
    assert catalog("wandb")[0].licence != "contract 17"


def test_a_fault_in_your_own_facts_names_your_file_and_line(own: Path) -> None:
    (own / "tools" / "wandb.toml").write_text('[facts.status]\nvalue = "aktive"\n', "utf-8")
    with pytest.raises(RefusedInput, match=r"acme/tools/wandb\.toml, line 2: facts\.status\.value: got 'aktive'"):
        catalog("wandb", [own])
