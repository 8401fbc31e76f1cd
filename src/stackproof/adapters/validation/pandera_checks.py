"""The expectations that Pandera checks, all in one schema: ranges, and sets of values."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, TypeAlias

import polars as pl

from stackproof.adapters.validation import wording
from stackproof.adapters.validation.outcomes import (
    column_type,
    failed,
    is_empty,
    is_numeric,
    no_column,
    not_comparable,
    passed,
)
from stackproof.roles.validation import Between, ColumnType, OneOf, Outcome

Checked: TypeAlias = Between | OneOf


def check_with_pandera(frame: pl.DataFrame, numbered: Mapping[int, Checked]) -> dict[int, Outcome]:
    """The outcome of each expectation, by its number. In `frame` NaN is null already."""
    outcomes: dict[int, Outcome] = {}
    possible: dict[int, Checked] = {}
    for number, expectation in numbered.items():
        outcome = _impossible(expectation, frame)
        if outcome is None:
            possible[number] = expectation
        else:
            outcomes[number] = outcome
    errors = _errors_by_number(frame, possible)
    for number, expectation in possible.items():
        outcomes[number] = _outcome(frame, expectation, errors.get(number))
    return outcomes


def _impossible(expectation: Checked, frame: pl.DataFrame) -> Outcome | None:
    """The outcome when the column is missing or can't be compared; None when it can be checked."""
    column = expectation.column
    if column not in frame.columns:
        return no_column(expectation, frame, column)
    dtype = frame.schema[column]
    if is_empty(dtype):
        return None
    if isinstance(expectation, Between) and not is_numeric(dtype):
        return not_comparable(expectation, frame, column, "numbers")
    if isinstance(expectation, OneOf) and column_type(dtype) is not ColumnType.STRING:
        return not_comparable(expectation, frame, column, "strings")
    return None


def _errors_by_number(frame: pl.DataFrame, numbered: Mapping[int, Checked]) -> dict[int, Any]:
    """Pandera's error for each expectation that failed, by its number."""
    import pandera.polars as pandera

    checks: dict[str, list[Any]] = defaultdict(list)
    for number, expectation in numbered.items():
        if not is_empty(frame.schema[expectation.column]):
            checks[expectation.column].append(_check(str(number), expectation))
    columns = {column: pandera.Column(checks=made, nullable=True) for column, made in checks.items()}
    errors = _errors(pandera.DataFrameSchema(columns), frame.select(list(columns))) if columns else []
    return {int(error.check.name): error for error in errors}


def _check(name: str, expectation: Checked) -> Any:
    from pandera import Check

    if isinstance(expectation, OneOf):
        return Check.isin(list(expectation.values), name=name)
    low, high = expectation.low, expectation.high
    if low is not None and high is not None:
        if low > high:
            return Check(lambda data: data.lazyframe.select(pl.col(data.key).is_null()), name=name)
        return Check.in_range(low, high, name=name)
    if low is not None:
        return Check.greater_than_or_equal_to(low, name=name)
    if high is not None:
        return Check.less_than_or_equal_to(high, name=name)
    return Check(lambda data: data.lazyframe.select(pl.lit(value=True)), name=name)


def _errors(schema: Any, frame: pl.DataFrame) -> list[Any]:
    """Everything that Pandera finds, whatever the process's own settings of Pandera are."""
    from pandera.config import ValidationDepth, config_context
    from pandera.errors import SchemaErrors

    try:
        with config_context(validation_enabled=True, validation_depth=ValidationDepth.SCHEMA_AND_DATA):
            schema.validate(frame, lazy=True)
    except SchemaErrors as found:
        return list(found.schema_errors)
    return []


def _outcome(frame: pl.DataFrame, expectation: Checked, error: Any | None) -> Outcome:
    values = frame.get_column(expectation.column)
    checked = values.len() - values.null_count()
    allowed = _allowed(expectation)
    if error is None:
        return passed(expectation, checked, wording.values(expectation.column, 0, checked, allowed))
    wrong = values.filter(~error.check_output.to_series())
    detail = wording.values(expectation.column, wrong.len(), checked, allowed)
    return failed(expectation, wrong.len(), checked, detail, wrong)


def _allowed(expectation: Checked) -> str:
    if isinstance(expectation, OneOf):
        return wording.one_of(expectation.values)
    low, high = expectation.low, expectation.high
    if low is not None and high is not None:
        return f"from {low:g} to {high:g}"
    if low is not None:
        return f"at least {low:g}"
    return "any number" if high is None else f"at most {high:g}"
