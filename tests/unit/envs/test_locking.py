"""Locks: the shipped ones are whole, an accepted one goes before them, and nothing changes unnoticed."""

import datetime
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stackproof.envs.locking import SHIPPED, Lock, Locks, as_document, changes, from_document, minor
from stackproof.envs.relock import note, resolve_lock, write_lock
from stackproof.errors import Corrupted, NotFound, RefusedInput, Unavailable, UnknownName

LINUX = "x86_64 Linux"
DAY = datetime.date(2026, 11, 21)


def shipped() -> list[Lock]:
    locks = Locks(system=LINUX)
    return [locks.shipped_lock(tool, python) for tool in locks.recipes for python in locks.pythons(tool)]


def lock_of(text: str, **given: Any) -> Lock:
    return Lock(**{"tool": "mlflow", "python": "3.12", "system": LINUX, "text": text, "locked": DAY} | {
        "requirements": ("mlflow",), "imports": ("mlflow",)} | given)  # fmt: skip


def test_every_tool_with_a_recipe_has_locks_for_three_minor_versions() -> None:
    locks = Locks(system=LINUX)
    assert {"mlflow", "feast", "prefect", "bentoml", "evidently", "dvc"} <= set(locks.recipes)
    for tool in locks.recipes:
        # Deepchecks needs NumPy below 2, of which no release is built for Python 3.13.
        assert locks.pythons(tool) == (("3.12", "3.11") if tool == "deepchecks" else ("3.13", "3.12", "3.11")), tool


def test_every_line_of_a_shipped_lock_is_a_pin_with_hashes_and_nothing_else() -> None:
    pin = re.compile(r"[a-z0-9-]+==\S+( --hash=sha256:[0-9a-f]{64})+")
    for lock in shipped():
        for line in lock.text.replace(" \\\n    ", " ").splitlines():
            assert pin.fullmatch(line), (lock.tool, line)


def test_a_shipped_lock_holds_the_tool_and_all_that_its_recipe_asks_for() -> None:
    for lock in shipped():
        for requirement in lock.requirements:
            name = re.split(r"[^a-z0-9-]", requirement)[0]
            assert name in lock.pins, (lock.tool, lock.python, requirement)


def test_no_file_of_locks_is_left_without_an_entry() -> None:
    index = (SHIPPED / "locks.toml").read_text("utf-8")
    assert [path.name for path in SHIPPED.glob("*.txt") if f'"{path.name}"' not in index] == []


def test_a_shipped_lock_that_was_changed_is_corrupted(tmp_path: Path) -> None:
    (tmp_path / "tools.toml").write_text('[[tools]]\ntool = "mlflow"\nrequirements = ["mlflow"]\n')
    write_lock(lock_of("mlflow==3.0 --hash=sha256:00\n"), tmp_path)
    locks = Locks(shipped=tmp_path, system=LINUX)
    assert locks.find("mlflow", "3.12").pins == {"mlflow": "3.0"}
    (tmp_path / "mlflow-py3.12.txt").write_text("mlflow==3.0 --hash=sha256:01\n")
    with pytest.raises(Corrupted, match=r"mlflow-py3\.12\.txt differs from its digest"):
        locks.find("mlflow", "3.12")
    (tmp_path / "mlflow-py3.12.txt").unlink()
    with pytest.raises(Corrupted, match="no such file"):
        locks.find("mlflow", "3.12")


def test_an_accepted_lock_goes_before_the_shipped_one_and_comes_back_whole(tmp_path: Path) -> None:
    locks = Locks(tmp_path / "own", system=LINUX)
    accepted = replace(locks.find("mlflow", "3.12"), text="mlflow==99.0 --hash=sha256:00\n", tested=DAY)
    assert locks.find("mlflow", "3.12").pins["mlflow"] != "99.0"
    locks.accept(accepted)
    found = Locks(tmp_path / "own", system=LINUX).find("mlflow", "3.12")
    assert found == replace(accepted, own=True)
    assert found.standing == "conformance suite passed 2026-11-21"
    assert locks.find("mlflow", "3.13").pins["mlflow"] != "99.0"


def test_an_accepted_lock_serves_a_python_or_a_system_that_no_shipped_one_is_for(tmp_path: Path) -> None:
    locks = Locks(tmp_path, system="riscv64 Linux")
    with pytest.raises(NotFound, match=r"none for this system.*--upgrade mlflow"):
        locks.find("mlflow", "3.12")
    locks.accept(lock_of("mlflow==3.0 --hash=sha256:00\n", system="riscv64 Linux"))
    assert locks.pythons("mlflow") == ("3.12",)
    assert locks.find("mlflow", "3.12").own


