"""Two lines in a service: what it answers is recorded, and nothing of ours can make a request fail."""

import asyncio
import json
import logging
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import stackproof
from stackproof import RecordPredictions
from stackproof.errors import RefusedInput
from stackproof.ledger import Entity, Ledger
from stackproof.roles.serving import LoggedPrediction
from stackproof.stack import recorder as recording
from stackproof.stack.exchanges import flat, rows_of, version_in
from stackproof.store import Store

Service = Callable[..., RecordPredictions]

# What was asked and answered, as rows


@pytest.mark.parametrize(
    ("asked", "answered", "rows"),
    [
        ({"x": 1, "c": "a"}, {"p": 0.5}, [({"x": 1, "c": "a"}, {"p": 0.5})]),
        ({"x": 1}, 0.5, [({"x": 1}, {"prediction": 0.5})]),
        (
            {"flight": {"x": 1, "v": [2, 3]}},
            {"p": None},
            [({"flight.x": 1, "flight.v.0": 2, "flight.v.1": 3}, {"p": None})],
        ),
        ({"inputs": {"x": 1}}, [0.5], [({"x": 1}, {"0": 0.5})]),
        ([{"x": 1}, {"x": 2}], [0.1, 0.2], [({"x": 1}, {"prediction": 0.1}), ({"x": 2}, {"prediction": 0.2})]),
        (
            {"instances": [{"x": 1}, {"x": 2}], "parameters": {"a": 1}},
            {"predictions": [0.1, 0.2], "model_version": 3},
            [({"x": 1}, {"predictions": 0.1}), ({"x": 2}, {"predictions": 0.2})],
        ),
        (
            {"instances": [[1, 2]]},
            {"predictions": [[0.1, 0.9]]},
            [({"0": 1, "1": 2}, {"predictions.0": 0.1, "predictions.1": 0.9})],
        ),
        (
            {"dataframe_split": {"columns": ["x", "c"], "data": [[1, "a"], [2, "b"]]}},
            {"predictions": [0, 1]},
            [({"x": 1, "c": "a"}, {"predictions": 0}), ({"x": 2, "c": "b"}, {"predictions": 1})],
        ),
        ({"rows": [{"x": 1}]}, {"p": 0.5}, [({"x": 1}, {"p": 0.5})]),
        (7, "late", [({"input": 7}, {"prediction": "late"})]),
    ],
)  # fmt: skip
def test_rows_are_found_in_the_ways_that_services_speak(asked: Any, answered: Any, rows: Any) -> None:
    assert rows_of(asked, answered) == rows


def test_an_answer_that_cannot_be_told_apart_by_row_is_refused() -> None:
    with pytest.raises(RefusedInput, match="told apart"):
        rows_of([{"x": 1}, {"x": 2}], {"p": [0.1, 0.2, 0.3]})
    with pytest.raises(RefusedInput, match="dataframe_split"):
        rows_of({"dataframe_split": {"columns": ["x"], "data": [[1, 2]]}}, [1])
    with pytest.raises(RefusedInput, match="too many values"):
        rows_of({"pixels": [0] * 10_001}, 1)


@pytest.mark.parametrize(
    ("answered", "version"),
    [({"model_version": 3}, 3), ({"model_version": "12"}, 12), ({"model_version": "v3"}, None),
     ({"model_version": True}, None), ([1], None), ({}, None)],
)  # fmt: skip
def test_the_version_that_an_answer_names_is_a_number(answered: Any, version: int | None) -> None:
    assert version_in(answered) == version


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda below: st.lists(below, max_size=4) | st.dictionaries(st.text(), below, max_size=4),
    max_leaves=20,
)


@given(JSON, JSON)
def test_whatever_json_it_is_becomes_rows_of_plain_values_or_is_refused(asked: Any, answered: Any) -> None:
    try:
        rows = rows_of(asked, answered)
    except RefusedInput:
        return
    for inputs, outputs in rows:
        assert all(isinstance(name, str) for name in (*inputs, *outputs))
        assert all(
            value is None or isinstance(value, str | int | float) for value in (*inputs.values(), *outputs.values())
        )


def test_no_value_of_a_nested_one_is_left_out() -> None:
    assert flat({"a": {"b": [1, {"c": 2}]}, "d": None}, "input") == {"a.b.0": 1, "a.b.1.c": 2, "d": None}


# The middleware


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    """A folder with a ledger to which the service "delay" is attached, with version 3."""
    with_state(tmp_path, "delay", 3)
    return tmp_path


