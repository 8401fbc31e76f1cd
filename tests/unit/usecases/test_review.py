"""An earlier decision held against facts that have changed since."""

import datetime
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stackproof.decide import parse_answers
from stackproof.errors import RefusedInput
from stackproof.facts import Facts, load_facts
from stackproof.usecases.decide import Request, decide_for, decision_json
from stackproof.usecases.review import Review, review

THEN = datetime.date(2026, 11, 21)
LATER = datetime.date(2026, 12, 24)
ANSWERS = {"use_case": {"workloads": ["realtime"]}}


@pytest.fixture(scope="module")
def facts() -> Facts:
    return load_facts()


@pytest.fixture(scope="module")
def document(facts: Facts) -> dict[str, Any]:
    """A decision.json of `THEN`."""
    answers = parse_answers(ANSWERS, facts)
    made: dict[str, Any] = json.loads(decision_json(decide_for(answers, facts, Request(THEN, sensitivity=False))))
    return made


@pytest.fixture
def folder(tmp_path: Path, document: dict[str, Any]) -> Path:
    (tmp_path / "decision.json").write_text(json.dumps(document), "utf-8")
    return tmp_path


def with_fact(facts: Facts, name: str, key: str, value: Any, **more: Any) -> Facts:
    """The same facts, but for one of one tool, and another digest."""
    tool = facts.tools[name]
    fact = replace(tool.facts[key], value=value, date=LATER, **more)
    changed = replace(tool, facts={**tool.facts, key: fact})
    return replace(facts, tools={**facts.tools, name: changed}, digest="sha256:other")


def verdicts(found: Review) -> dict[str, str]:
    return {tool.tool: tool.verdict for tool in found.tools}


def test_with_the_same_facts_on_the_same_day_nothing_has_changed(folder: Path, facts: Facts) -> None:
    found = review(folder, facts, as_of=THEN)
    assert found.same_facts
    assert found.sound
    assert not any(role.changed or role.score_moved for role in found.roles)
    assert not any(tool.changes for tool in found.tools)
    assert found.notes == ()


def test_the_folder_and_its_decision_file_are_the_same(folder: Path, facts: Facts) -> None:
    assert review(folder / "decision.json", facts, as_of=THEN) == review(folder, facts, as_of=THEN)


def test_every_tool_in_use_is_reviewed_once_with_its_roles(
    folder: Path, facts: Facts, document: dict[str, Any]
) -> None:
    used = [
        name
        for choice in document["roles"].values()
        if choice["verdict"] == "use"
        for name in (choice["tool"], *choice["with"])
    ]
    found = review(folder, facts, as_of=THEN)
    assert [tool.tool for tool in found.tools] == list(dict.fromkeys(used))


@pytest.mark.parametrize("status", ["archived", "discontinued", "unmaintained"])
def test_a_chosen_tool_that_died_is_not_sound_and_another_is_picked(folder: Path, facts: Facts, status: str) -> None:
    dead = with_fact(facts, "mlflow", "status", status, since=LATER, detail="its makers say so")
    found = review(folder, dead, as_of=LATER)
    assert not found.sound
    (tool,) = (one for one in found.tools if one.tool == "mlflow")
    assert tool.verdict == "unsound"
    assert tool.because is not None
    assert f"It is {status} since 2026-12-24: its makers say so" in tool.because.text
    assert tool.because.date == "2026-12-24"
    (role,) = (one for one in found.roles if one.role == "tracking")
    assert role.before == "mlflow"
    assert role.changed
    assert "mlflow" not in role.after


def test_a_chosen_tool_that_a_constraint_now_strikes_out_is_not_sound(tmp_path: Path, facts: Facts) -> None:
    answers = parse_answers({"infrastructure": {"licences": "open-source-only"}}, facts)
    made = decision_json(decide_for(answers, facts, Request(THEN, sensitivity=False)))
    (tmp_path / "decision.json").write_text(made, "utf-8")
    relicensed = with_fact(facts, "optuna", "licence_kind", "proprietary")
    found = review(tmp_path, relicensed, as_of=LATER)
    assert verdicts(found)["optuna"] == "unsound"


@pytest.mark.parametrize("status", ["stale", "relicensed", "deprecated", "acquired_at_risk"])
def test_a_chosen_tool_in_doubt_is_told_and_is_no_failure(folder: Path, facts: Facts, status: str) -> None:
    found = review(folder, with_fact(facts, "mlflow", "status", status), as_of=LATER)
    assert verdicts(found)["mlflow"] == "doubtful"
    assert found.sound


def test_a_lifecycle_that_nobody_has_looked_at_for_long_is_in_doubt(folder: Path, facts: Facts) -> None:
    found = review(folder, facts, as_of=THEN + datetime.timedelta(days=200))
    (tool,) = (one for one in found.tools if one.tool == "mlflow")
    assert tool.verdict == "doubtful"
    assert tool.because is not None
    assert "200 days old" in tool.because.text


def test_a_new_release_is_told_as_then_and_now(folder: Path, facts: Facts) -> None:
    newer = with_fact(facts, "mlflow", "release", "4.0.0", more={"package": "mlflow", "released": "2026-12-20"})
    found = review(folder, newer, as_of=LATER)
    (tool,) = (one for one in found.tools if one.tool == "mlflow")
    said = [(change.before and change.before.text, change.after and change.after.text) for change in tool.changes]
    assert any(before and after and "3.18.0" in before and "4.0.0" in after for before, after in said)
    assert tool.verdict == "sound"


