"""What every validator asks of expectations before it looks at a table."""

from collections import Counter
from collections.abc import Collection, Iterable

from stackproof.errors import RefusedInput
from stackproof.roles.validation import (
    Between,
    Expectation,
    HasColumn,
    Missing,
    OneOf,
    References,
    RowCount,
    Unique,
)

KINDS = (HasColumn, Missing, Between, OneOf, Unique, References, RowCount)


def check(expectations: Iterable[Expectation], others: Collection[str]) -> None:
    """`others`: the names of the other tables that were given. Raises `RefusedInput` for the first that is wrong."""
    for expectation in expectations:
        match expectation:
            case Missing():
                _check_share(expectation)
            case Unique():
                _check_key(expectation)
            case References():
                _check_table(expectation, others)
            case _ if not isinstance(expectation, KINDS):
                raise RefusedInput(
                    "There is no such kind of expectation",
                    got=repr(expectation),
                    allowed=", ".join(kind.__name__ for kind in KINDS),
                )


def columns_of(expectation: Expectation) -> tuple[str, ...]:
    """The columns that it is about, of the table that is checked."""
    match expectation:
        case Unique():
            return expectation.columns
        case HasColumn() | Missing() | Between() | OneOf() | References():
            return (expectation.column,)
    return ()


def _check_share(expectation: Missing) -> None:
    if not 0 <= expectation.at_most <= 1:
        raise RefusedInput(
            f"The share of {expectation.column!r} that may be missing is no share",
            got=repr(expectation.at_most),
            allowed="a number from 0 to 1",
        )


def _check_key(expectation: Unique) -> None:
    twice = [column for column, times in Counter(expectation.columns).items() if times > 1]
    if twice:
        raise RefusedInput(
            f"A key of unique values has the column {twice[0]!r} twice",
            got=", ".join(expectation.columns),
            allowed="each column once",
        )


def _check_table(expectation: References, others: Collection[str]) -> None:
    if expectation.table not in others:
        raise RefusedInput(
            f"The table {expectation.table!r}, which {expectation.column!r} refers to, was not given",
            got=", ".join(sorted(others)) or "no other table",
            allowed="each table that an expectation refers to",
        )
