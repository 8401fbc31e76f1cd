"""The rows of a materialization: all changes in a Parquet file, and each entity's latest in the online store.

Feast's own `materialize` reads them as NumPy arrays: NaN becomes a missing value, and beside a missing value a large
whole number is rounded. So the online rows are made here, in the form in which its online stores are given them.
"""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from stackproof.adapters.features.feast_changes import Changes, Entities
from stackproof.adapters.features.feast_columns import as_instants, picked, timestamps, whole
from stackproof.adapters.features.feast_library import tool_module
from stackproof.adapters.features.feast_served import Content, Served, feast_type, instant_of
from stackproof.roles.features import Value
from stackproof.store.files import sync

OnlineRow: TypeAlias = tuple[Any, dict[str, Any], datetime, None]
FIELDS = {"Int64": "int64_val", "Float64": "double_val", "Bool": "bool_val", "String": "string_val"}
MARKS: dict[str, Value] = {"Int64": -(2**63), "String": "stackproof: the rows are here"}
"""The key of a row that no entity has. Its value says that the rows of a materialization are in the store."""


def write_source(served: Served, changes: Changes, content: Content, path: Path) -> None:
    """The changes, as a source of Feast's; durable when it returns."""
    columns = {**content.keys, served.at: timestamps(changes.at), **content.values, served.seen: changes.seen}
    tool_module("pyarrow.parquet").write_table(tool_module("pyarrow").table(columns), path)
    sync(path)


def read_source(served: Served, path: Path) -> Changes:
    """The changes that `write_source` wrote."""
    table = tool_module("pyarrow.parquet").read_table(path)
    keys = [whole(table.column(name)) for name in served.view.entity]
    entities = Entities(keys)
    at, _ = as_instants(table.column(served.at))
    order = np.lexsort((at, entities.numbers))
    values = table.select([feature.name for feature in served.view.features]).take(order)
    return Changes(
        [picked(column, order) for column in keys], entities, entities.numbers[order], at[order], values,
        picked(table.column(served.seen), order), served.rows, served.watermark,
    )  # fmt: skip


def mark_of(kind: str) -> Value:
    return MARKS["Int64" if kind in ("integer", "boolean") else "String"]


def online_rows(served: Served, changes: Changes, content: Content) -> list[OnlineRow]:
    """The latest row of each entity up to the watermark; last the mark that all rows before it are there."""
    latest = _latest(changes)
    keys = {name: _protos(picked(column, latest)) for name, column in content.keys.items()}
    columns = {**content.values, served.seen: changes.seen}
    values = {name: _protos(picked(column, latest)) for name, column in columns.items()}
    instants = [instant_of(at) for at in changes.at[latest].tolist()]
    rows = [
        (_entity_key(keys, [column[n] for column in keys.values()]), {k: v[n] for k, v in values.items()}, at, None)
        for n, at in enumerate(instants)
    ]
    proto = tool_module("feast.protos.feast.types.Value_pb2").Value
    marks = [proto(**{FIELDS[kind]: MARKS[kind]}) for kind in map(feast_type, content.keys.values())]
    token = {name: proto() for name in columns} | {served.seen: proto(int64_val=served.token)}
    return [*rows, (_entity_key(keys, marks), token, instant_of(served.watermark or 0), None)]


def _latest(changes: Changes) -> "np.ndarray[Any, Any]":
    known = np.flatnonzero(changes.at <= (changes.watermark or 0))
    numbers = changes.numbers[known]
    last = np.ones(len(known), dtype=bool)
    last[:-1] = numbers[1:] != numbers[:-1]
    return known[last]


def _protos(column: Any) -> list[Any]:
    proto = tool_module("feast.protos.feast.types.Value_pb2").Value
    field = FIELDS[feast_type(column)]
    return [proto() if value is None else proto(**{field: value}) for value in column.to_pylist()]


def _entity_key(names: Iterable[str], values: list[Any]) -> Any:
    proto = tool_module("feast.protos.feast.types.EntityKey_pb2").EntityKey
    return proto(join_keys=list(names), entity_values=values)
