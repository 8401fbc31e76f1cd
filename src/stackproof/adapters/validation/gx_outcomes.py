"""What Great Expectations found, in the words of the contract."""

from collections.abc import Mapping, Sequence
from typing import Any

from stackproof.adapters.validation import wording
from stackproof.adapters.validation.expectations import columns_of
from stackproof.adapters.validation.gx_library import tool_module
from stackproof.adapters.validation.gx_questions import Asked
from stackproof.adapters.validation.pandas_columns import Columns
from stackproof.roles.validation import (
    Between,
    Expectation,
    HasColumn,
    Missing,
    OneOf,
    Outcome,
    References,
    RowCount,
    Unique,
)


def outcome_of(expectation: Expectation, asked: Asked, columns: Columns, found: Any) -> Outcome:
    """`found`: the result of Great Expectations for what was asked."""
    rows, told = columns.rows, found.result or {}
    for column in columns_of(expectation):
        if column not in columns.kinds:
            return _failed(expectation, rows, wording.no_column(column, columns.kinds))
    if asked.detail:
        return _failed(expectation, rows, asked.detail)
    raised = _raised(found.exception_info)
    if raised:
        return _failed(expectation, rows, f"Great Expectations could not check it: {raised}")
    seen = asked.examples or told.get("partial_unexpected_list", [])
    ok, wrong = bool(found.success), int(told.get("unexpected_count", 0))
    match expectation:
        case HasColumn():
            wrong, detail = 0 if ok else rows, _type_told(expectation, columns.kinds[expectation.column], ok)
        case Missing():
            seen, detail = (), wording.missing(expectation, wrong, rows)
        case Unique():
            detail = wording.twins(expectation.columns, wrong, rows)
        case RowCount():
            wrong, detail = 0 if ok else wording.surplus(expectation, rows), wording.row_count(expectation, rows)
        case Between() | OneOf() | References():
            return _of_values(expectation, ok, wrong, rows - columns.nulls(expectation.column), _examples(seen))
        case _:
            raise AssertionError(f"the kind of {expectation!r} was checked")
    return Outcome(expectation, ok, wrong, rows, _examples(seen), detail)


def _of_values(
    expectation: Between | OneOf | References, ok: bool, wrong: int, checked: int, examples: tuple[str, ...]
) -> Outcome:
    detail = wording.values(expectation.column, wrong, checked, _allowed(expectation))
    return Outcome(expectation, ok, wrong, checked, examples, detail)


def _type_told(expectation: HasColumn, kind: str, ok: bool) -> str:
    return f"{expectation.column} is {kind}" + ("" if ok else f", expected {expectation.type}")


def _failed(expectation: Expectation, rows: int, detail: str) -> Outcome:
    return Outcome(expectation, ok=False, failing=rows, checked=rows, examples=(), detail=detail)


def _raised(information: Mapping[str, Any]) -> str:
    """The first line of what a check raised, or "". There is one entry, or one for each figure that it needed."""
    entries = [information, *(entry for entry in information.values() if isinstance(entry, Mapping))]
    raised = [str(entry.get("exception_message")) for entry in entries if entry.get("raised_exception")]
    return first_line(raised[0]) if raised else ""


def _allowed(expectation: Between | OneOf | References) -> str:
    match expectation:
        case OneOf():
            return wording.one_of(expectation.values)
        case References():
            return f"in {expectation.table}.{expectation.other_column}"
        case Between():
            return wording.sides(expectation.low, expectation.high)


def first_line(text: str) -> str:
    return next(iter(text.strip().splitlines()), "")


def _examples(values: Sequence[Any]) -> tuple[str, ...]:
    return wording.examples(map(_text, values))


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(map(_text, value.values()))
    return "None" if tool_module("pandas").isna(value) else str(value)
