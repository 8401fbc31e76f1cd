"""A service that something else runs: its log of requests is read once, and its predictions are watched."""

import json
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stackproof.errors import Conflict, InvalidTable, NotFound, RefusedInput
from stackproof.ledger import Entity
from stackproof.stack.watching import Watcher
from stackproof.stack.workspace import Workspace, find_project, open_workspace
from stackproof.usecases.attach import attach_service, ensure_project, status
from stackproof.usecases.attach_requests import attach_requests
from stackproof.usecases.ready import ready

START = datetime(2026, 11, 21, 10, tzinfo=UTC)


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    ensure_project(tmp_path)
    with open_workspace(find_project(tmp_path)) as workspace:
        yield workspace


@pytest.fixture
def log(tmp_path: Path) -> Callable[..., Path]:
    def write(*lines: object) -> Path:
        file = tmp_path / "requests.jsonl"
        file.write_text("".join((it if isinstance(it, str) else json.dumps(it)) + "\n" for it in lines))
        return file

    return write


Log = Callable[..., Path]


def request(number: int, **changes: Any) -> dict[str, Any]:
    at = (START + timedelta(seconds=number)).isoformat()
    return {"id": f"r-{number}", "at": at, "inputs": {"x": number}, "outputs": {"p": 0.5}} | changes


def flights(numbers: range, shift: float = 0.0) -> list[dict[str, Any]]:
    """Requests whose distances are drawn around 0, or around `shift`."""
    drawn = random.Random(7)
    return [
        request(number, inputs={"distance": drawn.gauss(shift, 1.0), "carrier": drawn.choice(["AA", "UA"])})
        for number in numbers
    ]


# A log of requests


def test_a_log_is_read_in_its_order_and_each_line_once(workspace: Workspace, log: Log) -> None:
    attach_service(workspace, "delay")
    lines = [request(1), request(2, model_version=4), {k: v for k, v in request(3).items() if k != "id"}]
    first = attach_requests(workspace, log(*lines), "delay")
    assert (first.lines, first.new, first.known, first.bad) == (3, 3, 0, 0)
    again = attach_requests(workspace, log(*lines, request(4)), "delay")
    assert (again.new, again.known) == (1, 3)
    kept = [one for _, one in workspace.ledger.predictions.after(0)]
    assert [one.features["x"] for one in kept] == [1, 2, 3, 4]
    assert [one.model for one in kept][:2] == ["model:unknown", "model:delay@4"]
    assert kept[0].at == START + timedelta(seconds=1)
    assert again.latest == kept[-1].id
    assert workspace.ledger.verify().ok


def test_every_bad_line_is_told_with_its_number_and_nothing_is_recorded(workspace: Workspace, log: Log) -> None:
    attach_service(workspace, "delay")
    file = log(
        request(1), "{torn", [], {"at": "2026-11-21T10:00:00Z"}, request(5, at="yesterday"),
        request(6, at="2026-11-21T10:00:00"), request(1, at="2026-11-21T11:00:00Z"), "",
        request(9, inputs=[{"x": 1}, {"x": 2}], outputs=[1, 2, 3]), request(10),
    )  # fmt: skip
    with pytest.raises(RefusedInput, match="7 lines") as refused:
        attach_requests(workspace, file, "delay")
    assert [fault.partition(":")[0] for fault in refused.value.faults] == [
        f"line {number}" for number in (2, 3, 4, 5, 6, 7, 9)
    ]
    assert "in line 1" in refused.value.faults[5]
    assert workspace.ledger.predictions.count() == 0


def test_bad_lines_can_be_set_aside_as_they_are_and_read_once_they_were_mended(
    workspace: Workspace, log: Log, tmp_path: Path
) -> None:
    attach_service(workspace, "delay")
    done = attach_requests(workspace, log(request(1), "{torn", request(3)), "delay", set_aside=tmp_path / "bad.jsonl")
    assert (done.new, done.bad, done.set_aside) == (2, 1, tmp_path / "bad.jsonl")
    assert (tmp_path / "bad.jsonl").read_text() == "{torn\n"
    mended = attach_requests(workspace, log(request(1), request(2), request(3)), "delay")
    assert (mended.new, mended.known) == (1, 2)


