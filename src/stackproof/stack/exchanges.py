"""What a service was asked and answered, as rows of inputs and outputs. Standard library only."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from stackproof.errors import RefusedInput
from stackproof.roles.features import Value

Row = Mapping[str, Value]
VECTORS = "instances"
RECORDS = (VECTORS, "dataframe_records", "inputs", "rows", "records", "data")
"""Keys below which services take rows: those of TensorFlow Serving, MLflow and habit."""
SPLIT = "dataframe_split"
VERSION = "model_version"
MOST_VALUES = 10_000
PLAIN = (str, int, float, bool, type(None))


def rows_of(asked: Any, answered: Any) -> list[tuple[Row, Row]]:
    """The inputs and outputs of each row, in order.

    Several rows are a list of objects, alone or below one of `RECORDS` ("instances" may also be lists of values), or
    MLflow's `dataframe_split`; anything else is one row. What is nested gets names with dots. Raises `RefusedInput`
    for what can't be told apart so.
    """
    several = _records(asked)
    if several is None:
        return [(flat(_unwrapped(asked), "input"), flat(_without_version(answered), "prediction"))]
    outputs = _outputs(_without_version(answered), len(several))
    return [(flat(row, "input"), output) for row, output in zip(several, outputs, strict=True)]


def version_in(answered: Any) -> int | None:
    """The model version that the answer names as `model_version`; None when it names none."""
    named = answered.get(VERSION) if isinstance(answered, Mapping) else None
    if isinstance(named, str) and named.isascii() and named.isdigit():
        return int(named)
    return named if isinstance(named, int) and not isinstance(named, bool) else None


def flat(value: Any, alone: str) -> dict[str, Value]:
    """Nested values by names with dots; a value without a name is called `alone`. Raises `RefusedInput`."""
    found: dict[str, Value] = {}
    for name, plain in _leaves("", value):
        found[name or alone] = plain
        if len(found) > MOST_VALUES:
            raise RefusedInput("A row has too many values", got=f"more than {MOST_VALUES}", allowed="at most that")
    return found


def _leaves(name: str, value: Any) -> Iterator[tuple[str, Value]]:
    if isinstance(value, Mapping):
        for key, below in value.items():
            yield from _leaves(f"{name}.{key}" if name else str(key), below)
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        for place, below in enumerate(value):
            yield from _leaves(f"{name}.{place}" if name else str(place), below)
    elif isinstance(value, PLAIN):
        yield name, value
    else:
        raise RefusedInput("A value can't be recorded", got=type(value).__name__, allowed="what JSON has")


def _records(asked: Any) -> list[Any] | None:
    """Several rows; None for a single one."""
    if isinstance(asked, Mapping):
        if SPLIT in asked:
            return _split(asked[SPLIT])
        found = next((key for key in RECORDS if _is_records(asked.get(key), lists=key == VECTORS)), None)
        return None if found is None else list(asked[found])
    return list(asked) if _is_records(asked) else None


def _is_records(value: Any, *, lists: bool = False) -> bool:
    if not isinstance(value, list) or not value:
        return False
    return all(isinstance(row, Mapping) for row in value) or (lists and all(isinstance(row, list) for row in value))


def _unwrapped(asked: Any) -> Any:
    """One row below one of the keys is that row."""
    if isinstance(asked, Mapping) and len(asked) == 1:
        ((key, row),) = asked.items()
        return row if key in RECORDS and isinstance(row, Mapping) else asked
    return asked


def _split(given: Any) -> list[Any]:
    try:
        columns, data = given["columns"], given["data"]
        return [dict(zip(columns, row, strict=True)) for row in data]
    except (KeyError, TypeError, ValueError) as strange:
        raise RefusedInput(f"The {SPLIT} is malformed", got=strange, allowed="columns, and data as rows") from strange


def _outputs(answered: Any, count: int) -> list[dict[str, Value]]:
    """One of each row: a list as long as the rows, alone or below the keys that have such lists."""
    if isinstance(answered, list) and len(answered) == count:
        return [flat(output, "prediction") for output in answered]
    if isinstance(answered, Mapping):
        lists = {key: it for key, it in answered.items() if isinstance(it, list) and len(it) == count}
        if lists:
            return [flat({key: it[place] for key, it in lists.items()}, "prediction") for place in range(count)]
    if count == 1:
        return [flat(answered, "prediction")]
    raise RefusedInput(
        "The answer can't be told apart by row", got=f"{count} rows were asked",
        allowed=f"a list of {count} values, alone or as a member",
    )  # fmt: skip


def _without_version(answered: Any) -> Any:
    if isinstance(answered, Mapping):
        return {key: value for key, value in answered.items() if key != VERSION}
    return answered
