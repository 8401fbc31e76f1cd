"""Calls that cross to another process are made together, and each request hears of its own."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from stackproof.adapters.serving.gathering import GatheredFeatures, GatheredLog
from stackproof.errors import RefusedInput, StorageFailed
from stackproof.roles.features import FeatureRow, FeatureView, LookupRequest, Materialization
from stackproof.roles.serving import LoggedPrediction
from stackproof.roles.table import Table

Done = Callable[[BaseException | None], None]


def prediction(number: int) -> LoggedPrediction:
    at = datetime(2026, 11, 21, tzinfo=UTC)
    return LoggedPrediction(f"prediction:{number}", "r", "d", "m", at, None, {}, {}, {}, {})


class HeldLog:
    """The first call waits until it is let go."""

    def __init__(self, problem: Exception | None = None) -> None:
        self.calls: list[list[str]] = []
        self.began, self.go = threading.Event(), threading.Event()
        self._problem = problem

    def append(self, predictions: Sequence[LoggedPrediction], done: Done) -> None:
        self.calls.append([row.id for row in predictions])
        self.began.set()
        assert self.go.wait(30)
        if self._problem is not None:
            raise self._problem
        done(None)


def test_rows_that_come_during_a_call_are_passed_on_in_one_call_in_their_order() -> None:
    held = HeldLog()
    gathered, heard = GatheredLog(held), []
    gathered.append([prediction(0)], heard.append)
    assert held.began.wait(30)
    for number in range(1, 6):
        gathered.append([prediction(number)], heard.append)
    held.go.set()
    gathered.close()
    assert held.calls == [["prediction:0"], [f"prediction:{number}" for number in range(1, 6)]]
    assert heard == [None] * 6


def test_everybody_of_a_failed_call_hears_of_the_error() -> None:
    problem = StorageFailed("the disk is full")
    held = HeldLog(problem)
    gathered, heard = GatheredLog(held), []
    for number in range(3):
        gathered.append([prediction(number)], heard.append)
    held.go.set()
    gathered.close()
    assert heard == [problem] * 3


class HeldFeatures:
    """The first lookup waits; a request for the entity "bad" is refused with all that came with it."""

    def __init__(self) -> None:
        self.calls: list[list[object]] = []
        self.began, self.go = threading.Event(), threading.Event()

    def materialize(self, view: FeatureView, source: Table, *, version: str) -> Materialization:
        raise NotImplementedError

    def materialized(self) -> list[Materialization]:
        return []

    def lookup(self, view: str, requests: Sequence[LookupRequest]) -> list[FeatureRow]:
        keys = [request.entity["key"] for request in requests]
        self.calls.append(keys)
        self.began.set()
        assert self.go.wait(30)
        if "bad" in keys:
            raise RefusedInput("no such key")
        return [FeatureRow({"key": key}, None, None) for key in keys]


def ask(features: GatheredFeatures, *keys: str) -> list[object]:
    return [row.values["key"] for row in features.lookup("view", [LookupRequest({"key": key}) for key in keys])]


@pytest.fixture
def held() -> HeldFeatures:
    return HeldFeatures()


def asked_meanwhile(held: HeldFeatures, asked: list[tuple[str, ...]]) -> list[BaseException | list[object]]:
    """What each of several threads got that asked while a first lookup was under way."""
    features = GatheredFeatures(held)
    with ThreadPoolExecutor(len(asked) + 1) as pool:
        first = pool.submit(ask, features, "first")
        assert held.began.wait(30)
        others = [pool.submit(ask, features, *keys) for keys in asked]
        pause = threading.Event()
        while len(features._views["view"].waiting) < len(asked):
            pause.wait(0.001)
        held.go.set()
        assert first.result() == ["first"]
        return [other.exception() or other.result() for other in others]


def test_lookups_of_several_threads_are_one_call_and_each_gets_its_rows(held: HeldFeatures) -> None:
    assert asked_meanwhile(held, [("a", "b"), ("c",), ("d", "e")]) == [["a", "b"], ["c"], ["d", "e"]]
    assert len(held.calls) == 2
    assert sorted(map(str, held.calls[1])) == ["a", "b", "c", "d", "e"]


def test_a_refused_lookup_is_refused_to_the_one_that_asked(held: HeldFeatures) -> None:
    good, bad, other = asked_meanwhile(held, [("a",), ("bad",), ("b",)])
    assert (good, other) == (["a"], ["b"])
    assert isinstance(bad, RefusedInput)
