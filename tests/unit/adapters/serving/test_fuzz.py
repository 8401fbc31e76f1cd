"""Hostile requests: whatever comes, the answer is 200 with all of it logged, or a refusal in words."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stackproof.testing.serving_models import FULL_ROW, full_request

INFER = "/v2/models/delays/infer"
QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
THOROUGH = settings(QUICK, max_examples=20_000)

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from([2**31, 2**63, -(2**63) - 1, 1e39, -0.0, 5e-324, "FP64", "BYTES", "\x00", "JFK", *FULL_ROW]),
)
documents = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
keys = st.sampled_from(["name", "shape", "datatype", "data", "parameters", "extra"])
shapes = st.lists(st.integers(-2, 5) | st.sampled_from([2**31, 2**64, 1.0, True]), max_size=3)
tensors = st.dictionaries(keys, documents | shapes, max_size=6)


@st.composite
def damaged_requests(draw: st.DrawFn) -> bytes:
    """A good request with up to four places replaced, and perhaps some bytes after that."""
    content: dict[str, Any] = full_request(rows=draw(st.integers(1, 4)), id="x")
    for _ in range(draw(st.integers(0, 4))):
        where = draw(st.integers(0, len(content["inputs"]) - 1)) if content["inputs"] else None
        if where is None or draw(st.booleans()):
            content[draw(st.sampled_from(["id", "parameters", "outputs", "other"]))] = draw(documents)
        else:
            content["inputs"][where] = draw(_changed_tensor(content["inputs"][where]))
    body = bytearray(json.dumps(content).encode())
    for _ in range(draw(st.integers(0, 2))):
        body[draw(st.integers(0, len(body) - 1))] = draw(st.integers(0, 255))
    return bytes(body)


def _changed_tensor(tensor: Any) -> st.SearchStrategy[Any]:
    if not isinstance(tensor, dict):
        return documents
    one_key = st.tuples(keys, documents | shapes | st.lists(scalars, min_size=1, max_size=4))
    return one_key.map(lambda change: {**tensor, change[0]: change[1]}) | tensors


def _check(app: Any, body: bytes) -> None:
    before = len(app.log.rows)
    answer = app.call("POST", INFER, body)
    if answer.status == 200:
        names = [row.id for row in app.log.rows[before:]]
        assert answer.json["parameters"]["prediction_ids"] == names != []
        assert all(0 <= value <= 1 for value in answer.json["outputs"][0]["data"])
    else:
        assert answer.status == 400, answer
        assert answer.json["error"]
        assert len(app.log.rows) == before


@pytest.fixture
def app(serve: Callable[..., Any]) -> Any:
    return serve()


@QUICK
@given(body=damaged_requests())
def test_a_damaged_request_is_answered_or_refused(app: Any, body: bytes) -> None:
    _check(app, body)


@QUICK
@given(body=st.binary(max_size=200))
def test_random_bytes_are_refused(app: Any, body: bytes) -> None:
    _check(app, body)


@QUICK
@given(content=st.fixed_dictionaries({"inputs": st.lists(tensors, max_size=4)}) | documents)
def test_random_documents_are_refused(app: Any, content: Any) -> None:
    _check(app, json.dumps(content).encode())


@pytest.mark.slow
@THOROUGH
@given(body=damaged_requests())
def test_very_many_damaged_requests_are_answered_or_refused(app: Any, body: bytes) -> None:
    _check(app, body)
