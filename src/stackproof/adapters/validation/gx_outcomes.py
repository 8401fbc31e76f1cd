"""What Great Expectations found, in the words of the contract."""

from collections.abc import Mapping, Sequence
from typing import Any

from stackproof.adapters.validation.gx_columns import Columns, tool_module
from stackproof.adapters.validation.gx_questions import Asked
from stackproof.errors import did_you_mean
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

EXAMPLES, EXAMPLE_CHARACTERS = 5, 80


def outcome_of(expectation: Expectation, asked: Asked, columns: Columns, found: Any) -> Outcome:
    """`found`: the result of Great Expectations for what was asked."""
    rows, told = columns.rows, found.result or {}
    for column in columns_of(expectation):
        if column not in columns.kinds:
            return _failed(expectation, rows, f"{column} is missing{did_you_mean(column, columns.kinds)}")
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
            seen, detail = (), _missing_told(expectation, wrong, rows)
        case Unique():
            key = ", ".join(expectation.columns)
            detail = f"{_count(wrong)} of {rows:,} agree with another in {key}" if wrong else f"no two agree in {key}"
        case RowCount():
            wrong, detail = 0 if ok else _surplus(expectation, rows), _count_told(expectation, rows)
        case Between() | OneOf() | References():
            return _of_values(expectation, ok, wrong, rows - columns.nulls(expectation.column), _examples(seen))
        case _:
            raise AssertionError(f"the kind of {expectation!r} was checked")
    return Outcome(expectation, ok, wrong, rows, _examples(seen), detail)


def _of_values(
    expectation: Between | OneOf | References, ok: bool, wrong: int, checked: int, examples: tuple[str, ...]
) -> Outcome:
    column, allowed = expectation.column, _allowed(expectation)
    detail = (
        f"{_count(wrong)} of {checked:,} hold a {column} that is not {allowed}" if wrong else f"{column} is {allowed}"
    )
    return Outcome(expectation, ok, wrong, checked, examples, detail)


def _type_told(expectation: HasColumn, kind: str, ok: bool) -> str:
    return f"{expectation.column} is {kind}" + ("" if ok else f", expected {expectation.type}")


def _missing_told(expectation: Missing, missing: int, rows: int) -> str:
    share = missing / rows if rows else 0.0
    return f"{share:.2%} of {expectation.column} is missing, at most {expectation.at_most:.2%} expected"


def _count_told(expectation: RowCount, rows: int) -> str:
    return f"{_count(rows)}, {_sides(expectation.at_least, expectation.at_most) or 'any number'} expected"


def _surplus(expectation: RowCount, rows: int) -> int:
    """The rows that are too many; all of them when they are too few."""
    most = expectation.at_most
    return rows - most if most is not None and rows > most else rows


def _failed(expectation: Expectation, rows: int, detail: str) -> Outcome:
    return Outcome(expectation, ok=False, failing=rows, checked=rows, examples=(), detail=detail)


def columns_of(expectation: Any) -> tuple[str, ...]:
    if isinstance(expectation, Unique):
        return expectation.columns
    return () if isinstance(expectation, RowCount) else (expectation.column,)


def _raised(information: Mapping[str, Any]) -> str:
    """The first line of what a check raised, or "". There is one entry, or one for each figure that it needed."""
    entries = [information, *(entry for entry in information.values() if isinstance(entry, Mapping))]
    raised = [str(entry.get("exception_message")) for entry in entries if entry.get("raised_exception")]
    return first_line(raised[0]) if raised else ""


def _allowed(expectation: Between | OneOf | References) -> str:
    match expectation:
        case OneOf():
            shown = ", ".join(expectation.values[:8])
            return f"one of {shown}{', …' if len(expectation.values) > 8 else ''}"
        case References():
            return f"in {expectation.table}.{expectation.other_column}"
        case Between():
            return _sides(expectation.low, expectation.high) or "any number"


def _sides(low: float | None, high: float | None) -> str:
    sides = (("at least", low), ("at most", high))
    return " and ".join(f"{side} {limit:,}" for side, limit in sides if limit is not None)


def _count(number: int) -> str:
    return f"{number:,} row{'' if number == 1 else 's'}"


def first_line(text: str) -> str:
    return next(iter(text.strip().splitlines()), "")


def _examples(values: Sequence[Any]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_text(value) for value in values))[:EXAMPLES]


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        text = ", ".join(map(_text, value.values()))
    else:
        text = "None" if tool_module("pandas").isna(value) else str(value)
    return text if len(text) <= EXAMPLE_CHARACTERS else text[: EXAMPLE_CHARACTERS - 1] + "…"