def test_bytes_that_are_no_text_and_a_last_line_without_its_end_are_lines_too(
    workspace: Workspace, tmp_path: Path
) -> None:
    attach_service(workspace, "delay")
    file = tmp_path / "requests.jsonl"
    file.write_bytes(json.dumps(request(1)).encode() + b"\n\xff\xfe\n" + json.dumps(request(3)).encode())
    done = attach_requests(workspace, file, "delay", set_aside=tmp_path / "bad")
    assert (done.new, done.bad) == (2, 1)


def test_a_request_that_was_recorded_with_another_content_is_refused(workspace: Workspace, log: Log) -> None:
    attach_service(workspace, "delay")
    attach_requests(workspace, log(request(1), request(2)), "delay")
    with pytest.raises(RefusedInput, match="r-2"):
        attach_requests(workspace, log(request(1), request(2, outputs={"p": 0.75}), request(3)), "delay")
    assert workspace.ledger.predictions.count() == 2


def test_a_log_needs_an_attached_service(workspace: Workspace, log: Log, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="stackproof attach service delay"):
        attach_requests(workspace, log(request(1)), "delay")
    attach_service(workspace, "delay")
    with pytest.raises(NotFound, match="no file of requests"):
        attach_requests(workspace, tmp_path / "none", "delay")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15, deadline=None)
@given(
    st.lists(st.integers(0, 30), unique=True, min_size=1),
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=4),
)
def test_parts_of_a_log_in_any_order_and_overlap_give_the_same_as_the_whole(
    workspace: Workspace, log: Log, numbers: list[int], parts: list[tuple[int, int]]
) -> None:
    name = f"delay-{random.Random(str((numbers, parts))).randrange(10**12)}"
    attach_service(workspace, name)
    lines = [request(number) for number in numbers]
    for start, stop in [*parts, (0, len(lines))]:
        attach_requests(workspace, log(*lines[start:stop]), name)
    kept = [one for _, one in workspace.ledger.predictions.after(0, deployment_name=name)]
    assert sorted(one.request_id for one in kept) == sorted(f"r-{number}" for number in numbers)


# The deployment


def test_attaching_again_changes_nothing_and_another_reference_is_another_state(
    workspace: Workspace, tmp_path: Path
) -> None:
    first = attach_service(workspace, "delay")
    again = attach_service(workspace, "delay")
    assert (first.new, again.new, again.id) == (True, False, "deployment:delay@1")
    file = tmp_path / "train.csv"
    pl.DataFrame({"x": range(200)}).write_csv(file)
    other = attach_service(workspace, "delay", reference=file)
    assert (other.id, other.reference) == ("deployment:delay@2", "train.csv, 200 rows")
    assert not attach_service(workspace, "delay", reference=file).new