def test_growing_older_is_no_change_by_itself(tmp_path: Path, facts: Facts) -> None:
    old = THEN + datetime.timedelta(days=400)
    answers = parse_answers(ANSWERS, facts)
    made = decision_json(decide_for(answers, facts, Request(old, sensitivity=False)))
    (tmp_path / "decision.json").write_text(made, "utf-8")
    found = review(tmp_path, facts, as_of=old + datetime.timedelta(days=7))
    assert [tool.changes for tool in found.tools if tool.changes] == []


def test_a_tool_that_is_not_known_any_more_is_not_sound(folder: Path, facts: Facts, document: dict[str, Any]) -> None:
    forgotten = json.loads(json.dumps(document))
    forgotten["roles"]["tracking"]["tool"] = "mlfiddle"
    (folder / "decision.json").write_text(json.dumps(forgotten), "utf-8")
    found = review(folder, facts, as_of=THEN)
    assert verdicts(found)["mlfiddle"] == "unsound"


def test_a_score_that_moved_under_the_same_pick_is_told(folder: Path, facts: Facts, document: dict[str, Any]) -> None:
    moved = json.loads(json.dumps(document))
    moved["roles"]["tracking"]["score"] -= 0.1
    (folder / "decision.json").write_text(json.dumps(moved), "utf-8")
    found = review(folder, facts, as_of=THEN)
    assert [role.role for role in found.roles if role.score_moved] == ["tracking"]
    assert not any(role.changed for role in found.roles)


def test_old_answers_that_are_no_longer_known_are_left_out_and_noted(
    folder: Path, facts: Facts, document: dict[str, Any]
) -> None:
    older = json.loads(json.dumps(document))
    older["answers"]["needs"]["telepathy"] = True
    older["answers"]["use_case"]["workloads"] = ["realtime", "dreams"]
    older["answers"]["weights"] = {"charm": 3, "cost": 4}
    (folder / "decision.json").write_text(json.dumps(older), "utf-8")
    notes = " ".join(review(folder, facts, as_of=THEN).notes)
    for key in ("needs.telepathy", "use_case.workloads", "weights.charm"):
        assert f"The old answer {key} is left out" in notes
    assert "answer weights.cost is" not in notes


def test_answers_that_were_edited_since_are_noted_and_those_of_the_decision_are_used(
    folder: Path, facts: Facts
) -> None:
    (folder / "answers.toml").write_text('[use_case]\nworkloads = ["batch"]\n', "utf-8")
    found = review(folder, facts, as_of=THEN)
    assert any("answers.toml was changed since (use_case.workloads)" in note for note in found.notes)
    assert not any(role.changed for role in found.roles)
    (folder / "answers.toml").write_text("[use_case\n", "utf-8")
    assert any("can't be read" in note for note in review(folder, facts, as_of=THEN).notes)


Break = Callable[[dict[str, Any]], Any]


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (lambda d: [d], "is no decision of Stackproof"),
        (lambda d: {}, "is no decision of Stackproof"),
        (lambda d: {"schema": 1}, "is no decision of Stackproof"),
        (lambda d: {"name": "package", "version": "1.0"}, "is no decision of Stackproof"),
        (lambda d: d | {"schema": 2, "stackproof": "9.0"}, "written by a newer Stackproof (9.0)"),
        (lambda d: {key: d[key] for key in d if key != "roles"}, "the key 'roles' is missing"),
        (lambda d: d | {"roles": {}}, "roles"),
        (lambda d: d | {"roles": {"cooking": d["roles"]["tracking"]}}, "roles.cooking: unknown role"),
        (lambda d: d | {"roles": {"tracking": {"verdict": "maybe"}}}, "roles.tracking"),
        (lambda d: d | {"as_of": "yesterday"}, "as_of: got 'yesterday'"),
        (lambda d: d | {"answers": []}, "answers"),
        (lambda d: d | {"assumed": [3]}, "assumed"),
    ],
)
def test_what_is_no_decision_is_refused_with_what_is_wrong(
    folder: Path, facts: Facts, document: dict[str, Any], break_it: Break, said: str
) -> None:
    (folder / "decision.json").write_text(json.dumps(break_it(document)), "utf-8")
    with pytest.raises(RefusedInput, match=r"decision\.json") as refused:
        review(folder, facts, as_of=THEN)
    assert said in str(refused.value)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'"' + b"\\ud800" + b'"', b"NaN"])
def test_bytes_that_are_no_json_are_refused(folder: Path, facts: Facts, content: bytes) -> None:
    (folder / "decision.json").write_bytes(content)
    with pytest.raises(RefusedInput, match=r"decision\.json"):
        review(folder, facts, as_of=THEN)


def test_a_folder_without_a_decision_is_refused_with_the_command_that_makes_one(tmp_path: Path, facts: Facts) -> None:
    with pytest.raises(RefusedInput, match="stackproof decide --answers"):
        review(tmp_path, facts, as_of=THEN)
    with pytest.raises(RefusedInput, match="can't be read"):
        review(tmp_path / "none", facts, as_of=THEN)
