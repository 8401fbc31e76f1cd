from datetime import timedelta
from typing import Any

import polars as pl
import pytest

from stackproof.adapters.features.embedded import EmbeddedFeatures
from stackproof.errors import InvalidTable, RefusedInput
from stackproof.roles.features import Aggregate, Feature, FeatureView, LookupRequest
from stackproof.testing.features_reference import hours

SOURCE = pl.DataFrame({"key": ["a"], "known_at": [hours(0)], "x": [1.0], "text": ["t"]})
ROWS = pl.DataFrame({"key": ["a"], "at": [hours(1)]})
PLAIN = (Feature("f", "x"),)
SUMS = (Feature("f", "x", Aggregate.SUM),)
HOUR = timedelta(hours=1)


def view_with(**changes: Any) -> FeatureView:
    given: dict[str, Any] = {
        "name": "v",
        "source": "s",
        "entity": ("key",),
        "known_at": "known_at",
        "features": PLAIN,
    }
    return FeatureView(**(given | changes))


@pytest.mark.parametrize(
    ("view", "said"),
    [
        (view_with(features=()), "no feature"),
        (view_with(entity=()), "no entity column"),
        (view_with(entity=("key", "key")), "entity column twice"),
        (view_with(features=(*PLAIN, *PLAIN)), "'f' twice"),
        (view_with(features=(*PLAIN, Feature("g", "x", Aggregate.SUM)), window=HOUR), "mixes"),
        (view_with(features=SUMS), "need a window"),
        (view_with(window=HOUR), "needs aggregates"),
        (view_with(features=SUMS, window=timedelta(0)), "not longer than 0"),
        (view_with(max_age=-HOUR), "negative"),
        (view_with(features=SUMS, window=HOUR, max_age=HOUR), "a window and a max_age"),
    ],
)
def test_a_view_that_is_not_sound_is_refused_and_the_fault_named(
    features: EmbeddedFeatures, view: FeatureView, said: str
) -> None:
    with pytest.raises(RefusedInput, match=said):
        features.point_in_time_join(ROWS, [(view, SOURCE)], as_of="at")
    with pytest.raises(RefusedInput, match=said):
        features.materialize(view, SOURCE, version="v")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (pl.col("key").replace_strict({"a": 1.5}), "key column 'key' has the type Float64"),
        (pl.lit("2024-01-01").alias("known_at"), "an instant is a UTC timestamp"),
        (pl.lit(5).alias("known_at"), "an instant is a UTC timestamp"),
        (pl.lit("t").alias("x"), "needs numbers or booleans"),
    ],
)
def test_a_source_with_an_unfit_type_is_refused(features: EmbeddedFeatures, changed: pl.Expr, said: str) -> None:
    view = view_with(features=SUMS, window=HOUR)
    with pytest.raises(InvalidTable, match=said):
        features.point_in_time_join(ROWS, [(view, SOURCE.with_columns(changed))], as_of="at")


def test_every_fault_is_named_at_once(features: EmbeddedFeatures) -> None:
    with pytest.raises(InvalidTable) as refused:
        features.materialize(view_with(), SOURCE.select("text"), version="v")
    assert len(refused.value.faults) == 3


def test_a_misspelt_column_is_answered_with_the_one_meant(features: EmbeddedFeatures) -> None:
    with pytest.raises(InvalidTable, match="did you mean 'known_at'"):
        features.materialize(view_with(known_at="known_att"), SOURCE, version="v")


def test_a_string_key_does_not_meet_an_integer_key(features: EmbeddedFeatures) -> None:
    with pytest.raises(InvalidTable, match="integer in the rows and string in 's'"):
        features.point_in_time_join(ROWS.with_columns(key=pl.lit(1)), [(view_with(), SOURCE)], as_of="at")


def test_a_key_of_another_type_is_refused_at_lookup(features: EmbeddedFeatures) -> None:
    features.materialize(view_with(), SOURCE, version="v")
    with pytest.raises(RefusedInput, match=r"Got: 5\. Allowed: string"):
        features.lookup("v", [LookupRequest({"key": 5})])


def test_a_feature_without_an_online_value_is_refused_and_named(features: EmbeddedFeatures) -> None:
    view = view_with(features=(Feature("when", "known_at"),))
    assert features.point_in_time_join(ROWS, [(view, SOURCE)], as_of="at").get_column("when").to_list() == [hours(0)]
    with pytest.raises(InvalidTable, match="'when' of 'v' cannot be looked up online"):
        features.materialize(view, SOURCE, version="v")


def test_what_is_no_table_is_refused(features: EmbeddedFeatures) -> None:
    with pytest.raises(InvalidTable, match="'the rows to join' is no table"):
        features.point_in_time_join(7, [(view_with(), SOURCE)], as_of="at")  # type: ignore[arg-type]  # meant


