"""What the application answers, without a socket."""

import asyncio
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import pytest

from stackproof.adapters.serving.application import ENDPOINTS
from stackproof.errors import NotFound, StorageFailed, Unavailable
from stackproof.roles.features import FeatureRow, LookupRequest
from stackproof.testing.serving_models import FEATURES, FULL_ROW, full_request, request
from stackproof.testing.serving_process import FixedFeatures

INFER = "/v2/models/delays/infer"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "get", "")


class AnsweredFeatures(FixedFeatures):
    """Gives these values for whatever is asked."""

    def __init__(self, values: dict[str, Any]) -> None:
        super().__init__(FEATURES)
        self._values = values

    def lookup(self, view: str, requests: Sequence[LookupRequest]) -> list[FeatureRow]:
        return [FeatureRow(self._values, None, "data:1") for _ in requests]


class BrokenFeatures(FixedFeatures):
    def __init__(self, problem: Exception) -> None:
        super().__init__(FEATURES)
        self._problem = problem

    def lookup(self, view: str, requests: Sequence[LookupRequest]) -> list[FeatureRow]:
        raise self._problem


def without(*names: str, **further: list[Any]) -> dict[str, Any]:
    return request({**{k: [v] for k, v in FULL_ROW.items() if k not in names}, **further})


def test_the_routes_of_the_application_are_exactly_the_table(serve: Callable[..., Any]) -> None:
    routes = serve().application.starlette.routes
    assert {(route.path, method) for route in routes for method in route.methods} == {
        (endpoint.path, method) for endpoint in ENDPOINTS for method in endpoint.methods
    }


def test_every_other_method_is_405_and_every_other_path_404(serve: Callable[..., Any]) -> None:
    app = serve()
    for endpoint, method in product(ENDPOINTS, METHODS):
        path = endpoint.path.replace("{name}", "delays").replace("{version}", "1")
        status = app.call(method, path, full_request()).status
        assert status == (200 if method in endpoint.methods else 405), (method, path)
    paths = [
        "",
        "/",
        "/v1",
        "/v2/",
        "//v2",
        "/v2/models",
        "/v2/models/",
        "/v2/models/delays/",
        "/docs",
        "/v2/repository",
    ]
    paths += [
        "/openapi.json",
        "/static/x",
        "/v2/models/delays/infer/",
        "/v2/models/a/b/infer",
        "/metrics/",
        "/v2/health",
    ]
    for path, method in product(paths, METHODS):
        assert app.call(method, path).status == 404, (method, path)


@pytest.mark.parametrize("host", ["", "attacker.example", "localhost.attacker.example", "127.0.0.1.nip.io", "[::2]:80"])
def test_a_host_that_is_not_allowed_gets_403_on_every_route(serve: Callable[..., Any], host: str) -> None:
    app = serve()
    for endpoint in ENDPOINTS:
        assert app.call(endpoint.methods[0], endpoint.path, host=host).status == 403


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:1", "127.0.0.1:8080", "[::1]:8080", "[::1]", "models.example", "models.example:80"]
)
def test_loopback_names_and_configured_hosts_are_allowed(serve: Callable[..., Any], host: str) -> None:
    assert serve(hosts=("models.example",)).call("GET", "/v2", host=host).status == 200


def test_an_origin_must_be_the_host_itself(serve: Callable[..., Any]) -> None:
    app = serve()
    assert app.call("POST", INFER, full_request(), origin="http://localhost:8080").status == 200
    for origin in ("http://localhost:3000", "http://attacker.example", "null", "", "localhost:8080"):
        assert app.call("POST", INFER, full_request(), origin=origin).status == 403
    assert len(app.log.rows) == 1


def test_a_websocket_is_not_spoken_to(serve: Callable[..., Any]) -> None:
    async def never(*_: Any) -> Any:
        raise AssertionError("nothing is read and nothing is sent")

    asyncio.run(serve().application.asgi({"type": "websocket", "path": "/v2", "headers": []}, never, never))


def test_a_row_of_the_log_says_all_of_how_it_was_answered(serve: Callable[..., Any]) -> None:
    app = serve()
    answer = app.call("POST", INFER, full_request(id="mine"))
    (row,) = app.log.rows
    assert (row.request_id, row.deployment, row.model) == ("mine", "deployment:1", "model:delays@1")
    assert row.features == FULL_ROW
    assert [row.output["probability"]] == answer.json["outputs"][0]["data"]
    assert [row.id] == answer.json["parameters"]["prediction_ids"]
    assert row.at.isoformat() == "2026-01-02T03:04:05+00:00"


def test_a_log_that_reports_a_failure_gives_503(serve: Callable[..., Any]) -> None:
    app = serve()
    app.log.problem = Unavailable("the secret path /var/x is away")
    answer = app.call("POST", INFER, full_request())
    assert answer.status == 503
    assert "secret" not in answer.json["error"]
    assert app.inference.ready


def test_a_log_that_stopped_writing_makes_the_server_not_ready(serve: Callable[..., Any]) -> None:
    app = serve()
    app.log.problem = StorageFailed("no write became durable")
    assert app.call("POST", INFER, full_request()).status == 503
    assert app.call("GET", "/v2/health/ready").status == 503
    assert app.call("GET", "/v2/health/live").status == 200


