"""What a table breaks of an expectation, in figures: what Deepchecks' own checks do not count."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stackproof.adapters.validation.gx_columns import NUMERIC, Columns
from stackproof.errors import RefusedInput, did_you_mean
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

KINDS = (HasColumn, Missing, Between, OneOf, Unique, References, RowCount)
EXAMPLES, EXAMPLE_CHARACTERS = 5, 80


@dataclass(frozen=True, slots=True)
class Measured:
    """`failing` of `checked` rows fail; `detail` is one line."""

    ok: bool
    failing: int
    checked: int
    detail: str
    examples: tuple[str, ...] = ()


def check(expectation: Expectation, others: Mapping[str, Columns]) -> None:
    """Raises `RefusedInput`."""
    if not isinstance(expectation, KINDS):
        allowed = ", ".join(kind.__name__ for kind in KINDS)
        raise RefusedInput("There is no such kind of expectation", got=repr(expectation), allowed=allowed)
    if isinstance(expectation, Missing) and not 0 <= expectation.at_most <= 1:
        raise RefusedInput(
            f"The share of {expectation.column!r} that may be missing is no share",
            got=repr(expectation.at_most),
            allowed="a number from 0 to 1",
        )
    if isinstance(expectation, References) and expectation.table not in others:
        raise RefusedInput(
            f"The table {expectation.table!r}, which {expectation.column!r} refers to, was not given",
            got=", ".join(sorted(others)) or "no other table",
            allowed="each table that an expectation refers to",
        )


def columns_of(expectation: Any) -> tuple[str, ...]:
    if isinstance(expectation, Unique):
        return expectation.columns
    return () if isinstance(expectation, RowCount) else (expectation.column,)


def measured(expectation: Expectation, columns: Columns, others: Mapping[str, Columns]) -> Measured:
    """`expectation` was checked."""
    for column in columns_of(expectation):
        if column not in columns.kinds:
            return _all_fail(columns, f"{column} is missing{did_you_mean(column, columns.kinds)}")
    match expectation:
        case HasColumn():
            return _typed(expectation, columns.kinds[expectation.column], columns)
        case Missing():
            return missing(expectation, columns.nulls(expectation.column), columns.rows)
        case Between():
            return _between(expectation, columns)
        case OneOf():
            return _one_of(expectation, columns)
        case Unique():
            return _unique(expectation, columns)
        case References():
            return _references(expectation, columns, others[expectation.table])
        case RowCount():
            return _row_count(expectation, columns.rows)
    raise AssertionError(f"the kind of {expectation!r} was checked")


def _typed(expectation: HasColumn, kind: str, columns: Columns) -> Measured:
    fits = kind in (expectation.type, "null") or (expectation.type == ColumnType.NUMBER and kind in NUMERIC)
    told = f"{expectation.column} is {kind}"
    if fits:
        return Measured(True, 0, columns.rows, told)
    return _all_fail(columns, f"{told}, expected {expectation.type}")


def _one_of(expectation: OneOf, columns: Columns) -> Measured:
    if columns.is_other_than(expectation.column, (ColumnType.STRING,)):
        return _not_comparable(columns, expectation.column, "strings")
    shown = ", ".join(expectation.values[:8]) + (", …" if len(expectation.values) > 8 else "")
    values = columns.series(expectation.column).dropna()
    return _of_values(expectation.column, values, values.isin(expectation.values), f"one of {shown}")


def missing(expectation: Missing, nulls: int, rows: int) -> Measured:
    share = nulls / rows if rows else 0.0
    told = f"{share:.2%} of {expectation.column} is missing, at most {expectation.at_most:.2%} expected"
    return Measured(share <= expectation.at_most, nulls, rows, told)


def _between(expectation: Between, columns: Columns) -> Measured:
    column, low, high = expectation.column, expectation.low, expectation.high
    if columns.is_other_than(column, NUMERIC):
        return _not_comparable(columns, column, "numbers")
    values = columns.series(column).dropna()
    fits = values.notna()
    if not columns.is_empty(column):
        fits = fits & (values >= low if low is not None else True) & (values <= high if high is not None else True)
    return _of_values(column, values, fits, _sides(low, high) or "any number")


def _unique(expectation: Unique, columns: Columns) -> Measured:
    """All rows of a group that agree fail; null agrees with null."""
    keys = list(dict.fromkeys(expectation.columns))
    for column in keys:
        if columns.is_nested(column):
            return _not_comparable(columns, column, "itself")
    frame = columns.frame(keys)
    twins = frame[frame.duplicated(keep=False)] if keys else frame.head(0)
    key = ", ".join(keys)
    told = (
        f"{_count(len(twins))} of {columns.rows:,} agree with another in {key}"
        if len(twins)
        else f"no two agree in {key}"
    )
    examples = _examples([", ".join(map(_text, row)) for row in twins.head(100).itertuples(index=False)])
    return Measured(not len(twins), len(twins), columns.rows, told, examples)


def _references(expectation: References, columns: Columns, other: Columns) -> Measured:
    column, place = expectation.column, f"{expectation.table}.{expectation.other_column}"
    if expectation.other_column not in other.kinds:
        return _all_fail(columns, f"{place} is missing")
    kind = other.kinds[expectation.other_column]
    comparable = NUMERIC if kind in NUMERIC else (kind,)
    is_known = kind in list(ColumnType) or other.is_empty(expectation.other_column)
    if not is_known or (not other.is_empty(expectation.other_column) and columns.is_other_than(column, comparable)):
        return _not_comparable(columns, column, f"{place} of the type {kind}")
    if columns.has_zone(column) != other.has_zone(expectation.other_column) and not other.is_empty(
        expectation.other_column
    ):
        return _all_fail(columns, f"one of {column} and {place} has no zone")
    values = columns.series(column).dropna()
    return _of_values(column, values, values.isin(other.series(expectation.other_column).dropna()), f"in {place}")


def _row_count(expectation: RowCount, rows: int) -> Measured:
    low, high = expectation.at_least, expectation.at_most
    ok = (low is None or rows >= low) and (high is None or rows <= high)
    surplus = rows - high if high is not None and rows > high else rows
    told = f"{_count(rows)}, {_sides(low, high) or 'any number'} expected"
    return Measured(ok, 0 if ok else surplus, rows, told)


def _of_values(column: str, values: Any, fits: Any, allowed: str) -> Measured:
    wrong = values[~fits.astype(bool)]
    told = (
        f"{_count(len(wrong))} of {len(values):,} hold a {column} that is not {allowed}"
        if len(wrong)
        else f"{column} is {allowed}"
    )
    return Measured(not len(wrong), len(wrong), len(values), told, _examples(wrong.head(100).tolist()))


def _all_fail(columns: Columns, detail: str) -> Measured:
    return Measured(False, columns.rows, columns.rows, detail)


def _not_comparable(columns: Columns, column: str, with_what: str) -> Measured:
    return _all_fail(
        columns, f"{column} has the type {columns.kinds[column]}, which can't be compared with {with_what}"
    )


def _sides(low: float | None, high: float | None) -> str:
    sides = (("at least", low), ("at most", high))
    return " and ".join(f"{side} {limit:,}" for side, limit in sides if limit is not None)


def _count(number: int) -> str:
    return f"{number:,} row{'' if number == 1 else 's'}"


def _examples(values: Sequence[Any]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(map(_text, values)))[:EXAMPLES]


def _text(value: Any) -> str:
    text = str(value)
    text = "None" if text in ("<NA>", "NaT") else text
    return text if len(text) <= EXAMPLE_CHARACTERS else text[: EXAMPLE_CHARACTERS - 1] + "…"
