"""What a materialization is in Feast: the columns that it writes, and the feature view that describes them.

The tags of the feature view hold what Feast has no place for: the version, the number of rows, the watermark, and the
definition as it was given.
"""

import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

from stackproof.adapters.features.feast_changes import Changes, micros
from stackproof.adapters.features.feast_columns import is_text, whole
from stackproof.adapters.features.feast_library import tool_module
from stackproof.errors import InvalidTable, RefusedInput
from stackproof.roles.features import Aggregate, Feature, FeatureRow, FeatureView, Materialization, Value

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TAG = "stackproof"
SEEN = "known_at_us"
SEEN_IS = "the instant of the latest row used, in microseconds since 1970"
SPANS = ("window", "max_age")


@dataclass(frozen=True, slots=True)
class Served:
    """One materialization. `generation`: the version of the feature view, which no other of the repository has.

    `watermark`: microseconds since 1970; None with no rows. `token`: what the online store must hold beside the rows
    of this materialization and of no other. `seen`: the name of the feature with the instant of the row used.
    `kinds`: of each key column, as `key_kind` names them.
    """

    view: FeatureView
    version: str
    rows: int
    watermark: int | None
    generation: int
    token: int
    seen: str
    kinds: Mapping[str, str]

    @staticmethod
    def new(view: FeatureView, changes: Changes, version: str, generation: int, kinds: Mapping[str, str]) -> "Served":
        """Raises `RefusedInput` for names that Feast can't keep."""
        _check_names(view)
        seen = _free(SEEN, [*view.entity, *(feature.name for feature in view.features)])
        token = secrets.randbits(62)
        return Served(view, version, changes.rows, changes.watermark, generation, token, seen, kinds)

    @property
    def file(self) -> str:
        return f"{quote(self.view.name, safe='')[:100]}-v{self.generation}.parquet"

    @property
    def at(self) -> str:
        """The name of the column with the instant from which on a row's values hold."""
        return _free(self.view.known_at, [*self.view.entity, *(f.name for f in self.view.features), self.seen])

    def materialization(self) -> Materialization:
        watermark = None if self.watermark is None else instant_of(self.watermark)
        return Materialization(self.view.name, self.version, self.rows, watermark)

    def nothing(self) -> FeatureRow:
        """For an entity whose key is null."""
        return FeatureRow(dict.fromkeys(feature.name for feature in self.view.features), None, self.version)

    def empty(self) -> FeatureRow:
        """For an entity of which nothing is known: an aggregate is that of an empty window."""
        zeros = {f.name: 0 for f in self.view.features if f.aggregate in (Aggregate.COUNT, Aggregate.SUM)}
        return FeatureRow({**self.nothing().values, **zeros}, None, self.version)

    def row(self, values: Mapping[str, Value], seen: int | None, instant: int) -> FeatureRow:
        """What was found, unless it is too old at the instant."""
        if seen is None:
            return self.empty()
        if self.view.max_age is not None and instant - seen > micros(self.view.max_age):
            return self.empty()
        return FeatureRow(values, instant_of(seen), self.version)

    def is_latest(self, instant: datetime | None) -> bool:
        """Whether the values at this instant are those that are served online. A window empties as time goes on."""
        if instant is None or self.watermark is None:
            return True
        at = microseconds(instant)
        return at == self.watermark or (at > self.watermark and self.view.window is None)


@dataclass(frozen=True, slots=True)
class Content:
    """What a materialization writes, by the names that it has in Feast: a row for each change."""

    keys: Mapping[str, Any]
    values: Mapping[str, Any]


def content_of(view: FeatureView, changes: Changes) -> Content:
    """Raises `InvalidTable` for a feature whose type has no online value."""
    values = {f.name: _served(view, f.name, changes.values.column(n)) for n, f in enumerate(view.features)}
    return Content(dict(zip(view.entity, changes.keys, strict=True)), values)


def feast_type(column: Any) -> str:
    """Feast's name for the type of a column of a `Content`."""
    types = tool_module("pyarrow").types
    if types.is_integer(column.type):
        return "Int64"
    if types.is_floating(column.type):
        return "Float64"
    return "Bool" if types.is_boolean(column.type) else "String"


def definitions(store: Any, served: Served, content: Content, source: Path) -> list[Any]:
    """The entities and the feature view of a materialization."""
    feast, types = tool_module("feast"), tool_module("feast.types")
    kinds = {name: feast_type(column) for name, column in content.keys.items()}
    entities = [_entity(store, name, kind) for name, kind in kinds.items()]
    kinds |= {name: feast_type(column) for name, column in content.values.items()}
    fields = [feast.Field(name=name, dtype=getattr(types, kind)) for name, kind in kinds.items()]
    view = feast.FeatureView(
        name=served.view.name,
        version=f"v{served.generation}",
        entities=entities,
        schema=[*fields, feast.Field(name=served.seen, dtype=types.Int64, description=SEEN_IS)],
        source=feast.FileSource(name=served.view.name, path=str(source), timestamp_field=served.at),
        ttl=served.view.max_age,
        description=_description(served.view),
        tags=_tags(served),
    )
    return [*entities, view]


