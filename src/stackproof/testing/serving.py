"""The conformance suite of the role `serving`: each server runs for real, in a process of its own."""

import inspect
import signal
import socket
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from stackproof.roles.serving import Deployment, Route
from stackproof.testing.conformance import Conformance
from stackproof.testing.serving_client import Client, Reply, ServerProcess, ask
from stackproof.testing.serving_corpus import bad_bodies
from stackproof.testing.serving_load import Load, RawConnection, binomial_bounds, wait_until
from stackproof.testing.serving_models import (
    CARRIERS,
    FEATURES,
    FULL_ROW,
    NOON,
    full_request,
    onnx_package,
    request,
    tensor,
    xgboost_package,
)
from stackproof.testing.serving_process import DURABLE, FAILING, HELD

INFER = "/v2/models/delays/infer"
SMALL_INFER = "/v2/models/small/infer"


@dataclass(frozen=True, slots=True)
class Running:
    """The server that most tests share, with its two model versions at 3 : 1."""

    server: ServerProcess
    packages: tuple[Path, Path]

    @property
    def url(self) -> str:
        return self.server.url

    def infer(self, body: object, path: str = INFER) -> Reply:
        return ask(self.url, "POST", path, body)

    def rows_of(self, reply: Reply) -> list[dict[str, Any]]:
        """The log's rows of an answer, in the answer's order."""
        rows = {row["id"]: row for row in self.server.logged()}
        return [rows[name] for name in reply.content["parameters"]["prediction_ids"]]


