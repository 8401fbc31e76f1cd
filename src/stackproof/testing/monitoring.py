"""The contract of monitoring, made executable."""

import json
import math
import random
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from stackproof.errors import InvalidTable, NotFound, RefusedInput
from stackproof.roles.monitoring import Alert, ColumnKind, Finding, Policy
from stackproof.testing.conformance import Conformance, needs

COLUMNS = {"speed": ColumnKind.NUMERIC, "carrier": ColumnKind.CATEGORICAL}
POLICY = Policy(false_alarms_per_million=10.0, window=200, every=25)
CHANGED_FACTOR = 0.44704


class MonitoringConformance(Conformance):
    """Covers the capabilities "drift", "performance", "estimate", "metrics" and "alerts"."""

    def test_a_stream_from_the_reference_raises_no_alarm(self, adapter: Any) -> None:
        needs(adapter, "drift")
        adapter.start("flights", _rows(2000), COLUMNS, POLICY)
        assert adapter.observe("flights", _rows(1000, seed=1)) == []

    def test_a_numeric_column_multiplied_by_a_constant_is_found_within_a_window(self, adapter: Any) -> None:
        needs(adapter, "drift")
        adapter.start("flights", _rows(2000), COLUMNS, POLICY)
        adapter.observe("flights", _rows(400, seed=1))
        findings = adapter.observe("flights", _rows(200, seed=2, factor=CHANGED_FACTOR))
        assert [finding.column for finding in findings] == ["speed"]
        _is_sound(findings[0], position=600)

    def test_a_changed_share_of_a_category_is_found_within_a_window(self, adapter: Any) -> None:
        needs(adapter, "drift")
        adapter.start("flights", _rows(2000), COLUMNS, POLICY)
        adapter.observe("flights", _rows(400, seed=1))
        findings = adapter.observe("flights", _rows(200, seed=2, carriers=("UA",)))
        assert [finding.column for finding in findings] == ["carrier"]
        _is_sound(findings[0], position=600)

    def test_values_that_go_missing_are_found_within_a_window(self, adapter: Any) -> None:
        needs(adapter, "drift")
        adapter.start("flights", _rows(2000), COLUMNS, POLICY)
        findings = adapter.observe("flights", _rows(200, seed=2, missing=0.6))
        assert {finding.column for finding in findings} == {"speed", "carrier"}

    def test_a_column_in_alarm_is_reported_once_and_again_after_it_was_well(self, adapter: Any) -> None:
        needs(adapter, "drift")
        adapter.start("flights", _rows(2000), COLUMNS, POLICY)
        changed, well = _rows(600, seed=2, factor=CHANGED_FACTOR), _rows(1000, seed=3)
        assert len(adapter.observe("flights", changed)) == 1
        assert adapter.observe("flights", changed) == []
        assert adapter.observe("flights", well) == []
        assert len(adapter.observe("flights", changed)) == 1

    def test_row_by_row_and_in_batches_give_the_same_findings(self, adapter: Any) -> None:
        needs(adapter, "drift")
        stream = _join(_rows(90, seed=1), _rows(90, seed=2, factor=CHANGED_FACTOR, missing=0.3))
        found: list[list[Finding]] = []
        for sizes in ([1] * 180, [180], [7, 50, 0, 101, 22]):
            adapter.start("flights", _rows(2000), COLUMNS, POLICY)
            start, findings = 0, []
            for size in sizes:
                findings += adapter.observe("flights", _part(stream, start, start + size))
                start += size
            found.append(findings)
        assert found[0]
        assert found[0] == found[1] == found[2]

    def test_the_position_counts_the_rows_and_starts_anew(self, adapter: Any) -> None:
        needs(adapter, "drift")
        adapter.start("flights", _rows(100), COLUMNS, POLICY)
        assert adapter.position("flights") == 0
        adapter.observe("flights", _rows(30))
        adapter.observe("flights", _rows(0))
        adapter.observe("flights", _rows(3))
        assert adapter.position("flights") == 33
        adapter.start("flights", _rows(100), COLUMNS, POLICY)
        assert adapter.position("flights") == 0

    def test_monitors_of_different_names_do_not_touch_each_other(self, adapter: Any) -> None:
        needs(adapter, "drift")
        adapter.start("a", _rows(2000), COLUMNS, POLICY)
        adapter.start("b é/../\n", _rows(2000), COLUMNS, POLICY)
        assert adapter.observe("a", _rows(200, factor=CHANGED_FACTOR))
        assert adapter.observe("b é/../\n", _rows(200, seed=1)) == []
        assert (adapter.position("a"), adapter.position("b é/../\n")) == (200, 200)

    def test_a_restarted_monitor_goes_on_where_it_was(self, home: Path) -> None:
        adapter = self.make(home)
        try:
            needs(adapter, "drift")
            adapter.start("flights", _rows(2000), COLUMNS, POLICY)
            stream = _join(_rows(90, seed=1), _rows(110, seed=2, factor=CHANGED_FACTOR))
            whole = adapter.observe("flights", stream)
            adapter.start("flights", _rows(2000), COLUMNS, POLICY)
            pieces = []
            for start in range(0, 200, 40):
                pieces += adapter.observe("flights", _part(stream, start, start + 40))
                adapter.close()
                adapter = self.make(home)
                assert adapter.position("flights") == start + 40
        finally:
            adapter.close()
        assert whole
        assert pieces == whole

    @pytest.mark.parametrize("hostile", range(14))
    def test_hostile_columns_never_raise_and_leave_the_others_alone(self, adapter: Any, hostile: int) -> None:
        needs(adapter, "drift")
        values = _hostile(120)[hostile]
        for kind in ColumnKind:
            columns = {"hostile": kind, **COLUMNS}
            for name, reference in (("as reference", values), ("live", None)):
                rows = _columns(120)
                rows["hostile"] = reference or _usual(kind, 120)
                adapter.start(name, _table(rows), columns, POLICY)
                for live in (values, _usual(kind, 120)):
                    found = adapter.observe(name, _table(_columns(120, seed=1) | {"hostile": live}))
                    assert {finding.column for finding in found} <= {"hostile"}
                    for finding in found:
                        _is_sound(finding, position=adapter.position(name))

    def test_a_reference_without_rows_or_a_column_is_refused(self, adapter: Any) -> None:
        needs(adapter, "drift")
        with pytest.raises(InvalidTable, match="no rows"):
            adapter.start("flights", _rows(0), COLUMNS, POLICY)
        with pytest.raises(InvalidTable, match="nowhere"):
            adapter.start("flights", _rows(10), {**COLUMNS, "nowhere": ColumnKind.NUMERIC}, POLICY)

    def test_a_policy_that_cannot_be_kept_and_a_monitor_of_no_column_are_refused(self, adapter: Any) -> None:
        needs(adapter, "drift")
        for policy in (Policy(false_alarms_per_million=0), Policy(window=0), Policy(every=0)):
            with pytest.raises(RefusedInput, match="policy"):
                adapter.start("flights", _rows(10), COLUMNS, policy)
        with pytest.raises(RefusedInput, match="column"):
            adapter.start("flights", _rows(10), {}, POLICY)

    def test_the_first_row_alone_is_no_alarm_however_large_the_reference(self, adapter: Any) -> None:
        """One row above 20 thousand others is rarer than this policy's alarms only by an approximate test."""
        needs(adapter, "drift")
        reference = _rows(20_000)
        adapter.start("flights", reference, COLUMNS, Policy(window=50, every=1))
        largest = max(value for value in _values(reference, "speed") if value is not None)
        assert adapter.observe("flights", _table({"speed": [largest + 1.0], "carrier": ["UA"]})) == []

    def test_a_few_unseen_values_are_no_alarm_and_many_are(self, adapter: Any) -> None:
        needs(adapter, "drift")
        adapter.start("flights", _rows(2000), COLUMNS, POLICY)
        few, many = _columns(200, seed=1), _rows(200, seed=2, carriers=("ua", "b6", "dl"))
        few["carrier"][5:7] = ["new", "newer"]
        assert adapter.observe("flights", _table(few)) == []
        (finding,) = adapter.observe("flights", many)
        assert finding.column == "carrier"

    def test_rows_without_a_watched_column_are_refused_and_not_counted(self, adapter: Any) -> None:
        needs(adapter, "drift")
        adapter.start("flights", _rows(10), COLUMNS, POLICY)
        with pytest.raises(InvalidTable, match="carrier"):
            adapter.observe("flights", _table({"speed": [1.0]}))
        assert adapter.position("flights") == 0

    def test_a_name_that_was_not_started_is_not_found(self, adapter: Any) -> None:
        needs(adapter, "drift")
        with pytest.raises(NotFound):
            adapter.observe("flights", _rows(1))
        with pytest.raises(NotFound):
            adapter.position("flights")

    def test_performance_gives_the_known_measures(self, adapter: Any) -> None:
        needs(adapter, "performance")
        found = adapter.performance([0.9, 0.2, 0.6, 0.4], [True, False, False, True])
        assert found.rows == 4
        assert found.log_loss == pytest.approx(-sum(map(math.log, (0.9, 0.8, 0.4, 0.4))) / 4)
        assert found.brier == pytest.approx((0.01 + 0.04 + 0.36 + 0.36) / 4)
        assert found.auc == pytest.approx(0.75)
        assert (found.base_rate, found.mean_prediction) == pytest.approx((0.5, 0.525))

    def test_performance_on_one_class_has_no_auc_and_certain_errors_stay_finite(self, adapter: Any) -> None:
        needs(adapter, "performance")
        found = adapter.performance([0.0, 1.0], [True, True])
        assert found.auc is None
        assert math.isfinite(found.log_loss)

    @pytest.mark.parametrize(("predictions", "labels"), [([], []), ([0.5], []), ([0.5], [True, False])])
    def test_performance_refuses_unequal_or_no_rows(
        self, adapter: Any, predictions: list[float], labels: list[bool]
    ) -> None:
        needs(adapter, "performance")
        with pytest.raises(InvalidTable):
            adapter.performance(predictions, labels)

    @pytest.mark.parametrize("prediction", [-0.1, 1.5, math.nan, math.inf])
    def test_performance_refuses_what_is_no_probability(self, adapter: Any, prediction: float) -> None:
        needs(adapter, "performance")
        with pytest.raises(RefusedInput):
            adapter.performance([0.5, prediction], [True, False])

    @pytest.mark.parametrize("bias", [1.0, 3.0])
    def test_an_estimate_is_near_the_truth_also_where_the_reference_was_too_sure(
        self, adapter: Any, bias: float
    ) -> None:
        needs(adapter, "estimate")
        known, labels = _outcomes(4000, seed=1)
        predictions, truth = _outcomes(4000, seed=2)
        found = adapter.estimate(_biased(known, bias), labels, _biased(predictions, bias))
        assert found.rows == 4000
        assert 0 < found.auc_error < 0.02
        assert 0 < found.accuracy_error < 0.02
        assert abs(found.auc - _auc(predictions, truth)) < 4 * found.auc_error
        assert abs(found.accuracy - _accuracy(_biased(predictions, bias), truth)) < 4 * found.accuracy_error

    def test_an_estimate_falls_when_predictions_become_unsure(self, adapter: Any) -> None:
        needs(adapter, "estimate")
        known, labels = _outcomes(4000, seed=1)
        unsure, truth = _outcomes(4000, seed=2, least=0.35, most=0.65)
        found = adapter.estimate(known, labels, unsure)
        assert found.auc < _auc(known, labels) - 0.1
        assert abs(found.auc - _auc(unsure, truth)) < 0.05
        assert abs(found.accuracy - _accuracy(unsure, truth)) < 0.05

    def test_an_estimate_is_the_same_for_the_same_input_in_any_order(self, adapter: Any) -> None:
        needs(adapter, "estimate")
        known, labels = _outcomes(500, seed=1)
        predictions, _ = _outcomes(300, seed=2)
        found = adapter.estimate(known, labels, predictions)
        assert adapter.estimate(known, labels, predictions) == found
        turned = adapter.estimate(known, labels, predictions[::-1])
        assert (turned.auc, turned.accuracy) == pytest.approx((found.auc, found.accuracy), abs=1e-9)

    @pytest.mark.parametrize("predictions", [[0.5], [0.0], [1.0], [0.0, 1.0], [0.3] * 50, [0.0] * 30 + [1.0] * 30])
    def test_an_estimate_of_few_equal_or_certain_predictions_is_finite(
        self, adapter: Any, predictions: list[float]
    ) -> None:
        needs(adapter, "estimate")
        known, labels = _outcomes(200, seed=1)
        found = adapter.estimate(known, labels, predictions)
        assert found.rows == len(predictions)
        is_certain = set(predictions) in ({0.0}, {1.0})
        assert is_certain if found.auc is None else 0 <= found.auc <= 1
        assert 0 <= found.accuracy <= 1
        assert math.isfinite(found.auc_error)
        assert math.isfinite(found.accuracy_error)

    @pytest.mark.parametrize(
        ("known", "labels", "predictions"),
        [
            ([0.5] * 30, [True] * 29, [0.5]),
            ([0.2, 0.8], [False, True], [0.5]),
            ([0.5] * 30, [True] * 30, [0.5]),
            ([0.5] * 30, [True, False] * 15, []),
        ],
    )
    def test_an_estimate_refuses_a_reference_that_teaches_nothing(
        self, adapter: Any, known: list[float], labels: list[bool], predictions: list[float]
    ) -> None:
        needs(adapter, "estimate")
        with pytest.raises(InvalidTable):
            adapter.estimate(known, labels, predictions)

    @pytest.mark.parametrize("wrong", [-0.1, 1.5, math.nan, math.inf])
    def test_an_estimate_refuses_what_is_no_probability(self, adapter: Any, wrong: float) -> None:
        needs(adapter, "estimate")
        known, labels = _outcomes(100, seed=1)
        with pytest.raises(RefusedInput):
            adapter.estimate(known, labels, [0.5, wrong])
        with pytest.raises(RefusedInput):
            adapter.estimate([wrong, *known[1:]], labels, [0.5])

    def test_metrics_are_prefixed_escaped_and_typed(self, adapter: Any) -> None:
        needs(adapter, "metrics")
        page = adapter.expose({"rows": 3.0, "log-loss": math.nan, "up": math.inf}, {"model": 'a"b\\c\nd é'})
        assert 'stackproof_rows{model="a\\"b\\\\c\\nd é"} 3.0\n' in page
        assert re.search(r"^stackproof_log_loss\{.*\} NaN$", page, re.MULTILINE)
        assert re.search(r"^stackproof_up\{.*\} \+Inf$", page, re.MULTILINE)
        assert page.count("# TYPE stackproof_") == 3
        assert page.endswith("\n")

    def test_an_alert_reaches_the_console_a_file_and_a_webhook(
        self, adapter: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        needs(adapter, "alerts")
        file = tmp_path / "alerts.jsonl"
        with webhook_server() as server:
            sinks = ["console", f"file:{file}", f"webhook:{server.url}"]
            assert adapter.send(an_alert(), sinks) == dict.fromkeys(sinks, "sent")
        assert "speed" in capsys.readouterr().err
        for line in (file.read_bytes(), server.bodies[0]):
            assert json.loads(line)["findings"][0]["column"] == "speed"

    def test_a_sink_that_fails_is_told_and_stops_no_other(self, adapter: Any, tmp_path: Path) -> None:
        needs(adapter, "alerts")
        file = tmp_path / "alerts.jsonl"
        with webhook_server(500) as server:
            bad = [f"file:{tmp_path}/no/folder", f"webhook:{server.url}", "webhook:http://127.0.0.1:9/"]
            results = adapter.send(an_alert(), [*bad, f"file:{file}"])
        assert results[f"file:{file}"] == "sent"
        assert all(results[sink] not in ("", "sent") for sink in bad)
        assert len(server.bodies) == 3

    @pytest.mark.parametrize("sink", ["", "email:a@example.org", "file:", "webhook:file:///etc/passwd", "webhook:"])
    def test_a_sink_of_another_form_is_refused_before_anything_is_sent(
        self, adapter: Any, tmp_path: Path, sink: str
    ) -> None:
        needs(adapter, "alerts")
        file = tmp_path / "alerts.jsonl"
        with pytest.raises(RefusedInput):
            adapter.send(an_alert(), [f"file:{file}", sink])
        assert not file.exists()


class WebhookServer:
    """A real HTTP server that keeps what is posted. `answers`: the statuses, in order; the last one stays."""

    def __init__(self, answers: Sequence[int], headers: Mapping[str, str]) -> None:
        self.bodies: list[bytes] = []
        self.headers: list[Mapping[str, str]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                server.headers.append(dict(self.headers.items()))
                server.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(answers[min(len(server.bodies), len(answers)) - 1])
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Silent."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/hook?team=a"


@contextmanager
def webhook_server(*answers: int, headers: Mapping[str, str] | None = None) -> Iterator[WebhookServer]:
    """A server on a free port of this machine; without answers it says 204."""
    server = WebhookServer(answers or (204,), headers or {})
    thread = threading.Thread(target=server.http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.http.shutdown()
        server.http.server_close()
        thread.join()


def an_alert(*, statistic: float = 0.69) -> Alert:
    """An alert with one finding on the column "speed"."""
    finding = Finding(
        "speed", "Kolmogorov-Smirnov", statistic, 1e-10, 1e-6, "median 10.4 -> 4.6", 1000, 1024, "mph to m/s"
    )
    return Alert(
        id="alert:1",
        deployment="delay",
        at=datetime(2013, 6, 1, tzinfo=UTC),
        title="speed differs from the reference",
        findings=(finding,),
        first_prediction="prediction:1",
        last_prediction="prediction:2",
    )


def _is_sound(finding: Finding, *, position: int) -> None:
    assert 0 <= finding.p_value < finding.threshold
    assert 0 <= finding.first <= finding.last < position
    assert finding.last - finding.first < POLICY.window
    assert (finding.last + 1) % POLICY.every == 0
    assert finding.test
    assert finding.effect
    assert isinstance(finding.hint, str)


def _outcomes(count: int, *, seed: int, least: float = 0.0, most: float = 1.0) -> tuple[list[float], list[bool]]:
    """Chances between `least` and `most`, and for each whether it happened."""
    draw = random.Random(seed)
    chances = [draw.uniform(least, most) for _ in range(count)]
    return chances, [draw.random() < chance for chance in chances]


def _biased(chances: Sequence[float], power: float) -> list[float]:
    """In the same order, all too low when `power` is above 1."""
    return [chance**power for chance in chances]


def _accuracy(predictions: Sequence[float], truth: Sequence[bool]) -> float:
    return sum((p >= 0.5) == t for p, t in zip(predictions, truth, strict=True)) / len(truth)


def _auc(predictions: Sequence[float], truth: Sequence[bool]) -> float:
    """The share of pairs, one true and one false, that are in the right order. No two predictions are equal."""
    ranked = [t for _, t in sorted(zip(predictions, truth, strict=True))]
    right, false_below = 0, 0
    for happened in ranked:
        if happened:
            right += false_below
        else:
            false_below += 1
    return right / (false_below * (len(truth) - false_below))


def _table(columns: Mapping[str, Sequence[object]]) -> Any:
    import polars as pl

    return pl.DataFrame({name: pl.Series(values, strict=False) for name, values in columns.items()})


def _columns(
    count: int,
    *,
    seed: int = 0,
    factor: float = 1.0,
    missing: float = 0.01,
    carriers: Sequence[str] = ("UA", "UA", "B6", "DL", "é"),
) -> dict[str, list[Any]]:
    chance = random.Random(seed)

    def present(value: object) -> object:
        return None if chance.random() < missing else value

    return {
        "speed": [present(round(chance.gammavariate(4, 2.5)) * factor) for _ in range(count)],
        "carrier": [present(chance.choice(carriers)) for _ in range(count)],
    }


def _rows(count: int, **changes: Any) -> Any:
    import polars as pl

    columns = _columns(count, **changes)
    return pl.DataFrame(columns, schema={"speed": pl.Float64, "carrier": pl.String})


def _join(first: Any, second: Any) -> Any:
    import polars as pl

    return pl.concat([first, second])


def _part(rows: Any, start: int, stop: int) -> Any:
    return rows[start:stop]


def _values(rows: Any, column: str) -> list[Any]:
    return list(rows[column].to_list())


def _usual(kind: ColumnKind, count: int) -> list[Any]:
    values = _columns(count, seed=5)
    return values["speed"] if kind is ColumnKind.NUMERIC else values["carrier"]


def _hostile(count: int) -> list[list[Any]]:
    nan, inf = math.nan, math.inf
    cycles: list[list[Any]] = [
        [None], [nan], [inf], [-inf], [inf, -inf, nan, None, 0.0], [0.0], ["only"], ["1.5", "x", ""],
        [True, False], [True], [1e300, -1e300, 5e-324], [2**62, -(2**62)], ["\x00", "\n", "é" * 300, "🛫"],
    ]  # fmt: skip
    repeated = [[cycle[row % len(cycle)] for row in range(count)] for cycle in cycles]
    return [*repeated, [f"value {row}" for row in range(count)]]