def with_state(folder: Path, name: str, version: int, at: datetime | None = None) -> None:
    store = Store.open(folder / ".stackproof")
    facts: Any = {"name": name, "routes": [["delay", version, None, 1.0]], "attached": "service"}
    at = at or datetime.now(UTC) - timedelta(hours=1)
    Ledger(store).record(Entity(f"deployment:{name}@{version}", "deployment", at, facts))
    store.close()


async def answer_half(scope: Any, receive: Any, send: Any) -> None:
    """A service: {"x": 1} gives {"probability": 0.5, …}; in several messages each way."""
    asked, more = b"", True
    while more:
        message = await receive()
        asked, more = asked + message.get("body", b""), message.get("more_body", False)
    status = 200 if asked.startswith((b"{", b"[")) else 422
    await send({"type": "http.response.start", "status": status, "headers": [(b"a", b"b")]})
    await send({"type": "http.response.body", "body": b'{"probability":', "more_body": True})
    await send({"type": "http.response.body", "body": b" 0.5}"})


def ask(
    service: RecordPredictions, *bodies: bytes, path: str = "/predict", method: str = "POST", headers: Any = ()
) -> list[list[dict[str, Any]]]:
    """What the service sent for each request, all asked at once."""

    async def one(body: bytes) -> list[dict[str, Any]]:
        half = len(body) // 2
        parts = [{"body": body[:half], "more_body": True}, {"body": body[half:]}]
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", **parts.pop(0)}

        async def send(message: Any) -> None:
            sent.append(dict(message))

        await service({"type": "http", "method": method, "path": path, "headers": headers}, receive, send)
        return sent

    async def all_of_them() -> list[list[dict[str, Any]]]:
        return await asyncio.gather(*(one(body) for body in bodies))

    return asyncio.run(all_of_them())


def end(service: RecordPredictions) -> None:
    """As a server ends an application."""

    async def lifespan() -> None:
        async def app(scope: Any, receive: Any, send: Callable[[Any], Awaitable[None]]) -> None:
            await send({"type": "lifespan.startup.complete"})
            await send({"type": "lifespan.shutdown.complete"})

        async def send(message: Any) -> None:
            return None

        service.app, wrapped = app, service.app
        await service({"type": "lifespan"}, send, send)
        service.app = wrapped

    asyncio.run(lifespan())


def recorded(folder: Path) -> list[LoggedPrediction]:
    store = Store.open(folder / ".stackproof")
    try:
        return [prediction for _, prediction in Ledger(store).predictions.after(0)]
    finally:
        store.close()


def service_of(folder: Path, **options: Any) -> RecordPredictions:
    return RecordPredictions(answer_half, deployment="delay", project=folder, **options)


def test_an_answer_passes_unchanged_but_for_the_identifier_under_which_it_is_recorded(project: Path) -> None:
    service = service_of(project)
    ((start, first, last),) = ask(service, b'{"x": 1, "c": "a"}', headers=[(b"x-request-id", b"r-1")])
    end(service)
    (one,) = recorded(project)
    assert (first["body"], last["body"]) == (b'{"probability":', b" 0.5}")
    assert start["headers"] == [(b"a", b"b"), (b"x-prediction-id", one.id.encode())]
    assert (one.features, one.output) == ({"x": 1, "c": "a"}, {"probability": 0.5})
    assert (one.request_id, one.deployment, one.model) == ("r-1", "deployment:delay@3", "model:delay@3")
    assert service.counts.recorded == 1


def test_the_rows_of_one_request_have_numbers_after_its_identifier(project: Path) -> None:
    service = service_of(project, rows=lambda asked, answered: [(row, answered) for row in asked])
    ((start, *_),) = ask(service, b'[{"x": 1}, {"x": 2}]')
    end(service)
    (_, identifier) = start["headers"][-1]
    assert [one.id for one in recorded(project)] == [identifier.decode(), identifier.decode() + ".1"]


@pytest.mark.parametrize(
    ("path", "method", "body"), [("/health", "POST", b"{}"), ("/predict", "GET", b"{}"), ("/predict", "POST", b"no")]
)
def test_what_is_no_answered_prediction_is_not_recorded(project: Path, path: str, method: str, body: bytes) -> None:
    service = service_of(project)
    ((start, *_),) = ask(service, body, path=path, method=method)
    end(service)
    assert recorded(project) == []
    assert start["headers"] == [(b"a", b"b")]
    assert (service.counts.lost, service.counts.not_understood) == (0, 0)


def test_a_path_may_hold_any_text(project: Path) -> None:
    service = service_of(project, path="/models/*/predict")
    ask(service, b'{"x": 1}', path="/models/delay/predict")
    end(service)
    assert len(recorded(project)) == 1