class ServingConformance(Conformance):
    """`make(home)` gives the adapter; it is called here and in the server's own process."""

    @pytest.fixture(scope="class")
    @classmethod
    def running(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
        folder = tmp_path_factory.mktemp("serving")
        packages = (xgboost_package(folder / "one", 1), xgboost_package(folder / "two", 2))
        routes = (Route("delays", 1, packages[0], 3.0), Route("delays", 2, packages[1], 1.0))
        server = cls._server(folder / "server", Deployment("deployment:first", "delays", routes))
        try:
            server.wait_until_ready()
            yield Running(server, packages)
        finally:
            server.ensure_dead()

    @pytest.fixture
    def small(self, tmp_path: Path) -> Iterator[ServerProcess]:
        """A server of one small ONNX model, for tests that end or change it."""
        server = self._server(tmp_path / "small", _small_deployment(tmp_path, 1))
        try:
            server.wait_until_ready()
            yield server
        finally:
            server.ensure_dead()

    @pytest.fixture
    def log_mode(self, running: Running) -> Iterator[Callable[[str], None]]:
        yield running.server.set_log
        running.server.set_log(DURABLE)

    @classmethod
    def _server(
        cls,
        folder: Path,
        deployment: Deployment,
        port: int = 0,
        features: Mapping[str, Any] = FEATURES,
    ) -> ServerProcess:
        return ServerProcess(cls, inspect.getfile(cls), folder, deployment, features, port)

    # Protocol

    def test_the_health_and_metadata_of_server_and_models_are_told(self, running: Running) -> None:
        with Client(running.url) as client:
            assert client.ask("GET", "/v2/health/live").status == 200
            assert client.ask("GET", "/v2/health/ready").status == 200
            server = client.ask("GET", "/v2").content
            assert {"name", "version", "extensions"} <= server.keys()
            for path in ("/v2/models/delays", "/v2/models/delays/versions/2"):
                assert client.ask("GET", path + "/ready").status == 200
                model = client.ask("GET", path).content
                assert model["name"] == "delays"
                assert [given["name"] for given in model["inputs"]] == list(FULL_ROW)
                assert model["inputs"][3]["datatype"] == "BYTES"
                assert [given["name"] for given in model["outputs"]] == ["probability"]
            assert client.ask("GET", "/v2/models/delays").content["versions"] == ["1", "2"]

    @pytest.mark.parametrize(
        ("method", "path", "status"),
        [
            ("GET", "/", 404),
            ("GET", "/v2/", 404),
            ("GET", "/v2/models", 404),
            ("GET", "/v2/models/other", 404),
            ("GET", "/v2/models/other/ready", 404),
            ("GET", "/v2/models/delays/versions/3", 404),
            ("GET", "/v2/models/delays/versions/01/ready", 404),
            ("POST", "/v2/models/other/infer", 404),
            ("POST", "/v2/models/delays/versions/9/infer", 404),
            ("POST", "/v2/models/..%2f..%2fdelays/infer", 404),
            ("GET", INFER, 405),
            ("DELETE", "/v2/models/delays", 405),
            ("POST", "/v2/health/ready", 405),
            ("OPTIONS", INFER, 405),
        ],
    )
    def test_what_is_not_in_the_protocol_is_refused(
        self, running: Running, method: str, path: str, status: int
    ) -> None:
        reply = ask(running.url, method, path, full_request() if method == "POST" else None)
        assert reply.status == status
        assert reply.content["error"]

    def test_an_answer_has_the_shape_of_the_protocol(self, running: Running) -> None:
        reply = running.infer(full_request(rows=3, id="a request"))
        assert reply.status == 200, reply.content
        assert reply.headers["content-type"] == "application/json"
        assert reply.content["model_name"] == "delays"
        assert reply.content["id"] == "a request"
        assert len(set(reply.content["parameters"]["prediction_ids"])) == 3
        (output,) = reply.content["outputs"]
        assert (output["name"], output["datatype"], output["shape"]) == ("probability", "FP64", [3])

    def test_a_request_without_an_id_gets_one(self, running: Running) -> None:
        first, second = (running.infer(full_request()).content["id"] for _ in range(2))
        assert first
        assert second
        assert first != second

    def test_outputs_may_be_asked_for_by_name(self, running: Running) -> None:
        assert running.infer(full_request(outputs=[{"name": "probability"}])).status == 200

    # Values

    @pytest.mark.parametrize("version", [1, 2])
    def test_the_values_are_those_that_the_model_gives_in_process(self, running: Running, version: int) -> None:
        reply = running.infer(full_request(rows=32), f"/v2/models/delays/versions/{version}/infer")
        rows = [{**FULL_ROW, "distance": FULL_ROW["distance"] + 10 * row} for row in range(32)]
        assert reply.content["outputs"][0]["data"] == _predicted(running.packages[version - 1], rows)

    @pytest.mark.parametrize(
        "changed",
        [
            {"wind": None},
            {"carrier": None},
            {"heavy": None, "seats": None},
            {"carrier": "an unknown carrier"},
            {"heavy": True},
            {"carrier": "", "late_share": -0.0},
            {"distance": 7},
            {"carrier": "日本航空 🛫"},
        ],
    )
    def test_missing_values_and_categories_mean_what_the_signature_says(
        self, running: Running, changed: dict[str, Any]
    ) -> None:
        row = {**FULL_ROW, **changed}
        columns = [tensor(name, [value]) for name, value in row.items()]
        types = dict(zip(FULL_ROW, ("FP64", "INT64", "BOOL", "BYTES", "FP64", "FP64", "FP64"), strict=True))
        for column in columns:
            column["datatype"] = types[column["name"]]
        reply = running.infer({"inputs": columns}, "/v2/models/delays/versions/1/infer")
        assert reply.status == 200, reply.content
        assert reply.content["outputs"][0]["data"] == _predicted(running.packages[0], [row])
        assert running.rows_of(reply)[0]["features"] == row

    def test_data_may_be_nested_and_numbers_of_any_width(self, running: Running) -> None:
        body = full_request(rows=2, id="same")
        plain = running.infer(body).content["outputs"]
        for given in body["inputs"]:
            given["shape"] = [2, 1]
            given["data"] = [[value] for value in given["data"]]
        body["inputs"][0]["datatype"] = "FP32"
        body["inputs"][1]["datatype"] = "UINT16"
        assert running.infer(body).content["outputs"] == plain

    # Features

    def test_inputs_left_out_are_looked_up_as_of_the_event_time(self, running: Running) -> None:
        given = {name: [FULL_ROW[name]] for name in ("distance", "seats", "heavy", "carrier")}
        body = request({**given, "origin": ["JFK"]}, parameters={"event_time": "2013-07-01T13:30:00+02:00"})
        reply = running.infer(body, "/v2/models/delays/versions/1/infer")
        row = {**FULL_ROW, "wind": 5.0, "visibility": 10.0, "late_share": 0.4}
        assert reply.content["outputs"][0]["data"] == _predicted(running.packages[0], [row])
        (logged,) = running.rows_of(reply)
        assert logged["features"] == row
        assert logged["entity"] == {"origin": "JFK", "carrier": "UA"}
        assert logged["event_time"] == "2013-07-01T11:30:00+00:00"
        assert logged["sources"] == {
            "weather": ["data:fixed", "2013-07-01T10:00:00+00:00"],
            "carrier_delays": ["data:fixed", "2013-07-01T09:00:00+00:00"],
        }

    def test_without_an_event_time_the_latest_values_are_used(self, running: Running) -> None:
        columns = {name: [value] for name, value in FULL_ROW.items() if name not in ("wind", "visibility")}
        (logged,) = running.rows_of(running.infer(request({**columns, "origin": ["JFK"]})))
        assert (logged["features"]["wind"], logged["features"]["visibility"]) == (25.0, 2.0)
        assert logged["event_time"] is None
        assert logged["sources"] == {"weather": ["data:fixed", NOON.isoformat()]}

    def test_each_row_may_have_an_event_time_of_its_own(self, running: Running) -> None:
        columns = {name: [value] * 3 for name, value in FULL_ROW.items() if name not in ("wind", "visibility")}
        times = ["2013-07-01T11:59:59.999999Z", "2013-07-01t12:00:00z", "2013-07-01 09:59:59+00:00"]
        reply = running.infer(request({**columns, "origin": ["JFK"] * 3, "event_time": times}))
        assert [row["features"]["wind"] for row in running.rows_of(reply)] == [5.0, 25.0, None]

    def test_an_entity_that_the_view_lacks_has_missing_values(self, running: Running) -> None:
        columns = {name: [value] for name, value in FULL_ROW.items() if name not in ("wind", "visibility")}
        reply = running.infer(request({**columns, "origin": ["nowhere"]}))
        (logged,) = running.rows_of(reply)
        assert (logged["features"]["wind"], logged["features"]["visibility"]) == (None, None)

    def test_an_input_that_is_given_wins_over_the_view(self, running: Running) -> None:
        columns = {name: [value] for name, value in FULL_ROW.items() if name != "visibility"}
        (logged,) = running.rows_of(running.infer(request({**columns, "origin": ["JFK"]})))
        assert (logged["features"]["wind"], logged["features"]["visibility"]) == (FULL_ROW["wind"], 2.0)

    # Canary

    def test_the_shares_of_the_versions_follow_the_weights(self, running: Running) -> None:
        with Client(running.url) as client:
            replies = [client.ask("POST", INFER, full_request(id=f"request {i}")) for i in range(400)]
        low, high = binomial_bounds(400, 0.25, tail=1e-9)
        assert low <= Counter(reply.content["model_version"] for reply in replies)["2"] <= high

    def test_a_retry_lands_on_the_version_of_the_first_try(self, running: Running) -> None:
        for number in range(20):
            body = full_request(id=f"retried {number}")
            assert len({running.infer(body).content["model_version"] for _ in range(3)}) == 1

    @pytest.mark.parametrize("version", ["1", "2"])
    def test_a_version_in_the_path_pins_it(self, running: Running, version: str) -> None:
        for number in range(10):
            path = f"/v2/models/delays/versions/{version}/infer"
            reply = running.infer(full_request(id=f"pinned {number}"), path)
            assert reply.content["model_version"] == version
            assert running.rows_of(reply)[0]["model"] == f"model:delays@{version}"

    def test_a_bad_update_changes_nothing_and_a_good_one_is_switched_to_without_a_failed_request(
        self, small: ServerProcess, tmp_path: Path
    ) -> None:
        bad = tmp_path / "bad"
        bad.mkdir()
        with Load(small.url, SMALL_INFER, threads=4) as load:
            small.update(Deployment("deployment:bad", "small", (Route("small", 9, bad, 1.0),)))
            load.wait_for(lambda replies: "bad" in small.errors() and len(replies) >= 50)
            small.update(_small_deployment(tmp_path, 2))
            load.wait_for(lambda replies: sum(r.content.get("model_version") == "2" for r in replies) >= 50)
        assert not load.errors
        assert {reply.status for reply in load.replies} == {200}
        assert {reply.content["model_version"] for reply in load.replies} == {"1", "2"}
        after = ask(small.url, "POST", SMALL_INFER, request({"x": [0.5]}))
        assert after.content["model_version"] == "2"

    # The log

    def test_every_row_of_an_answer_is_in_the_log(self, running: Running) -> None:
        reply = running.infer(full_request(rows=5, id="five rows"))
        rows = running.rows_of(reply)
        assert [row["output"]["probability"] for row in rows] == reply.content["outputs"][0]["data"]
        assert {row["request_id"] for row in rows} == {"five rows"}
        assert {row["deployment"] for row in rows} == {"deployment:first"}
        assert [row["features"]["distance"] for row in rows] == [1400.5, 1410.5, 1420.5, 1430.5, 1440.5]
        assert all(row["at"].endswith("+00:00") for row in rows)
        assert sorted(row["id"] for row in rows) == [row["id"] for row in rows]
        assert all(row["id"].startswith("prediction:") for row in rows)

    def test_a_log_that_fails_gives_503_and_no_prediction(
        self, running: Running, log_mode: Callable[[str], None]
    ) -> None:
        log_mode(FAILING)
        reply = running.infer(full_request())
        assert reply.status == 503
        assert reply.content.keys() == {"error"}
        log_mode(DURABLE)
        assert running.infer(full_request()).status == 200

    def test_no_answer_comes_before_the_log_is_durable(self, running: Running, log_mode: Callable[[str], None]) -> None:
        log_mode(HELD)
        with RawConnection(running.url) as connection:
            connection.send(INFER, full_request())
            assert not connection.answered_within(0.3)
            log_mode(DURABLE)
            assert connection.status() == 200

    def test_overload_is_refused_at_once_and_what_was_accepted_is_answered(
        self, running: Running, log_mode: Callable[[str], None]
    ) -> None:
        log_mode(HELD)
        connections = [RawConnection(running.url) for _ in range(150)]
        try:
            for connection in connections:
                connection.send(INFER, full_request())
            wait_until(lambda: any(connection.answered_within(0) for connection in connections))
            refused = [connection for connection in connections if connection.answered_within(0.02)]
            assert {connection.status() for connection in refused} == {429}
            log_mode(DURABLE)
            accepted = [connection for connection in connections if connection not in refused]
            assert accepted
            assert {connection.status() for connection in accepted} <= {200, 429}
            assert accepted[0].status() == 200
        finally:
            for connection in connections:
                connection.close()

    # Metrics

    def test_what_was_answered_and_refused_is_counted_under_the_names_of_the_contract(
        self, small: ServerProcess
    ) -> None:
        body = request({"x": [1.0, 2.0, 3.0]})
        for given, status in ((body, 200), (b"no JSON", 400), (b"[" * 5_000_000, 413)):
            assert ask(small.url, "POST", SMALL_INFER, given).status == status
        counted = _metrics(small.url)
        for status in (200, 400, 413):
            assert counted[f'stackproof_serving_requests_total{{status="{status}"}}'] == 1
        assert counted["stackproof_serving_rows_total"] == 3
        assert counted["stackproof_serving_request_seconds_count"] == 3
        assert counted['stackproof_serving_request_seconds_bucket{le="+Inf"}'] == 3
        assert counted["stackproof_serving_request_seconds_sum"] > 0

    # Bad input

    @pytest.mark.parametrize("name", bad_bodies())
    def test_a_bad_request_gets_400_with_words_and_changes_nothing(self, running: Running, name: str) -> None:
        before = len(running.server.logged())
        reply = running.infer(bad_bodies()[name])
        assert reply.status == 400, reply.content
        assert reply.content.keys() == {"error"}
        assert 10 < len(reply.content["error"]) < 4000
        assert len(running.server.logged()) == before

    @pytest.mark.parametrize("chunked", [False, True])
    def test_ten_megabytes_get_413_and_the_server_goes_on(self, running: Running, chunked: bool) -> None:
        body = b"[" + b"1," * 5_000_000 + b"1]"
        if chunked:
            parts = iter([body[start : start + 65_536] for start in range(0, len(body), 65_536)])
            with Client(running.url) as client:
                client.send_chunks(INFER, parts)
                reply = client.reply()
        else:
            reply = running.infer(body)
        assert reply.status == 413
        assert "error" in reply.content
        assert running.infer(full_request()).status == 200

    def test_a_view_that_was_never_materialized_gives_503(self, running: Running) -> None:
        columns = {name: [value] for name, value in FULL_ROW.items() if name != "seats"}
        reply = running.infer(request({**columns, "tailnum": ["N1234"]}))
        assert reply.status == 503
        assert "planes" in reply.content["error"]

    def test_a_foreign_host_name_is_refused(self, running: Running) -> None:
        reply = ask(running.url, "GET", "/v2", headers={"Host": "attacker.example"})
        assert 400 <= reply.status < 500

    def test_a_page_of_another_origin_is_refused(self, running: Running) -> None:
        for origin in ("http://attacker.example", "null"):
            reply = ask(running.url, "POST", INFER, full_request(), headers={"Origin": origin})
            assert reply.status == 403
            assert "access-control-allow-origin" not in reply.headers

    # Life and death

    def test_what_is_under_way_at_a_stop_is_finished(self, small: ServerProcess) -> None:
        small.set_log(HELD)
        with RawConnection(small.url) as connection:
            connection.send(SMALL_INFER, request({"x": [1.0]}))
            assert not connection.answered_within(0.3)
            small.process.send_signal(signal.SIGTERM)
            assert not connection.answered_within(0.3)
            small.set_log(DURABLE)
            assert connection.status() == 200
        assert small.stop() == 0
        assert small.said() == "returned"
        assert len(small.logged()) == 1

    @pytest.mark.slow
    def test_ctrl_c_ends_it_as_well(self, small: ServerProcess) -> None:
        assert small.stop(signal.SIGINT) == 0
        assert small.said() == "returned"

    def test_every_answered_prediction_survives_a_kill(self, small: ServerProcess) -> None:
        with Load(small.url, SMALL_INFER, threads=4) as load:
            load.wait_for(lambda replies: len(replies) >= 200)
            small.process.kill()
        answered = {
            name
            for reply in load.replies
            if reply.status == 200
            for name in reply.content["parameters"]["prediction_ids"]
        }
        assert len(answered) >= 200
        assert answered <= {row["id"] for row in small.logged()}

    def test_a_port_in_use_is_said(self, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            server = self._server(tmp_path / "server", _small_deployment(tmp_path, 1), port)
            said = server.said()
            assert server.ended() == 1
        assert said.startswith("refused Unavailable")
        assert str(port) in said

    def test_a_damaged_model_is_said(self, tmp_path: Path) -> None:
        deployment = _small_deployment(tmp_path, 1)
        (deployment.routes[0].package / "model.onnx").write_bytes(b"\x80\x04 not a model")
        server = self._server(tmp_path / "server", deployment)
        said = server.said()
        assert server.ended() == 1
        assert said.startswith("refused Corrupted")


def _metrics(url: str) -> dict[str, float]:
    """Each sample by its name and labels."""
    lines = str(ask(url, "GET", "/metrics").content).splitlines()
    samples = [line.rpartition(" ") for line in lines if line and not line.startswith("#")]
    return {name: float(value) for name, _, value in samples}


def _small_deployment(folder: Path, version: int) -> Deployment:
    package = onnx_package(folder / f"version-{version}", bias=float(version))
    return Deployment(f"deployment:{version}", "small", (Route("small", version, package, 1.0),))


def _predicted(package: Path, rows: Sequence[dict[str, Any]]) -> list[float]:
    """What the model gives in this process."""
    import numpy
    import xgboost

    booster = xgboost.Booster()
    booster.load_model(package / "model.json")
    codes = {carrier: code for code, carrier in enumerate(CARRIERS)}
    numbers = [[codes.get(v) if k == "carrier" else v for k, v in row.items()] for row in rows]
    found: list[float] = booster.inplace_predict(numpy.array(numbers, dtype=float)).tolist()
    return found
