"""Validation with Deepchecks 0.19: the expectations of a table are a suite of its checks.

Deepchecks has a check of its own for missing values. It has none for types, ranges, sets of values, keys, references
and numbers of rows, and says how to add one: these are such added checks, each with a condition. The result of each
suite stays below the role's home as Deepchecks writes it.
"""

import os
import re
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any, ClassVar
from uuid import uuid4

from stackproof.adapters.option_values import check_names, choice
from stackproof.adapters.validation.deepchecks_measures import Measured, measured, missing
from stackproof.adapters.validation.expectations import check, columns_of
from stackproof.adapters.validation.pandas_columns import Columns
from stackproof.errors import NotFound, RefusedInput, StackproofError, not_written
from stackproof.roles.adapter import Health, Option, Setting
from stackproof.roles.table import Table
from stackproof.roles.validation import Expectation, Missing, Outcome, Severity, ValidationReport

NO_STATISTICS = ("DISABLE_DEEPCHECKS_ANONYMOUS_TELEMETRY", "DISABLE_LATEST_VERSION_CHECK")
SHARE = "Percent of nulls in sample"
LONGEST_NAME = 60


class Deepchecks:
    """Fills the role `validation`. In `Unique`, null agrees with null.

    Deepchecks takes no table without rows: such a table is checked without it, and leaves no result. Beyond what the
    contract says, `validate` raises `NotFound` where Deepchecks can't be imported, and `StorageFailed`.
    """

    tool: ClassVar[str] = "deepchecks"
    capabilities: ClassVar[frozenset[str]] = frozenset({"validate"})
    options: ClassVar[Mapping[str, Option]] = {
        "results": Option(
            "string", "how each result is kept below the role's home; html pages have several MB",
            "json", ("json", "html", "none"),
        ),
    }  # fmt: skip
    deviations: ClassVar[Mapping[str, str]] = {}

    def __init__(self, setting: Setting) -> None:
        check_names("deepchecks", setting.options, self.options)
        self._results = choice(setting.options, self.options, "results")
        self._folder = setting.home / "results"
        self._lock = threading.Lock()

    def health(self) -> Health:
        """Whether Deepchecks can be imported."""
        try:
            release = version("deepchecks")
            _module("deepchecks.tabular")
        except PackageNotFoundError:
            return Health(False, "", "Deepchecks is not installed in this environment")
        except StackproofError as broken:
            return Health(False, release, str(broken))
        return Health(True, release, f"Deepchecks {release}; results are in {self._folder}")

    def close(self) -> None:
        """Nothing is held between two calls."""

    def validate(
        self,
        name: str,
        table: Table,
        expectations: Sequence[Expectation],
        *,
        others: Mapping[str, Table] | None = None,
    ) -> ValidationReport:
        columns = Columns.read(name, table)
        other_columns = {other: Columns.read(other, given) for other, given in (others or {}).items()}
        check(expectations, other_columns)
        if columns.rows and expectations:
            with self._lock:
                found = self._run(name, columns, expectations, other_columns)
        else:
            found = [measured(expectation, columns, other_columns) for expectation in expectations]
        outcomes = tuple(_outcome(*pair) for pair in zip(expectations, found, strict=True))
        return ValidationReport(name, columns.rows, outcomes)

    def _run(
        self, name: str, columns: Columns, expectations: Sequence[Expectation], others: Mapping[str, Columns]
    ) -> list[Measured]:
        tabular = _module("deepchecks.tabular")
        checks = [_check_of(expectation, columns, others) for expectation in expectations]
        used = [column for expectation in expectations for column in columns_of(expectation)]
        frame = columns.frame(used).assign(**({} if set(used) & set(columns.kinds) else {"row": range(columns.rows)}))
        suite = tabular.Suite(name, *checks)
        result = suite.run(tabular.Dataset(frame, cat_features=[]), with_display=self._results == "html")
        by_check = {id(one.check): one for one in result.results}
        self._keep(name, result)
        return [
            _found(expectation, by_check[id(one)], columns.rows)
            for expectation, one in zip(expectations, checks, strict=True)
        ]

    def _keep(self, name: str, result: Any) -> None:
        if self._results == "none":
            return
        kept = re.sub(r"[^\w. -]", "_", name)[:LONGEST_NAME].strip(". ") or "table"
        at = datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%S")
        path = self._folder / kept / f"{at}-{uuid4().hex[:8]}.{self._results}"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if self._results == "html":
                result.save_as_html(str(path), as_widget=False)
            else:
                path.write_text(result.to_json(with_display=False), encoding="utf-8")
        except OSError as failed:
            raise not_written("The result of Deepchecks can't be written", failed) from failed


def _check_of(expectation: Expectation, columns: Columns, others: Mapping[str, Columns]) -> Any:
    if isinstance(expectation, Missing) and expectation.column in columns.kinds:
        own = _module("deepchecks.tabular.checks").PercentOfNulls(columns=[expectation.column], n_samples=columns.rows)
        return own.add_condition_percent_of_nulls_not_greater_than(expectation.at_most)
    return _added_check(expectation, columns, others)


def _added_check(expectation: Expectation, columns: Columns, others: Mapping[str, Columns]) -> Any:
    """A check as Deepchecks' documentation says how to add one."""
    base: Any = _module("deepchecks.tabular").SingleDatasetCheck
    core = _module("deepchecks.core")
    bad = core.ConditionCategory.FAIL if expectation.severity is Severity.ERROR else core.ConditionCategory.WARN

    class Expected(base):  # type: ignore[misc]  # Deepchecks is not installed here
        def run_logic(self, context: Any, dataset_kind: Any) -> Any:
            found = measured(expectation, columns, others)
            value = {
                "ok": found.ok,
                "failing": found.failing,
                "checked": found.checked,
                "examples": list(found.examples),
                "detail": found.detail,
            }
            return core.CheckResult(value, header=_title(expectation), display=[found.detail])

        @classmethod
        def name(cls) -> str:
            return _title(expectation)

    def holds(value: Mapping[str, Any]) -> Any:
        return core.ConditionResult(core.ConditionCategory.PASS if value["ok"] else bad, value["detail"])

    return Expected().add_condition(_title(expectation), holds)


def _title(expectation: Any) -> str:
    return f"{type(expectation).__name__} {', '.join(columns_of(expectation))}".strip()


def _found(expectation: Expectation, result: Any, rows: int) -> Measured:
    """What the check found. Raises `RefusedInput` when Deepchecks could not run it."""
    failed = getattr(result, "exception", None)
    if failed is not None:
        raise RefusedInput("Deepchecks could not run a check", got=f"{type(failed).__name__}: {failed}") from failed
    if isinstance(expectation, Missing) and SHARE in result.value:
        return missing(expectation, round(float(result.value[SHARE].iloc[0]) * rows), rows)
    return Measured(**{**result.value, "examples": tuple(result.value["examples"])})


def _outcome(expectation: Expectation, found: Measured) -> Outcome:
    return Outcome(expectation, found.ok, found.failing, found.checked, found.examples, found.detail)


def _module(name: str) -> Any:
    """A module of Deepchecks, imported without statistics about its use, by its documented setting."""
    os.environ.update(dict.fromkeys(NO_STATISTICS, "true"))
    try:
        return import_module(name)
    except (ImportError, AttributeError, ValueError) as broken:  # what it raises beside releases that it is too old for
        raise NotFound(
            f"Deepchecks can't be imported: {type(broken).__name__}: {broken}",
            allowed="setuptools below 81, NumPy below 2, scikit-learn below 1.6, pandas below 3, pyarrow below 26",
            next_command="stackproof apply",
        ) from broken