def test_a_log_that_never_answers_gives_503_after_its_time(serve: Callable[..., Any]) -> None:
    app = serve(log_seconds=0.01)
    app.log.silent = True
    assert app.call("POST", INFER, full_request()).status == 503


def test_a_body_that_never_ends_gives_408_and_frees_its_place(serve: Callable[..., Any]) -> None:
    app = serve(body_seconds=0.01, max_in_flight=1)
    assert asyncio.run(app.ask("POST", INFER, [b"{", None])).status == 408
    assert app.call("POST", INFER, full_request()).status == 200


def test_more_requests_than_allowed_at_once_get_429(serve: Callable[..., Any]) -> None:
    app = serve(max_in_flight=2, body_seconds=0.2)

    async def three() -> list[Any]:
        return await asyncio.gather(*(app.ask("POST", INFER, [b"{", None]) for _ in range(3)))

    answers = asyncio.run(three())
    assert sorted(answer.status for answer in answers) == [408, 408, 429]
    (refused,) = (answer for answer in answers if answer.status == 429)
    assert refused.headers["retry-after"] == "1"


@pytest.mark.parametrize("length", ["101", "9" * 30])
def test_a_stated_length_above_the_limit_gets_413_unread(serve: Callable[..., Any], length: str) -> None:
    app = serve(max_body_bytes=100)
    answer = asyncio.run(app.ask("POST", INFER, [], **{"content-length": length}))
    assert answer.status == 413
    assert answer.headers["connection"] == "close"


def test_a_body_that_grows_above_the_limit_gets_413(serve: Callable[..., Any]) -> None:
    app = serve(max_body_bytes=100)
    assert asyncio.run(app.ask("POST", INFER, [b"x" * 60, b"x" * 60, b"x" * 60])).status == 413


def test_a_required_input_that_the_view_lacks_is_refused(serve: Callable[..., Any]) -> None:
    app = serve(features=AnsweredFeatures({"distance": None}))
    answer = app.call("POST", INFER, without("distance", origin=["JFK"]))
    assert answer.status == 400
    assert "distance" in answer.json["error"]


@pytest.mark.parametrize(
    ("values", "used"),
    [
        ({"wind": float("nan"), "visibility": 3}, (None, 3.0)),
        ({"wind": True, "visibility": False}, (1.0, 0.0)),
        ({"wind": None, "visibility": 2.5}, (None, 2.5)),
    ],
)
def test_values_of_a_view_become_what_the_model_takes(
    serve: Callable[..., Any], values: dict[str, Any], used: tuple[Any, Any]
) -> None:
    app = serve(features=AnsweredFeatures(values))
    assert app.call("POST", INFER, without("wind", "visibility", origin=["JFK"])).status == 200
    (row,) = app.log.rows
    assert (row.features["wind"], row.features["visibility"]) == used


def test_values_of_a_view_that_the_model_cannot_take_give_503(serve: Callable[..., Any]) -> None:
    app = serve(features=AnsweredFeatures({"wind": "strong"}))
    assert app.call("POST", INFER, without("wind", origin=["JFK"])).status == 503


@pytest.mark.parametrize("problem", [NotFound("no such view"), Unavailable("the store is away")])
def test_features_that_cannot_be_read_give_503(serve: Callable[..., Any], problem: Exception) -> None:
    answer = serve(features=BrokenFeatures(problem)).call("POST", INFER, without("wind", origin=["JFK"]))
    assert answer.status == 503
    assert answer.headers["retry-after"]


def test_a_server_without_features_names_the_missing_inputs(serve: Callable[..., Any]) -> None:
    answer = serve(features=None).call("POST", INFER, without("wind", origin=["JFK"]))
    assert answer.status == 400
    assert "'wind'" in answer.json["error"]


def test_many_rows_are_answered_in_their_order(serve: Callable[..., Any]) -> None:
    app = serve()
    answer = app.call("POST", INFER, full_request(rows=4096))
    assert [row.output["probability"] for row in app.log.rows] == answer.json["outputs"][0]["data"]
    assert [row.features["distance"] for row in app.log.rows[:3]] == [1400.5, 1410.5, 1420.5]


def test_the_metrics_count_what_happened(serve: Callable[..., Any]) -> None:
    app = serve()
    app.call("POST", INFER, full_request(rows=3))
    app.call("POST", INFER, b"no JSON")
    app.call("POST", "/v2/models/other/infer", b"")
    lines = app.call("GET", "/metrics").body.decode().splitlines()
    for expected in (
        'stackproof_serving_requests_total{status="200"} 1',
        'stackproof_serving_requests_total{status="400"} 1',
        'stackproof_serving_refusals_total{reason="malformed"} 1',
        'stackproof_serving_refusals_total{reason="unknown_model"} 1',
        'stackproof_serving_predictions_total{version="1"} 3',
        "stackproof_serving_rows_total 3",
        "stackproof_serving_in_flight 0",
        'stackproof_serving_request_seconds_bucket{le="0.5"} 0',
        'stackproof_serving_request_seconds_bucket{le="1.0"} 3',
        'stackproof_serving_request_seconds_bucket{le="+Inf"} 3',
        "stackproof_serving_request_seconds_sum 3.0",
        "stackproof_serving_request_seconds_count 3",
    ):
        assert expected in lines
