"""The reference, prepared once, so that a look at production costs no pass over it."""

import io
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from stackproof.adapters.monitoring.columns import Numbers, Rows, Texts, names_of, read_rows
from stackproof.adapters.monitoring.evidence import MISSING_RANK, Ranks
from stackproof.errors import InvalidTable
from stackproof.roles.monitoring import ColumnKind
from stackproof.roles.table import Table

DEALING_SEED = 20_130_101
"""Fixed, so that the same reference is prepared alike everywhere."""
FEWEST_EXPECTED = 5
"""A value of a categorical column is common in a window when at least so many are expected there."""


@dataclass(frozen=True)
class NumericReference:
    """One numeric column: its values without the missing ones, sorted, and how many are missing."""

    name: str
    values: Numbers
    missing: int

    def ranks(self, numbers: Numbers) -> tuple[Ranks, Ranks]:
        """For each number how many reference values are below it, and up to it; `MISSING_RANK` for NaN."""
        below = np.searchsorted(self.values, numbers, side="left").astype(np.int64)
        upto = np.searchsorted(self.values, numbers, side="right").astype(np.int64)
        is_missing = np.isnan(numbers)
        below[is_missing] = upto[is_missing] = MISSING_RANK
        return below, upto


@dataclass(frozen=True)
class CategoricalReference:
    """One categorical column, its rows dealt at random into two halves.

    The first half says which values are common, the second is what production is compared with: a
    value chosen because it is frequent would seem rarer in new rows from the same source, were the
    choice and the comparison made on the same rows. `counts_by_value`: (first, second) half, those
    most frequent in the first half first; `missing` likewise; `choosing_rows`: rows of the first half.
    """

    name: str
    counts_by_value: Mapping[str, tuple[int, int]]
    missing: tuple[int, int]
    choosing_rows: int
    _common: dict[int, int] = field(default_factory=dict, compare=False)

    @cached_property
    def values(self) -> tuple[str, ...]:
        """In the order of their codes."""
        return tuple(self.counts_by_value)

    @cached_property
    def counts(self) -> Ranks:
        """How often each value occurs in the half to compare with."""
        return np.array([second for _, second in self.counts_by_value.values()], dtype=np.int64)

    @cached_property
    def all_counts(self) -> Ranks:
        """How often each value occurs in both halves."""
        return self.counts + self._choosing_counts

    @cached_property
    def _choosing_counts(self) -> Ranks:
        return np.array([first for first, _ in self.counts_by_value.values()], dtype=np.int64)

    @cached_property
    def _present(self) -> int:
        return int(self.all_counts.sum())

    @cached_property
    def _codes(self) -> dict[str | None, int]:
        codes: dict[str | None, int] = {value: code for code, value in enumerate(self.counts_by_value)}
        codes[None] = self.missing_code
        return codes

    @property
    def unseen_code(self) -> int:
        return len(self.counts_by_value)

    @property
    def missing_code(self) -> int:
        return len(self.counts_by_value) + 1

    def share(self, value: str) -> float:
        """The value's share of all reference values that are there; 0 for one that does not occur."""
        return sum(self.counts_by_value.get(value, (0, 0))) / max(self._present, 1)

    def codes(self, texts: Texts) -> Ranks:
        """Each value's place by frequency, from 0; then one code for the unseen and one for the missing."""
        codes, unseen = self._codes, self.unseen_code
        return np.array([codes.get(text, unseen) for text in texts], dtype=np.int64)

    def common(self, rows: int) -> int:
        """How many of the most frequent values are common in a window of so many rows."""
        if rows not in self._common:
            expected = self._choosing_counts * min(rows / max(self.choosing_rows, 1), 1.0)
            self._common[rows] = int(np.count_nonzero(expected >= FEWEST_EXPECTED))
        return self._common[rows]


