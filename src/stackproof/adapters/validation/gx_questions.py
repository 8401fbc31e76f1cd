"""What Great Expectations is asked: for each expectation of the contract one of its own, which fails when that does."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stackproof.adapters.validation import wording
from stackproof.adapters.validation.gx_library import NO_TYPE, TYPE_NAMES
from stackproof.adapters.validation.pandas_columns import NUMERIC, Columns
from stackproof.roles.validation import (
    Between,
    ColumnType,
    Expectation,
    HasColumn,
    Missing,
    OneOf,
    References,
    RowCount,
    Unique,
)

VALUES_KEPT = 100
LARGEST_SET = 5_000
"""Different values of a column that is referred to: it took 0.15 ms for each of a set's values (1.24.1)."""
SHARE_STEPS = 1e12
"""A share of rows there, rounded down to one of so many steps, forgives the error of 1 - at_most, but no row."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What Great Expectations is asked for one expectation: a class of `great_expectations.expectations`, its
    arguments, and the values of the suite's parameters. `added`: a column that the table needs for it, by name, and
    `examples` of the values that fail there. `detail` says what fails, when that is known beforehand.
    """

    kind: str
    arguments: Mapping[str, object]
    parameters: Mapping[str, list[Any]] = field(default_factory=dict)
    added: Mapping[str, Any] = field(default_factory=dict)
    examples: Sequence[Any] = ()
    detail: str = ""


def asked_of(position: int, expectation: Expectation, columns: Columns, others: Mapping[str, Columns]) -> Asked:
    match expectation:
        case HasColumn():
            return _type_asked(expectation.column, [expectation.type], columns)
        case Missing():
            mostly = math.floor((1.0 - expectation.at_most) * SHARE_STEPS) / SHARE_STEPS
            return Asked("ExpectColumnValuesToNotBeNull", {"column": expectation.column, "mostly": mostly})
        case Between():
            return _range_asked(expectation, columns)
        case OneOf():
            if columns.is_other_than(expectation.column, (ColumnType.STRING,)):
                return _not_comparable(expectation.column, (ColumnType.STRING,), columns, "strings")
            arguments = {"column": expectation.column, "value_set": list(expectation.values)}
            return Asked("ExpectColumnValuesToBeInSet", arguments)
        case Unique():
            return _key_asked(expectation, columns)
        case References():
            return _reference_asked(position, expectation, columns, others[expectation.table])
        case RowCount():
            return _count_asked(expectation, columns.rows)
    raise AssertionError(f"the kind of {expectation!r} was checked")


def _count_asked(expectation: RowCount, rows: int) -> Asked:
    """Great Expectations refuses bounds that contradict each other; it is asked for the one that is broken."""
    low, high = expectation.at_least, expectation.at_most
    if low is not None and high is not None and low > high:
        low, high = (low, None) if rows < low else (None, high)
    return Asked("ExpectTableRowCountToBeBetween", {"min_value": low, "max_value": high})


def _type_asked(column: str, types: Sequence[str], columns: Columns, detail: str = "") -> Asked:
    if columns.is_empty(column):
        return Asked("ExpectColumnToExist", {"column": column})
    names = [name for kind in types for name in TYPE_NAMES[kind]]
    return Asked("ExpectColumnValuesToBeInTypeList", {"column": column, "type_list": names}, detail=detail)


def _not_comparable(column: str, types: Sequence[str], columns: Columns, with_what: str) -> Asked:
    """The types are asked for, which the column has not, so that Great Expectations says it as well."""
    detail = wording.not_comparable(column, columns.kinds[column], with_what)
    return _type_asked(column, types, columns, detail)


def _range_asked(expectation: Between, columns: Columns) -> Asked:
    """Great Expectations refuses a range without sides, and fails on one turned round; both can be said otherwise."""
    column, low, high = expectation.column, expectation.low, expectation.high
    if columns.is_other_than(column, NUMERIC):
        return _not_comparable(column, NUMERIC, columns, "numbers")
    low, high = None if low == -math.inf else low, None if high == math.inf else high
    if any(side is not None and math.isnan(side) for side in (low, high)) or (
        low is not None and high is not None and low > high
    ):
        return Asked("ExpectColumnValuesToBeNull", {"column": column})
    if low is None and high is None:
        return Asked("ExpectColumnToExist", {"column": column})
    return Asked("ExpectColumnValuesToBeBetween", {"column": column, "min_value": low, "max_value": high})


def _key_asked(expectation: Unique, columns: Columns) -> Asked:
    """Its own check of one column leaves nulls out: a column with several is asked for as a key of columns."""
    keys = list(expectation.columns)
    for column in keys:
        if columns.is_nested(column):
            detail = f"{column} has the type {columns.arrow.schema.field(column).type}, which can't be compared"
            return _type_asked(column, [NO_TYPE], columns, detail)
    if not keys:
        return Asked("ExpectTableRowCountToBeBetween", {"min_value": 0})
    if len(keys) == 1 and columns.nulls(keys[0]) < 2:
        return Asked("ExpectColumnValuesToBeUnique", {"column": keys[0]})
    twice = keys * 2 if len(keys) == 1 else keys
    return Asked("ExpectCompoundColumnsToBeUnique", {"column_list": twice, "ignore_row_if": "never"})


def _reference_asked(position: int, expectation: References, columns: Columns, other: Columns) -> Asked:
    """The other column's values are given when the suite runs: the suite itself names them only."""
    column, place = expectation.column, f"{expectation.table}.{expectation.other_column}"
    if expectation.other_column not in other.kinds:
        return _type_asked(column, [NO_TYPE], columns, f"{place} is missing")
    kind = other.kinds[expectation.other_column]
    comparable = NUMERIC if kind in NUMERIC else (kind,) if kind in TYPE_NAMES else (NO_TYPE,)
    if not other.is_empty(expectation.other_column) and columns.is_other_than(column, comparable):
        return _not_comparable(column, comparable, columns, f"{place} of the type {kind}")
    if columns.has_zone(column) != other.has_zone(expectation.other_column):
        return _type_asked(column, [NO_TYPE], columns, f"one of {column} and {place} has no zone")
    values = other.series(expectation.other_column).dropna().drop_duplicates()
    if len(values) > LARGEST_SET and column in columns.kinds:
        return _large_reference_asked(columns.series(column), values, f"{column} in {place}")
    parameter = f"values_{position}"
    arguments = {"column": column, "value_set": {"$PARAMETER": parameter}}
    return Asked("ExpectColumnValuesToBeInSet", arguments, {parameter: values.tolist()})


def _large_reference_asked(values: Any, others: Any, name: str) -> Asked:
    """The table gets a column that says for each value whether it occurs, as a join would."""
    occurs = values.isin(others).astype("boolean").mask(values.isna())
    lost = values[~occurs.fillna(True)].head(VALUES_KEPT).tolist()
    arguments = {"column": name, "value_set": [True]}
    return Asked("ExpectColumnValuesToBeInSet", arguments, added={name: occurs}, examples=lost)
