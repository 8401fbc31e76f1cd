"""Requests that a server must refuse with 400, by what is wrong with them."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from stackproof.testing.serving_models import FULL_ROW, full_request, request


def bad_bodies() -> Mapping[str, bytes]:
    """Bodies by name; each is wrong in one way for the model of `xgboost_package`."""
    bodies = dict(_not_json())
    for name, content in [*_wrong_documents(), *_wrong_tensors(), *_wrong_values(), *_wrong_columns()]:
        bodies[name] = json.dumps(content).encode()
    return bodies


def _not_json() -> Iterator[tuple[str, bytes]]:
    good = json.dumps(full_request()).encode()
    yield "an empty body", b""
    yield "only white space", b" \n\t "
    yield "a cut-off body", good[:-20]
    yield "two documents", good + good
    yield "bytes that are not UTF-8", good.replace(b"UA", b"\xff\xfe")
    yield "UTF-16", good.decode().encode("utf-16")
    yield "NaN", good.replace(b"1400.5", b"NaN")
    yield "Infinity", good.replace(b"1400.5", b"Infinity")
    yield "a number beyond a double", good.replace(b"1400.5", b"1e999")
    yield "arrays nested 100,000 deep", b"[" * 100_000 + b"]" * 100_000
    yield "objects nested 20,000 deep", b'{"inputs":' * 20_000 + b"1" + b"}" * 20_000
    yield "a NUL byte", good + b"\0"
    yield "a pickle", b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x8c\x07builtin\x94."
    yield "a lone surrogate", good.replace(b"UA", b"\\ud800")


def _wrong_documents() -> Iterator[tuple[str, Any]]:
    wrong: Any
    for wrong in (None, 1, "text", [], [full_request()], True):
        yield f"the document {json.dumps(wrong)[:20]}", wrong
    yield "no inputs", {}
    for wrong in (None, [], {}, "x", [1], [None], [[]], 3):
        yield f"inputs {json.dumps(wrong)}", {"inputs": wrong}
    yield "an unknown key", {**full_request(), "imputs": []}
    for wrong in (1, "", [], {}, True, "i" * 1000):
        yield f"the id {json.dumps(wrong)[:20]}", full_request(id=wrong)
    for wrong in (1, "x", []):
        yield f"parameters {json.dumps(wrong)}", full_request(parameters=wrong)
    for wrong in ("x", {}, [1], [{}], [{"name": "nothing"}], [{"name": "probability"}] * 2, [{"name": []}]):
        yield f"outputs {json.dumps(wrong)}", full_request(outputs=wrong)
    for wrong in ("yesterday", "2013-07-01", "2013-07-01T12:00:00", "2013-13-01T12:00:00Z", 7, [], True, "９"):
        yield f"the event time {wrong!r}", full_request(parameters={"event_time": wrong})
    for wrong in ("0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2013-07-01T12:00:00+99:99"):
        yield f"the event time {wrong!r}", full_request(parameters={"event_time": wrong})
    twice = full_request(parameters={"event_time": "2013-07-01T12:00:00Z"})
    twice["inputs"].append(request({"event_time": ["2013-07-01T12:00:00Z"]})["inputs"][0])
    yield "two event times", twice


def _wrong_tensors() -> Iterator[tuple[str, Any]]:
    yield from _changed("name", (None, 1, [], {}, "", "distanc", "x" * 10_000, "__class__", "../distance"))
    yield from _changed("shape", (None, 1, "1", [], ["1"], [True], [None], [1.0], [[1]], {"0": 1}))
    yield from _changed("shape", ([0], [-1], [2], [1, 2], [1, -1], [1, True], [1, 1, 1], [4097], [1] * 1000))
    yield from _changed("shape", ([2**31], [2**63], [2**64], [-(2**63)], [10**30]))
    yield from _changed("datatype", (None, 1, "", "FLOAT", "fp64", "BYTES", "BOOL", [], {}, "FP64 "))
    yield from _changed("data", (None, 1, "1", {}, [], [1.0, 2.0], [[1.0]], [[[1.0]]], [[]], [[1.0, 2.0]]))
    unknown = full_request()
    unknown["inputs"][0]["dtype"] = "FP64"
    yield "an unknown key of a tensor", unknown
    nested = full_request()
    nested["inputs"][0] |= {"shape": [1, 1], "data": [[1.0, 2.0]]}
    yield "two values in a row of one", nested


def _wrong_values() -> Iterator[tuple[str, Any]]:
    wrong: Mapping[str, tuple[Any, ...]] = {
        "distance": ("5", True, [], {}, None, 1e39, -1e300, 10**40),
        "seats": (1.5, "5", False, 2**63, -(2**64), 1e300, [], {}),
        "heavy": (0, 1, "true", 1.0, [], {}),
        "carrier": (1, 1.5, True, [], {}),
    }
    for name, values in wrong.items():
        for value in values:
            content = full_request()
            _tensor_of(content, name)["data"] = [value]
            yield f"{name} {json.dumps(value)}", content


def _wrong_columns() -> Iterator[tuple[str, Any]]:
    without = full_request()
    without["inputs"] = [given for given in without["inputs"] if given["name"] != "distance"]
    yield "an input that no view fills is missing", without
    twice = full_request()
    twice["inputs"].append(dict(twice["inputs"][0]))
    yield "an input given twice", twice
    uneven = full_request(rows=2)
    _tensor_of(uneven, "wind").update({"shape": [1], "data": [3.0]})
    yield "columns of two lengths", uneven
    yield "an input that the model has not", request({**{k: [v] for k, v in FULL_ROW.items()}, "altitude": [1.0]})
    keyless = full_request()
    keyless["inputs"] = [given for given in keyless["inputs"] if given["name"] != "wind"]
    yield "a looked-up input without its key", keyless
    yield "too many rows", full_request(rows=4097)


def _changed(key: str, values: tuple[Any, ...]) -> Iterator[tuple[str, Any]]:
    for value in values:
        content = full_request()
        content["inputs"][0][key] = value
        yield f"{key} {json.dumps(value)[:40]}", content
    content = full_request()
    del content["inputs"][0][key]
    yield f"no {key}", content


def _tensor_of(content: dict[str, Any], name: str) -> dict[str, Any]:
    tensors: list[dict[str, Any]] = content["inputs"]
    return next(given for given in tensors if given["name"] == name)
