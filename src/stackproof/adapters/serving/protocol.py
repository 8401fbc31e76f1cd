"""An infer request of Open Inference Protocol v2 (REST), from its bytes to checked columns."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from stackproof.adapters.serving.columns import check_required, reader_for, shown, texts
from stackproof.errors import RefusedInput, did_you_mean
from stackproof.roles.features import Value
from stackproof.roles.serving import Signature, TensorSpec

EVENT_TIME = "event_time"
_REQUEST_KEYS = frozenset({"id", "parameters", "inputs", "outputs"})
_TENSOR_KEYS = frozenset({"name", "shape", "datatype", "data", "parameters"})
_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_LONGEST_ID = 256


@dataclass(frozen=True, slots=True)
class InferRequest:
    """A checked request. `columns`: model inputs by name; `keys`: further inputs, for lookups.

    `event_times`: one per row, None for the latest; None as a whole when the request states none.
    `outputs`: the names wanted, in order.
    """

    id: str
    rows: int
    columns: Mapping[str, Sequence[Value]]
    keys: Mapping[str, Sequence[Value]]
    event_times: Sequence[datetime | None] | None
    outputs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ParsedRequest:
    """A JSON object with its identifier, not yet held against a signature."""

    id: str
    content: Mapping[str, Any]


def parse(body: bytes, new_request_id: Callable[[], str]) -> ParsedRequest:
    """Raises `RefusedInput` when the body is no JSON object or its id is not usable."""
    content = _json_object(body)
    if not content.keys() <= _REQUEST_KEYS:
        _check_names("The request has an unknown key", content, _REQUEST_KEYS)
    given = _request_id(content.get("id"))
    return ParsedRequest(new_request_id() if given is None else given, content)


class RequestReader:
    """Reads requests for one signature. Raises `RefusedInput` for whatever is wrong with one."""

    def __init__(self, signature: Signature, max_rows: int) -> None:
        self._specs = {spec.name: spec for spec in signature.inputs}
        self._keys = {key for _, keys in signature.views for key in keys} - self._specs.keys()
        self._outputs = tuple(spec.name for spec in signature.outputs)
        self._max_rows = max_rows

    def read(self, parsed: ParsedRequest) -> InferRequest:
        request = parsed.content
        tensors = request.get("inputs")
        if type(tensors) is not list or not tensors:
            raise RefusedInput(
                "The request has no inputs", got=shown(tensors), allowed="inputs: a list of at least one tensor"
            )
        rows = self._rows(tensors[0])
        shapes = ([rows], [rows, 1])
        columns: dict[str, Sequence[Value]] = {}
        keys: dict[str, Sequence[Value]] = {}
        for tensor in tensors:
            name = self._name(tensor)
            if name in columns or name in keys:
                raise RefusedInput(f"The input {shown(name)} is given twice", allowed="each input once")
            spec = self._specs.get(name)
            (columns if spec else keys)[name] = _values(tensor, name, spec, shapes)
        stated = keys.pop(EVENT_TIME, None) if EVENT_TIME not in self._keys else None
        return InferRequest(
            id=parsed.id,
            rows=rows,
            columns=columns,
            keys=keys,
            event_times=_event_times(stated, _parameters(request), rows),
            outputs=self._wanted(request.get("outputs")),
        )

    def _rows(self, tensor: Any) -> int:
        """The first tensor says how many rows there are; each is then held against that."""
        name = self._name(tensor)
        shape = tensor.get("shape")
        if type(shape) is not list or not shape or type(shape[0]) is not int:
            raise _wrong_shape(name, shape, "[n] or [n, 1]")
        if not 1 <= shape[0] <= self._max_rows:
            raise _wrong_shape(name, shape, f"from 1 to {self._max_rows} rows")
        return shape[0]

    def _name(self, tensor: Any) -> str:
        if type(tensor) is not dict:
            raise RefusedInput("An input is not an object", got=shown(tensor), allowed="a tensor")
        if not tensor.keys() <= _TENSOR_KEYS:
            _check_names("An input has an unknown key", tensor, _TENSOR_KEYS)
        name = tensor.get("name")
        if type(name) is not str:
            raise RefusedInput("An input has no name", got=shown(name), allowed="a string")
        if name not in self._specs and name not in self._keys and name != EVENT_TIME:
            known = [*self._specs, *sorted(self._keys), EVENT_TIME]
            raise RefusedInput(
                f"The model has no input {shown(name)}{did_you_mean(name[:80], known)}", allowed=", ".join(known)
            )
        return name

    def _wanted(self, outputs: Any) -> tuple[str, ...]:
        if outputs is None or outputs == []:
            return self._outputs
        if type(outputs) is not list or not all(type(wanted) is dict for wanted in outputs):
            raise RefusedInput("The outputs are not a list of objects", got=shown(outputs))
        names = [wanted.get("name") for wanted in outputs]
        for name in names:
            if name not in self._outputs or names.count(name) > 1:
                raise RefusedInput(
                    "An output is unknown or asked for twice", got=shown(name), allowed=", ".join(self._outputs)
                )
        return tuple(names)


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        request = orjson.loads(body)
    except orjson.JSONDecodeError as fault:
        names_no_number = re.search(rb"\b(NaN|Infinity)\b", body)
        raise RefusedInput(
            "The request body is not JSON",
            got=str(fault),
            allowed="null for a missing value; JSON has no NaN and no Infinity"
            if names_no_number
            else "one JSON object in UTF-8",
        ) from fault
    if type(request) is not dict:
        raise RefusedInput("The request is not a JSON object", got=shown(request), allowed="an object")
    return request


def _check_names(what: str, found: Mapping[str, Any], known: frozenset[str]) -> None:
    for name in found.keys() - known:
        raise RefusedInput(f"{what}{did_you_mean(name[:80], known)}", got=shown(name), allowed=", ".join(sorted(known)))


def _values(
    tensor: Mapping[str, Any], name: str, spec: TensorSpec | None, shapes: tuple[list[int], list[int]]
) -> Sequence[Value]:
    shape, data, datatype = tensor.get("shape"), tensor.get("data"), tensor.get("datatype")
    rows = shapes[0][0]
    if shape not in shapes or type(shape[0]) is not int or type(shape[-1]) is not int:  # 1 == 1.0 == True
        raise _wrong_shape(name, shape, f"[{rows}] or [{rows}, 1], as all inputs have the same rows")
    if type(data) is not list:
        raise RefusedInput(f"The input {shown(name)} has no data", got=shown(data), allowed="data: an array")
    if len(data) != rows:
        raise _wrong_shape(name, f"{len(data)} values", f"{rows} values, as the shape says")
    if type(data[0]) is list and len(shape) == 2:
        data = _unnested(name, data)
    reader = reader_for(datatype, spec.datatype if spec else None) if type(datatype) is str else None
    if reader is None:
        raise RefusedInput(
            f"The input {shown(name)} has the wrong datatype",
            got=shown(datatype),
            allowed=spec.datatype if spec else "BYTES, BOOL, INT64 or FP64",
        )
    values = reader(name, data)
    if spec is not None and spec.required:
        check_required(spec, values)
    return values


def _unnested(name: str, data: list[Any]) -> list[Any]:
    for row in data:
        if type(row) is not list or len(row) != 1:
            raise _wrong_shape(name, shown(row), "arrays of one value each, as the shape says")
    return [row[0] for row in data]


def _wrong_shape(name: str, got: object, allowed: str) -> RefusedInput:
    text = str(got)[:80] if type(got) is list else got if type(got) is str else shown(got)
    return RefusedInput(f"The input {shown(name)} has the wrong shape", got=text, allowed=allowed)


def _request_id(given: Any) -> str | None:
    if given is None:
        return None
    if type(given) is not str or not 1 <= len(given) <= _LONGEST_ID:
        raise RefusedInput(
            "The id of the request is not usable", got=shown(given), allowed=f"1 to {_LONGEST_ID} characters"
        )
    return given


def _parameters(request: Mapping[str, Any]) -> Mapping[str, Any]:
    parameters = request.get("parameters")
    if parameters is None:
        return {}
    if type(parameters) is not dict:
        raise RefusedInput("The parameters are not an object", got=shown(parameters), allowed="an object")
    return parameters


def _event_times(
    column: Sequence[Value] | None, parameters: Mapping[str, Any], rows: int
) -> Sequence[datetime | None] | None:
    single = parameters.get(EVENT_TIME)
    if column is not None and single is not None:
        raise RefusedInput("The event time is given twice", allowed="as a parameter or as an input, not both")
    if column is not None:
        return [None if text is None else _instant(text) for text in texts(EVENT_TIME, column)]
    return None if single is None else [_instant(single)] * rows


def _instant(text: Any) -> datetime:
    """RFC 3339, to UTC. Digits after the microsecond are dropped."""
    if type(text) is str and _RFC_3339.fullmatch(text):
        try:
            return datetime.fromisoformat(text.upper()).astimezone(UTC)
        except (ValueError, OverflowError):
            pass
    raise RefusedInput(
        "The event time is no instant", got=shown(text), allowed="RFC 3339, for example 2013-07-01T12:00:00Z"
    )