def test_with_durable_an_answer_ends_only_when_it_is_in_the_ledger(project: Path) -> None:
    service = service_of(project, durable=True)
    answers = ask(service, *(b'{"x": %d}' % number for number in range(50)))
    identifiers = {start["headers"][-1][1].decode() for start, *_ in answers}
    assert {one.id for one in recorded(project)} == identifiers
    end(service)


def test_what_cannot_be_read_is_answered_counted_logged_and_left_as_a_gap(
    project: Path, caplog: pytest.LogCaptureFixture
) -> None:
    service = service_of(project)
    with caplog.at_level(logging.WARNING, logger="stackproof.attach"):
        answers = ask(service, b'[{"x": 1}, {"x": 2}]', b"{nonsense", b'{"x": 1}')
        end(service)
    assert all(start["status"] == 200 for start, *_ in answers)
    assert (service.counts.recorded, service.counts.not_understood) == (1, 2)
    store = Store.open(project / ".stackproof")
    (gap,) = Ledger(store).find("gap")
    store.close()
    assert (gap.attributes["deployment"], gap.attributes["not_understood"]) == ("delay", 2)
    assert "can't be recorded" in caplog.text


def test_code_of_the_user_that_raises_or_gives_odd_values_costs_only_that_request(project: Path) -> None:
    def rows(asked: Any, answered: Any) -> Any:
        if asked["x"] == 1:
            raise ZeroDivisionError
        return [({"x": object()} if asked["x"] == 2 else {"x": asked["x"]}, {})]

    service = service_of(project, rows=rows)
    answers = ask(service, *(b'{"x": %d}' % number for number in range(5)))
    end(service)
    assert [start["status"] for start, *_ in answers] == [200] * 5
    assert sorted(one.features["x"] for one in recorded(project)) == [0, 3, 4]  # type: ignore[type-var]  # numbers
    assert service.counts.not_understood == 2


def test_a_service_that_is_attached_later_has_its_first_predictions_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "AGAIN_AFTER_S", 0.01)
    service = service_of(tmp_path)
    ask(service, b'{"x": 1}')
    assert not (tmp_path / ".stackproof").exists()
    with_state(tmp_path, "delay", 1)
    ask(service, b'{"x": 2}')
    wait_until(lambda: service.counts.recorded == 2)
    end(service)
    assert [one.features["x"] for one in recorded(tmp_path)] == [1, 2]


def test_when_nothing_can_be_recorded_at_most_so_many_wait_and_the_others_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "AGAIN_AFTER_S", 0.01)
    service = service_of(tmp_path, waiting=10)
    answers = ask(service, *([b'{"x": 1}'] * 300))
    assert [start["status"] for start, *_ in answers] == [200] * 300
    assert service.counts.lost > 0
    end(service)
    assert (service.counts.recorded, service.counts.lost) == (0, 300)
    assert "no ledger" in service.counts.why


def test_an_answer_that_waits_for_a_ledger_that_is_not_there_ends_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stackproof.stack.recorded_service.WAIT_S", 0.05)
    service = service_of(tmp_path, durable=True)
    ((start, *_),) = ask(service, b'{"x": 1}')
    assert (start["status"], service.late) == (200, 1)
    end(service)


def test_a_prediction_belongs_to_the_state_that_the_service_had_then(project: Path) -> None:
    with_state(project, "delay", 4, datetime.now(UTC) + timedelta(hours=1))
    service = service_of(project)
    ask(service, b'{"x": 1}')
    end(service)
    assert recorded(project)[0].model == "model:delay@3"


def test_a_too_large_exchange_is_counted_and_not_kept(project: Path) -> None:
    service = service_of(project)
    ask(service, json.dumps({"x": "a" * 5_000_000}).encode())
    end(service)
    assert service.counts.not_understood == 1


def test_it_needs_nothing_but_the_standard_library(project: Path) -> None:
    code = """
import sys
sys.path.insert(0, sys.argv[1])
from datetime import UTC, datetime
from pathlib import Path
from stackproof import RecordPredictions
from stackproof.stack.recorder import Exchange
service = RecordPredictions(None, deployment="delay", project=sys.argv[2])
service.recorder().offer(Exchange("prediction:1", "r", datetime.now(UTC), b'{"x": 1}', b"0.5"))
service.recorder().close()
print(service.counts.recorded)
"""
    ours = str(Path(stackproof.__file__).parents[1])
    command = [sys.executable, "-S", "-c", code, ours, str(project)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"
    assert [one.id for one in recorded(project)] == ["prediction:1"]


def wait_until(condition: Callable[[], bool]) -> None:
    for _ in range(1000):
        if condition():
            return
        asyncio.run(asyncio.sleep(0.01))
    raise AssertionError("it never came")
