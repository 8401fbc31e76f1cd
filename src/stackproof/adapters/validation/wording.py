"""What a validator says of an outcome, whichever tool found it: one line, and up to five examples."""

from collections.abc import Iterable

from stackproof.errors import did_you_mean
from stackproof.roles.validation import Missing, RowCount

EXAMPLES, EXAMPLE_CHARACTERS, VALUES_SHOWN = 5, 80, 8


def no_column(column: str, columns: Iterable[str]) -> str:
    return f"{column} is missing{did_you_mean(column, columns)}"


def not_comparable(column: str, kind: object, with_what: str) -> str:
    return f"{column} has the type {kind}, which can't be compared with {with_what}"


def share_missing(nulls: int, rows: int) -> float:
    """A table without rows misses nothing."""
    return nulls / rows if rows else 0.0


def missing(expectation: Missing, nulls: int, rows: int) -> str:
    share = share_missing(nulls, rows)
    return f"{share:.2%} of {expectation.column} is missing, at most {expectation.at_most:.2%} expected"


def values(column: str, wrong: int, checked: int, allowed: str) -> str:
    """`allowed` completes "... that is not"."""
    if not wrong:
        return f"{column} is {allowed}"
    return f"{count(wrong)} of {checked:,} hold a {column} that is not {allowed}"


def one_of(allowed: tuple[str, ...]) -> str:
    return f"one of {', '.join(allowed[:VALUES_SHOWN])}{', …' if len(allowed) > VALUES_SHOWN else ''}"


def twins(key: Iterable[str], failing: int, rows: int) -> str:
    named = ", ".join(key)
    return f"{count(failing)} of {rows:,} agree with another in {named}" if failing else f"no two rows agree in {named}"


def row_count(expectation: RowCount, rows: int) -> str:
    return f"{count(rows)}, {sides(expectation.at_least, expectation.at_most)} expected"


def surplus(expectation: RowCount, rows: int) -> int:
    """The rows that fail when their number is wrong: those that are too many, or all when they are too few."""
    most = expectation.at_most
    return rows - most if most is not None and rows > most else rows


def sides(low: float | None, high: float | None) -> str:
    told = (("at least", low), ("at most", high))
    return " and ".join(f"{side} {limit:,}" for side, limit in told if limit is not None) or "any number"


def count(number: int, noun: str = "row") -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def examples(texts: Iterable[str]) -> tuple[str, ...]:
    """The first few different ones, cut where they are long."""
    return tuple(dict.fromkeys(map(_short, texts)))[:EXAMPLES]


def _short(text: str) -> str:
    return text if len(text) <= EXAMPLE_CHARACTERS else text[: EXAMPLE_CHARACTERS - 1] + "…"
