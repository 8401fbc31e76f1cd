"""Validation: ten checks of a table with planted faults, each of which must be counted."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from stackproof.errors import RefusedInput, StackproofError
from stackproof.prove.candidate import Opener, Running, Writer
from stackproof.prove.record import Record, timed, times
from stackproof.prove.scenario import Given
from stackproof.prove.tables import read_data
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
    ValidationReport,
)

CARRIERS = ("AA", "B6", "DL", "UA", "WN")
SMALL_ROWS = 100


@dataclass(frozen=True, slots=True)
class Size:
    """Rows of the table, and how often a table of a hundred rows is checked as well."""

    rows: int
    small: int


SIZES = {"smoke": Size(5_000, 5), "medium": Size(200_000, 20), "full": Size(10_000_000, 50)}

Planted = Sequence[tuple[Expectation, int]]
"""Each expectation, and how many rows fail it."""


class ValidationScenario:
    """A table on its way into training."""

    name = "ten checks"
    needs = frozenset({"validate"})

    def __init__(self, size: str, given: Given) -> None:
        self._size = SIZES[size]
        self._others = {"carriers": pl.DataFrame({"code": [*CARRIERS]})}
        if given.data is not None:
            self._table = read_data(given.data)
            self._planted = _of_the_user(self._table, given.data.name)
        else:
            self._table, self._planted = _made(self._size.rows)

    def round(self, running: Running, folder: Path, record: Record) -> None:
        validator = running.adapter
        small = self._table.head(SMALL_ROWS)
        _, seconds = timed(lambda: self._validate(validator, "small", small))
        record.figure("first_call", "s", seconds)
        report, seconds = timed(lambda: self._validate(validator, "large", self._table))
        record.figure("validate", "s", seconds)
        record.rate("validated_rows", self._table.height, seconds)
        self._check(report, record)
        record.latencies(
            "validate_small", times([lambda: self._validate(validator, "small", small)] * self._size.small)
        )
        if "profile" in validator.capabilities:
            draft, seconds = timed(lambda: validator.profile(self._table))
            record.figure("profile", "s", seconds)
            kept = validator.validate("draft", self._table, draft, others={})
            record.check(kept.ok, "a table does not keep what was profiled from itself")

    def _validate(self, validator: Any, name: str, table: pl.DataFrame) -> ValidationReport:
        expectations = [expectation for expectation, _ in self._planted]
        report: ValidationReport = validator.validate(name, table, expectations, others=self._others)
        return report

    def _check(self, report: ValidationReport, record: Record) -> None:
        record.check(
            report.rows == self._table.height, f"a table of {self._table.height:,} rows was counted as {report.rows:,}"
        )
        if not record.check(
            len(report.outcomes) == len(self._planted),
            f"{len(self._planted)} checks gave {len(report.outcomes)} outcomes",
        ):
            return
        for (expectation, failing), outcome in zip(self._planted, report.outcomes, strict=True):
            what = f"{type(expectation).__name__} of {_about(expectation)}"
            if record.check(outcome.ok is (failing == 0), f"{what} is said to {'hold' if outcome.ok else 'fail'}"):
                record.check(
                    failing == 0 or isinstance(expectation, RowCount) or outcome.failing == failing,
                    f"{what}: {outcome.failing:,} rows are said to fail, {failing:,} do",
                )

    def crash(self, opened: Opener, home: Path, folder: Path, record: Record) -> None:
        """A check whose tool dies ends with an error or with the right answer; afterwards it works as before."""
        running = opened(home)
        reports: list[ValidationReport] = []
        writer = Writer(lambda _: reports.append(self._validate(running.adapter, "large", self._table)))
        reached, killed = writer.kill(running, 1, later_s=0.02)
        if not record.check(reached, f"the table could not be checked: {writer.error}"):
            return
        for report in reports[-2:]:
            self._check(report, record)
        again = opened(home)
        try:
            self._check(self._validate(again.adapter, "large", self._table), record)
        except StackproofError as error:
            record.check(False, f"after SIGKILL the same table can't be checked any more: {error.what}")
        record.figure("recovery", "s", time.perf_counter() - killed)
        again.close()


def _about(expectation: Expectation) -> str:
    if isinstance(expectation, RowCount):
        return "the table"
    return ", ".join(expectation.columns) if isinstance(expectation, Unique) else str(expectation.column)  # type: ignore[attr-defined]  # each other kind has a column


def _made(rows: int) -> tuple[pl.DataFrame, Planted]:
    """Half of the checks hold; of the others it is known how many rows fail."""
    draw = np.random.default_rng(21)
    delay = draw.normal(10, 20, rows).clip(-60, 400)
    delay[:: max(1, rows // 40)] = 10_000.0
    late = int((delay == 10_000.0).sum())
    carrier = draw.choice(CARRIERS, rows).tolist()
    for place in range(3, rows, max(1, rows // 30)):
        carrier[place] = "??"
    number = np.arange(rows)
    number[1 : 1 + 2 * 7 : 2] = number[0 : 2 * 7 : 2]
    wind = [None if place % 50 == 0 else value for place, value in enumerate(draw.gamma(2, 5, rows).tolist())]
    missing, unknown = sum(value is None for value in wind), carrier.count("??")
    table = pl.DataFrame(
        {
            "number": number,
            "delay": delay,
            "carrier": carrier,
            "wind": wind,
            "seats": draw.integers(20, 400, rows),
            "heavy": draw.random(rows) < 0.3,
            **{f"x{i}": draw.normal(size=rows) for i in range(4)},
        }
    )
    return table, [
        (RowCount(at_least=1), 0),
        (HasColumn(column="delay", type=ColumnType.NUMBER), 0),
        (HasColumn(column="carrier", type=ColumnType.STRING), 0),
        (Missing(column="wind", at_most=0.05), 0),
        (Missing(column="wind", at_most=0.001), missing),
        (Between(column="seats", low=1, high=500), 0),
        (Between(column="delay", low=-60, high=400), late),
        (OneOf(column="carrier", values=CARRIERS), unknown),
        (References(column="carrier", table="carriers", other_column="code"), unknown),
        (Unique(columns=("number",)), 14),
    ]


def _of_the_user(table: pl.DataFrame, name: str) -> Planted:
    """Checks that the columns keep, and for the numbers one that half of the rows break."""
    planted: list[tuple[Expectation, int]] = [(RowCount(at_least=table.height, at_most=table.height), 0)]
    for column, kind in list(table.schema.items())[:5]:
        values = table[column].fill_nan(None) if kind.is_float() else table[column]
        planted.append((Missing(column=column, at_most=1.0), 0))
        if kind.is_numeric() and values.drop_nulls().len():
            low, high, middle = (float(value) for value in (values.min(), values.max(), values.median()))  # type: ignore[arg-type]  # numbers, as none of them is null
            above = int((values.cast(pl.Float64) > middle).sum())
            planted.append((Between(column=column, low=low, high=high), 0))
            planted.append((Between(column=column, high=middle), above))
    if len(planted) < 2:
        raise RefusedInput(f"{name} has no columns")
    return planted