@pytest.mark.parametrize("garbage", ["", "{", "[]", "{}", '{"digest": 1}', '"text"', '{"tool": "mlflow", "more": 1}'])
def test_garbage_in_place_of_an_accepted_lock_is_refused_with_the_file_to_remove(tmp_path: Path, garbage: str) -> None:
    (tmp_path / "mlflow-py3.12.json").write_text(garbage)
    with pytest.raises(RefusedInput, match=r"rm '.*mlflow-py3\.12\.json'"):
        Locks(tmp_path, system=LINUX).find("mlflow", "3.12")


def test_an_accepted_lock_edited_by_hand_is_refused(tmp_path: Path) -> None:
    locks = Locks(tmp_path, system=LINUX)
    path = locks.accept(lock_of("mlflow==3.0 --hash=sha256:00\n"))
    path.write_text(path.read_text().replace("3.0", "3.1"))
    with pytest.raises(RefusedInput, match="differs from its digest"):
        locks.find("mlflow", "3.12")


def test_unknown_tools_and_pythons_are_named_with_what_is_there() -> None:
    with pytest.raises(UnknownName, match="did you mean 'mlflow'"):
        Locks(system=LINUX).find("mlflo", "3.12")
    with pytest.raises(NotFound, match=r"for Python 3\.9.*Allowed: 3\.13, 3\.12, 3\.11"):
        Locks(system=LINUX).find("mlflow", "3.9")


def test_a_lock_survives_json() -> None:
    lock = lock_of("mlflow==3.0 --hash=sha256:00\n", imported=DAY)
    assert from_document(json.loads(json.dumps(as_document(lock)))) == lock


def test_equal_locks_share_a_key_whatever_the_tool_and_another_python_or_system_does_not() -> None:
    one = lock_of("a==1\n")
    assert one.key == replace(one, tool="other", tested=DAY).key
    others = {replace(one, python="3.13").key, replace(one, system="x").key, replace(one, text="a==2\n").key}
    assert len(others | {one.key}) == 4


def test_what_is_known_of_a_lock_is_said_no_better_than_it_is() -> None:
    lock = lock_of("a==1\n")
    assert lock.standing == "resolved 2026-11-21, not tried yet"
    assert replace(lock, imported=DAY).standing == "installed and imported 2026-11-21"


def test_changes_name_what_came_what_went_and_what_moved() -> None:
    before, after = lock_of("a==1\nb==1\nc==1\n"), lock_of("a==1\nb==2\nd==1\n")
    assert changes(before, after) == [("b", "1", "2"), ("c", "1", ""), ("d", "", "1")]


def test_versions_are_ordered_as_numbers() -> None:
    assert sorted(["3.9", "3.13", "3.11"], key=minor) == ["3.9", "3.11", "3.13"]


def test_a_day_is_written_down_for_the_very_text_it_was_seen_on(tmp_path: Path) -> None:
    (tmp_path / "tools.toml").write_text('[[tools]]\ntool = "mlflow"\nrequirements = ["mlflow"]\n')
    lock = lock_of("mlflow==3.0 --hash=sha256:00\n")
    write_lock(lock, tmp_path)
    note(tmp_path, replace(lock, text="other==1\n"), tested=DAY)
    assert Locks(shipped=tmp_path, system=LINUX).find("mlflow", "3.12").tested is None
    note(tmp_path, lock, imported=DAY)
    assert Locks(shipped=tmp_path, system=LINUX).find("mlflow", "3.12").imported == DAY
    write_lock(replace(lock, text="mlflow==3.1 --hash=sha256:00\n"), tmp_path)
    assert Locks(shipped=tmp_path, system=LINUX).find("mlflow", "3.12").imported is None


def test_resolving_takes_the_newest_that_fits_with_its_digest(wheelhouse: Any) -> None:
    wheelhouse.wheel("tiny", "1.0")
    newest = wheelhouse.wheel("tiny", "2.0")
    recipe = replace(Locks(system=LINUX).recipe("mlflow"), requirements=("tiny>=1",), imports=("tiny",), also=())
    lock = resolve_lock(recipe, wheelhouse.python, DAY)
    assert lock.text.replace(" \\\n    ", " ") == newest
    assert lock.standing == "resolved 2026-11-21, not tried yet"


def test_resolving_what_does_not_exist_says_what_uv_said(wheelhouse: Any) -> None:
    recipe = replace(Locks(system=LINUX).recipe("mlflow"), requirements=("no-such-thing",), also=())
    with pytest.raises(Unavailable, match=r"No versions of mlflow .*no-such-thing was not found"):
        resolve_lock(recipe, wheelhouse.python, DAY)