def test_a_deployment_of_our_own_is_not_attached(workspace: Workspace) -> None:
    facts: Any = {"name": "delay", "routes": [["delay", 1, "sha256:0", 1.0]]}
    workspace.ledger.record(Entity("deployment:delay@1", "deployment", workspace.clock(), facts))
    with pytest.raises(Conflict, match="Stackproof serves"):
        attach_service(workspace, "delay")


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [("train.csv", "x\n1\n", ">= 100 rows"), ("train.parquet", "PAR0", "can't be read"),
     ("train.txt", "", "must be a table")],
)  # fmt: skip
def test_a_reference_that_is_none_is_refused(
    workspace: Workspace, tmp_path: Path, name: str, content: str, why: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(RefusedInput, match=why):
        attach_service(workspace, "delay", reference=tmp_path / name)


def test_what_a_recorder_could_not_record_is_in_the_status(workspace: Workspace) -> None:
    attach_service(workspace, "delay")
    facts: Any = {"deployment": "delay", "lost": 3, "not_understood": 2, "why": "", "process": 1}
    workspace.ledger.record(Entity("gap:1", "gap", workspace.clock(), facts))
    assert status(workspace).services == (("delay", 0, 5),)


# Watching


def test_production_is_compared_with_its_first_predictions_once_they_are_there(workspace: Workspace, log: Log) -> None:
    attach_service(workspace, "delay", first=500)
    watcher = Watcher(workspace, "delay", heartbeat_s=0.0)
    watcher.start()
    attach_requests(workspace, log(*flights(range(400))), "delay")
    assert watcher.look() == []
    assert "400 are there" in watcher.waits_for
    assert workspace.ledger.find("monitor") == []
    attach_requests(workspace, log(*flights(range(1000))), "delay")
    assert watcher.look() == []
    assert (watcher.waits_for, watcher.state.position, watcher.state.rows) == ("", 1000, 500)
    attach_requests(workspace, log(*flights(range(1000)), *flights(range(1000, 1400), 8.0)), "delay")
    alerts = watcher.look()
    assert alerts[0].findings[0].column == "distance"
    evidence = workspace.ledger.get(alerts[0].id).attributes
    assert (evidence["deployment"], evidence["reference"]) == ("delay", "deployment:delay@1")


def test_production_is_compared_with_a_file_in_the_columns_that_it_has(
    workspace: Workspace, log: Log, tmp_path: Path
) -> None:
    file = tmp_path / "train.parquet"
    drawn = random.Random(1)
    pl.DataFrame({
        "distance": [drawn.gauss(0, 1) for _ in range(2000)],
        "carrier": [drawn.choice(["AA", "UA"]) for _ in range(2000)],
        "delayed": [True] * 2000,
    }).write_parquet(file)  # fmt: skip
    attach_service(workspace, "delay", reference=file)
    file.unlink()
    watcher = Watcher(workspace, "delay")
    watcher.start()
    assert "first prediction" in watcher.waits_for
    attach_requests(workspace, log(*flights(range(600))), "delay")
    assert watcher.look() == []
    assert watcher.state.rows == 600
    attach_requests(workspace, log(*flights(range(600)), *flights(range(600, 1100), 8.0)), "delay")
    assert {finding.column for alert in watcher.look() for finding in alert.findings} == {"distance"}


def test_an_input_that_is_ignored_raises_no_alert(workspace: Workspace, log: Log) -> None:
    attach_service(workspace, "delay", first=300, ignore=["distance"])
    attach_requests(workspace, log(*flights(range(300)), *flights(range(300, 700), 8.0)), "delay")
    watcher = Watcher(workspace, "delay")
    watcher.start()
    assert watcher.look() == []
    assert watcher.state.rows == 400


def test_another_reference_counts_from_the_next_look_on(workspace: Workspace, log: Log, tmp_path: Path) -> None:
    attach_service(workspace, "delay", first=100)
    attach_requests(workspace, log(*flights(range(300))), "delay")
    watcher = Watcher(workspace, "delay", heartbeat_s=0.0)
    watcher.start()
    watcher.look()
    file = tmp_path / "train.csv"
    pl.DataFrame({"other": range(200)}).write_csv(file)
    attach_service(workspace, "delay", reference=file)
    attach_requests(workspace, log(*flights(range(320))), "delay")
    with pytest.raises(InvalidTable, match="no column in common"):
        watcher.look()


def test_a_watcher_that_starts_again_goes_on_where_the_last_one_stopped(workspace: Workspace, log: Log) -> None:
    attach_service(workspace, "delay", first=100)
    attach_requests(workspace, log(*flights(range(300))), "delay")
    first = Watcher(workspace, "delay", heartbeat_s=0.0)
    first.start()
    first.follow(lambda: True)
    second = Watcher(workspace, "delay")
    second.start()
    assert (first.state.rows, second.state.position) == (200, 300)


def test_values_of_another_type_than_the_references_are_watched_and_never_stop_the_watcher(
    workspace: Workspace, log: Log
) -> None:
    attach_service(workspace, "delay", first=200)
    odd = [request(n, inputs={"distance": ["far", None, True, 3][n % 4], "carrier": n}) for n in range(300, 700)]
    attach_requests(workspace, log(*flights(range(300)), *odd), "delay")
    watcher = Watcher(workspace, "delay")
    watcher.start()
    assert watcher.look()


def test_ready_says_yes_to_notice_only_when_a_change_was_noticed_in_time(workspace: Workspace, log: Log) -> None:
    attach_service(workspace, "delay", first=200)
    (before,) = ready(workspace, only=["notice"])
    assert not before.yes
    assert "the first 200 predictions, which are the reference: 0 are there" in before.evidence[0]
    now = datetime.now(UTC)
    fresh = [it | {"at": now.isoformat()} for it in (*flights(range(300)), *flights(range(300, 700), 8.0))]
    attach_requests(workspace, log(*fresh), "delay")
    watcher = Watcher(workspace, "delay")
    watcher.start()
    watcher.follow(lambda: True)
    (after,) = ready(workspace, only=["notice"])
    assert after.yes, after.evidence