@pytest.mark.parametrize("dtype", [pl.Categorical, pl.Enum(["a", "b"]), pl.String])
def test_categories_are_keys_like_strings(features: EmbeddedFeatures, dtype: Any) -> None:
    source = SOURCE.with_columns(pl.col("key").cast(dtype))
    result = features.point_in_time_join(ROWS, [(view_with(), source)], as_of="at")
    features.materialize(view_with(), source, version="v")
    assert result.get_column("f").to_list() == [1.0]
    assert features.lookup("v", [LookupRequest({"key": "a"})])[0].values == {"f": 1.0}


@pytest.mark.parametrize(
    ("rows_type", "source_type"), [(pl.UInt64, pl.Int64), (pl.Int8, pl.UInt64), (pl.UInt64, pl.UInt64)]
)
def test_integer_keys_of_any_width_meet_without_wrapping(
    features: EmbeddedFeatures, rows_type: Any, source_type: Any
) -> None:
    largest = 2**64 - 1 if source_type == pl.UInt64 else -1
    source = pl.DataFrame(
        {"key": pl.Series([5, largest], dtype=source_type), "known_at": [hours(0)] * 2, "x": [1.0, 2.0]}
    )
    rows = pl.DataFrame({"key": pl.Series([5, 6], dtype=rows_type), "at": [hours(1)] * 2})
    if rows_type == pl.UInt64:
        rows = pl.concat([rows, pl.DataFrame({"key": pl.Series([2**64 - 1], dtype=rows_type), "at": [hours(1)]})])
    found = features.point_in_time_join(rows, [(view_with(), source)], as_of="at").get_column("f").to_list()
    assert found == [1.0, None, *([2.0 if source_type == pl.UInt64 else None] if rows_type == pl.UInt64 else [])]


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "America/New_York"])
def test_instants_of_any_unit_and_zone_are_compared_as_instants(
    features: EmbeddedFeatures, unit: Any, zone: str | None
) -> None:
    at = pl.col("known_at").dt.cast_time_unit(unit)
    local = at.dt.replace_time_zone(None) if zone is None else at.dt.convert_time_zone(zone)
    source = pl.concat([SOURCE, SOURCE.with_columns(known_at=pl.lit(hours(2)), x=pl.lit(2.0))]).with_columns(local)
    rows = pl.DataFrame({"key": ["a"] * 3, "at": [hours(-0.1), hours(1), hours(2)]})
    found = features.point_in_time_join(rows, [(view_with(), source)], as_of="at").get_column("f").to_list()
    assert found == [None, 1.0, 2.0]


@pytest.mark.parametrize("aggregate", [None, *Aggregate])
def test_columns_of_nothing_but_null_give_nothing(features: EmbeddedFeatures, aggregate: Aggregate | None) -> None:
    view = view_with(features=(Feature("f", "x", aggregate),), window=None if aggregate is None else HOUR)
    empty = pl.DataFrame({"key": [None], "known_at": [None], "x": [None]})
    nothing = 0 if aggregate in (Aggregate.COUNT, Aggregate.SUM) else None
    assert features.point_in_time_join(ROWS, [(view, empty)], as_of="at").get_column("f").to_list() == [nothing]
    blank = features.point_in_time_join(ROWS.with_columns(key=None), [(view, SOURCE)], as_of="at")
    assert blank.get_column("f").to_list() == [None]
    assert features.materialize(view, empty, version="v").rows == 0
    assert features.lookup("v", [LookupRequest({"key": "a"})])[0].values == {"f": nothing}


@pytest.mark.parametrize("aggregate", Aggregate)
@pytest.mark.parametrize("dtype", [pl.Boolean, pl.Int8, pl.UInt64, pl.Float32, pl.Decimal(10, 2)])
def test_any_kind_of_number_can_be_aggregated(features: EmbeddedFeatures, aggregate: Aggregate, dtype: Any) -> None:
    view = view_with(features=(Feature("f", "x", aggregate),), window=HOUR)
    source = pl.DataFrame({"key": ["a"] * 3, "known_at": [hours(0)] * 3, "x": pl.Series([1, 1, None]).cast(dtype)})
    rows = pl.DataFrame({"key": ["a", "a"], "at": [hours(0), hours(2)]})
    found = features.point_in_time_join(rows, [(view, source)], as_of="at").get_column("f").to_list()
    expected = 2 if aggregate in (Aggregate.COUNT, Aggregate.SUM) else 1
    assert found == [expected, 0 if expected == 2 else None]


def test_no_views_give_the_rows_alone(features: EmbeddedFeatures) -> None:
    assert features.point_in_time_join(ROWS, [], as_of="at").equals(ROWS)
