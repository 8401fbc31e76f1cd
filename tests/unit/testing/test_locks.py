"""A lock is noted as tested when every test of its tool's suites passed on it, and only then."""

import datetime
from pathlib import Path
from typing import Any

import pytest

from stackproof.envs.locking import Lock
from stackproof.testing import locks
from stackproof.usecases.environments import CheckResult


@pytest.fixture
def noted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, wheelhouse: Any) -> list[dict[str, datetime.date]]:
    """What was written down of the one lock that there is, of the tool `tiny`."""
    written: list[dict[str, datetime.date]] = []

    def note(folder: Path, lock: Lock, **days: datetime.date) -> None:
        written.append(days)

    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    lock = wheelhouse.lock(wheelhouse.wheel("tiny", "1.0"))
    monkeypatch.setattr(locks, "_chosen", lambda tools, pythons: iter([lock]))
    monkeypatch.setattr(locks, "note", note)
    return written


def suites_say(monkeypatch: pytest.MonkeyPatch, result: CheckResult) -> None:
    monkeypatch.setattr(locks, "check_of", lambda tool: lambda handle: result)


def test_a_lock_that_passes_gets_the_day(
    noted: list[dict[str, datetime.date]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    suites_say(monkeypatch, CheckResult(12))
    assert locks.main(["tiny"]) == 0
    (days,) = noted
    assert days.keys() == {"imported", "tested"}
    assert "12 passed, 0 failed" in capsys.readouterr().out


@pytest.mark.parametrize("result", [CheckResult(11, ("tracking: a run is there: it was not",)), CheckResult(0)])
def test_a_lock_that_fails_or_ran_nothing_gets_none(
    noted: list[dict[str, datetime.date]], monkeypatch: pytest.MonkeyPatch, result: CheckResult
) -> None:
    suites_say(monkeypatch, result)
    assert locks.main(["tiny"]) == 1
    assert noted == []


def test_a_tool_without_a_lock_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert locks.main(["mlflw"]) == 2
    assert "did you mean 'mlflow'" in capsys.readouterr().err