@dataclass(frozen=True, slots=True)
class Reference:
    """All watched columns of the reference, each kind in the order in which the columns were given."""

    rows: int
    numeric: tuple[NumericReference, ...]
    categorical: tuple[CategoricalReference, ...]

    @staticmethod
    def read(table: Table, columns: Mapping[str, ColumnKind]) -> "Reference":
        """Raises `InvalidTable` when there are no rows or a column is missing."""
        rows = read_rows(table, columns)
        if rows.count == 0:
            raise InvalidTable("The reference has no rows", got="0 rows", allowed="at least one row")
        return Reference(
            rows.count,
            tuple(map(_numeric, names_of(columns, ColumnKind.NUMERIC), rows.numbers)),
            tuple(map(_categorical, names_of(columns, ColumnKind.CATEGORICAL), rows.texts)),
        )

    def to_bytes(self) -> bytes:
        """Equal references give equal bytes."""
        description = {
            "rows": self.rows,
            "numeric": [[column.name, column.missing] for column in self.numeric],
            "categorical": [[c.name, dict(c.counts_by_value), c.missing, c.choosing_rows] for c in self.categorical],
        }
        arrays = {f"values_{place}": column.values for place, column in enumerate(self.numeric)}
        arrays["description"] = np.frombuffer(json.dumps(description).encode(), dtype=np.uint8)
        file = io.BytesIO()
        np.savez(file, **arrays)  # type: ignore[arg-type]  # numpy's stub takes the arrays for the flag allow_pickle
        return file.getvalue()

    @staticmethod
    def from_bytes(data: bytes) -> "Reference":
        """The reference that `to_bytes` wrote."""
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            description = json.loads(arrays["description"].tobytes())
            numeric = tuple(
                NumericReference(name, arrays[f"values_{place}"], missing)
                for place, (name, missing) in enumerate(description["numeric"])
            )
        categorical = tuple(
            CategoricalReference(name, {v: (a, b) for v, (a, b) in counts.items()}, (first, second), rows)
            for name, counts, (first, second), rows in description["categorical"]
        )
        return Reference(description["rows"], numeric, categorical)


@dataclass(frozen=True, slots=True)
class Encoded:
    """Rows beside their places in the reference. `below`, `upto`: by (numeric column, row); `codes`: by
    (categorical column, row)."""

    rows: Rows
    below: Ranks
    upto: Ranks
    codes: Ranks

    def part(self, start: int, stop: int) -> "Encoded":
        """The rows start <= row < stop."""
        span = slice(start, stop)
        return Encoded(self.rows.part(start, stop), self.below[:, span], self.upto[:, span], self.codes[:, span])

    def followed_by(self, later: "Encoded") -> "Encoded":
        """These rows and then the later ones."""
        texts = tuple(old + new for old, new in zip(self.rows.texts, later.rows.texts, strict=True))
        numbers = np.hstack([self.rows.numbers, later.rows.numbers])
        return Encoded(
            Rows(numbers, texts, self.rows.count + later.rows.count),
            np.hstack([self.below, later.below]),
            np.hstack([self.upto, later.upto]),
            np.hstack([self.codes, later.codes]),
        )


def encode(reference: Reference, rows: Rows) -> Encoded:
    """Find the place of each value in the reference."""
    below = np.empty(rows.numbers.shape, dtype=np.int64)
    upto = np.empty(rows.numbers.shape, dtype=np.int64)
    for place, column in enumerate(reference.numeric):
        below[place], upto[place] = column.ranks(rows.numbers[place])
    codes = np.empty((len(reference.categorical), rows.count), dtype=np.int64)
    for place, (category, texts) in enumerate(zip(reference.categorical, rows.texts, strict=True)):
        codes[place] = category.codes(texts)
    return Encoded(rows, below, upto, codes)


def _numeric(name: str, numbers: Numbers) -> NumericReference:
    present = np.sort(numbers[~np.isnan(numbers)])
    return NumericReference(name, present, len(numbers) - len(present))


def _categorical(name: str, texts: Texts) -> CategoricalReference:
    dealt = np.random.default_rng(DEALING_SEED).permutation(len(texts)).tolist()
    choosing_rows = len(texts) // 2
    first = Counter(texts[row] for row in dealt[:choosing_rows])
    second = Counter(texts[row] for row in dealt[choosing_rows:])
    missing = first.pop(None, 0), second.pop(None, 0)
    values = [value for value in first.keys() | second.keys() if value is not None]
    values.sort(key=lambda value: (-first[value], value))
    return CategoricalReference(
        name, {value: (first[value], second[value]) for value in values}, missing, choosing_rows
    )