def served_by(store: Any) -> dict[str, Served]:
    """The materializations of a registry, by view name; feature views that others made are left alone."""
    return {view.name: _read(view.tags[TAG]) for view in store.list_feature_views(allow_cache=True) if TAG in view.tags}


def microseconds(instant: datetime) -> int:
    """Since 1970; an instant without a zone is read as UTC."""
    aware = instant if instant.tzinfo is not None else instant.replace(tzinfo=UTC)
    return (aware - EPOCH) // timedelta(microseconds=1)


def instant_of(micros_since_1970: int) -> datetime:
    return EPOCH + timedelta(microseconds=micros_since_1970)


def _served(view: FeatureView, name: str, column: Any) -> Any:
    pyarrow = tool_module("pyarrow")
    types, kind = pyarrow.types, column.type
    if types.is_dictionary(kind):
        kind = kind.value_type
    if types.is_floating(kind) or types.is_decimal(kind) or types.is_null(kind):
        kept = pyarrow.float64()
    elif types.is_integer(kind):
        kept = pyarrow.int64()
    elif types.is_boolean(kind):
        kept = kind
    else:
        kept = pyarrow.large_string() if is_text(kind) else None
    try:
        return whole(column.cast(kept)) if kept is not None else _not_served(view, name, kind)
    except pyarrow.ArrowInvalid as unfit:
        return _not_served(view, name, unfit)


def _not_served(view: FeatureView, name: str, got: object) -> None:
    raise InvalidTable(
        f"The feature {name!r} of {view.name!r} cannot be looked up online",
        got=got, allowed="numbers of up to 64 bits, booleans and strings",
    )  # fmt: skip


def _entity(store: Any, name: str, kind: str) -> Any:
    """The entity of a key column; one of this name and another type stays as it is for the views that have it."""
    feast = tool_module("feast")
    value_type = feast.ValueType[kind.upper()]
    others = {entity.name: entity.value_type for entity in store.list_entities(allow_cache=True)}
    free = name if others.get(name, value_type) == value_type else f"{name}_{kind.lower()}"
    return feast.Entity(name=free, join_keys=[name], value_type=value_type)


def _check_names(view: FeatureView) -> None:
    columns = [*view.entity, *(feature.name for feature in view.features)]
    folded = [column.lower() for column in columns]
    faults = [
        f"{column!r} names two columns; DuckDB, with which Feast reads, makes no difference of capitals"
        for column, low in zip(columns, folded, strict=True)
        if folded.count(low) > 1
    ]
    if any(sign in view.name for sign in "@:") or not view.name:
        faults.append("its name is empty or holds : or @, which mean something else to Feast")
    if faults:
        raise RefusedInput(f"Feast can't keep the feature view {view.name!r}", faults=faults)


def _free(name: str, taken: Iterable[str]) -> str:
    folded = {other.lower() for other in taken}
    while name.lower() in folded:
        name += "_"
    return name


def _description(view: FeatureView) -> str:
    known = f"known at {view.known_at}"
    if view.window is None:
        return f"{view.source}, {known}"
    what = ", ".join(f"{feature.aggregate} of {feature.column}" for feature in view.features)
    return f"{view.source}, {known}: {what} over {view.window}; a row for each instant at which one changes"


def _tags(served: Served) -> dict[str, str]:
    kept: dict[str, Any] = {name: getattr(served, name) for name in Served.__dataclass_fields__ if name != "view"}
    definition = asdict(served.view)
    for span in SPANS:
        definition[span] = None if definition[span] is None else micros(definition[span])
    watermark = "" if served.watermark is None else instant_of(served.watermark).isoformat()
    return {
        "version": served.version,
        "rows": str(served.rows),
        "watermark": watermark,
        TAG: json.dumps(kept | {"kinds": dict(served.kinds), "view": definition}, ensure_ascii=False),
    }


def _read(tag: str) -> Served:
    kept = json.loads(tag)
    definition = kept.pop("view")
    for span in SPANS:
        definition[span] = None if definition[span] is None else timedelta(microseconds=definition[span])
    features = tuple(
        Feature(f["name"], f["column"], None if f["aggregate"] is None else Aggregate(f["aggregate"]))
        for f in definition.pop("features")
    )
    view = FeatureView(**definition | {"entity": tuple(definition["entity"]), "features": features})
    return Served(view=view, **kept)
