"""The journal from which a study of Ray Tune goes on."""

from pathlib import Path

import pytest

from stackproof.adapters.tuning.ray_tune_journal import held
from stackproof.adapters.tuning.study_file import file_of
from stackproof.errors import Conflict, Corrupted, Unavailable
from stackproof.roles.tuning import Choice, Direction, FinishedTrial, FloatRange, Space, TrialStatus

SPACE: Space = {"x": FloatRange(0, 1), "kind": Choice(("none", 3, 0.5, True))}
TRIALS = (
    FinishedTrial(0, {"x": 1.0, "kind": 3}, 0.25, TrialStatus.COMPLETE),
    FinishedTrial(1, {"x": 0.0, "kind": True}, None, TrialStatus.FAILED, "ValueError: größe\nΩ"),
    FinishedTrial(2, {"x": 0.5, "kind": "none"}, None, TrialStatus.PRUNED),
    FinishedTrial(3, {"x": 0.5, "kind": 0.5}, float("inf"), TrialStatus.COMPLETE),
)


def written(home: Path) -> Path:
    with held(home, "größe/../Ω") as journal:
        journal.open(SPACE, Direction.MINIMIZE)
        for trial in TRIALS:
            journal.add(trial, [float(trial.number), 0.5])
    return file_of(home, "größe/../Ω")


def test_trials_come_back_with_their_types_and_what_they_reported(tmp_path: Path) -> None:
    written(tmp_path)
    with held(tmp_path, "größe/../Ω") as journal:
        journal.open(SPACE, Direction.MINIMIZE)
        assert tuple(kept.trial for kept in journal.kept) == TRIALS
        assert [type(kept.trial.params["kind"]) for kept in journal.kept] == [int, bool, str, float]
        assert [kept.reports for kept in journal.kept] == [(float(trial.number), 0.5) for trial in TRIALS]


def test_a_line_cut_short_at_any_byte_is_forgotten_and_the_study_goes_on(tmp_path: Path) -> None:
    file = written(tmp_path)
    content = file.read_bytes()
    start = content.rstrip(b"\n").rfind(b"\n") + 1
    for end in range(start, len(content)):
        file.write_bytes(content[:end])
        with held(tmp_path, "größe/../Ω") as journal:
            journal.open(SPACE, Direction.MINIMIZE)
            assert [kept.trial for kept in journal.kept] == list(TRIALS[:3])
            journal.add(TRIALS[3], [3.0, 0.5])
        assert file.read_bytes() == content


def test_a_study_of_which_only_a_torn_first_line_is_left_begins_anew(tmp_path: Path) -> None:
    file = written(tmp_path)
    file.write_bytes(file.read_bytes()[:20])
    with held(tmp_path, "größe/../Ω") as journal:
        journal.open(SPACE, Direction.MAXIMIZE)
        assert journal.kept == []


def test_another_space_or_direction_is_a_conflict(tmp_path: Path) -> None:
    written(tmp_path)
    for space, direction in ((SPACE, Direction.MAXIMIZE), ({**SPACE, "x": FloatRange(0, 2)}, Direction.MINIMIZE)):
        with held(tmp_path, "größe/../Ω") as journal, pytest.raises(Conflict):
            journal.open(space, direction)


def test_the_order_in_which_a_space_names_its_parameters_does_not_matter(tmp_path: Path) -> None:
    written(tmp_path)
    with held(tmp_path, "größe/../Ω") as journal:
        journal.open(dict(reversed(SPACE.items())), Direction.MINIMIZE)
        assert len(journal.kept) == len(TRIALS)


def test_a_second_runner_of_the_same_study_is_told(tmp_path: Path) -> None:
    with held(tmp_path, "study"), pytest.raises(Unavailable, match="being run"), held(tmp_path, "study"):
        raise AssertionError("it was let in")


@pytest.mark.parametrize(
    "line", [b"{}", b"[", b'{"params": 1, "value": 0, "status": "complete", "error": null, "reports": []}']
)
def test_a_line_that_is_no_trial_is_corruption(tmp_path: Path, line: bytes) -> None:
    file = written(tmp_path)
    file.write_bytes(file.read_bytes() + line + b"\n")
    with held(tmp_path, "größe/../Ω") as journal, pytest.raises(Corrupted):
        journal.open(SPACE, Direction.MINIMIZE)
