"""Validation with Great Expectations 1.x: each expectation becomes one of its own, which it checks on pandas.

What it checked stays in a project of Great Expectations below the role's home, which `get_context` opens: a suite
and a validation definition by the table's name, and the result of every run.
"""

import fcntl
import hashlib
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar
from urllib.parse import quote

from stackproof.adapters.option_values import check_names, choice
from stackproof.adapters.validation.expectations import check, columns_of
from stackproof.adapters.validation.gx_library import tool_module
from stackproof.adapters.validation.gx_outcomes import first_line, outcome_of
from stackproof.adapters.validation.gx_questions import VALUES_KEPT, Asked, asked_of
from stackproof.adapters.validation.pandas_columns import Columns
from stackproof.errors import (
    Conflict,
    RefusedInput,
    StackproofError,
    StorageFailed,
    not_written,
)
from stackproof.roles.adapter import Health, Option, Setting
from stackproof.roles.table import Table
from stackproof.roles.validation import (
    Expectation,
    Severity,
    ValidationReport,
)

SOURCE, BATCH = "stackproof", "whole table"
LONGEST_NAME = 60
EMPTY_PART = re.compile(r"^\.|\.(?=\.|$)")
"""A dot that Great Expectations, which makes folders of them, would leave out."""


class GreatExpectations:
    """Fills the role `validation`. In `Unique`, null agrees with null.

    Beyond what the contract says, `validate` raises `RefusedInput` for arguments that Great Expectations refuses,
    `Conflict` when the project below the home can't be opened, and `StorageFailed` when nothing can be written there.
    """

    tool: ClassVar[str] = "great-expectations"
    capabilities: ClassVar[frozenset[str]] = frozenset({"validate"})
    options: ClassVar[Mapping[str, Option]] = {
        "context": Option(
            "string", "file: suites and results stay below the role's home; ephemeral: no trace", "file",
            ("file", "ephemeral"),
        ),
        "data_docs": Option("boolean", "write the pages of its Data Docs after each validation", False),
    }  # fmt: skip

    def __init__(self, setting: Setting) -> None:
        self._home = setting.home
        self._mode, self._docs = _chosen(setting.options)
        self._lock = threading.Lock()
        self._closed = False

    def health(self) -> Health:
        """Whether Great Expectations can be imported and its project opened."""
        try:
            version = str(tool_module("great_expectations").__version__)
        except StackproofError as missing:
            return Health(False, "", str(missing))
        try:
            with self._context():
                place = f"its project is {self._home / 'gx'}" if self._mode == "file" else "nothing is kept"
        except StackproofError as problem:
            return Health(False, version, str(problem))
        return Health(True, version, f"Great Expectations {version}, {place}")

    def close(self) -> None:
        self._closed = True

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
        asked = [asked_of(n, e, columns, other_columns) for n, e in enumerate(expectations)]
        terms = [repr((a.kind, a.arguments, e.severity)) for a, e in zip(asked, expectations, strict=True)]
        found = self._run(name, columns, dict(zip(terms, zip(asked, expectations, strict=True), strict=True)))
        outcomes = (
            outcome_of(expectation, question, columns, found[term])
            for expectation, question, term in zip(expectations, asked, terms, strict=True)
        )
        return ValidationReport(name, columns.rows, tuple(outcomes))

    def _run(self, name: str, columns: Columns, asked: Mapping[str, tuple[Asked, Expectation]]) -> dict[str, Any]:
        """The result of each term; terms that are equal are asked once, as a suite is a set."""
        if not asked:
            return {}
        gx = tool_module("great_expectations")
        frame = columns.frame(column for _, expectation in asked.values() for column in columns_of(expectation))
        for question, _ in asked.values():
            frame = frame.assign(**question.added)
        made = [_made(question, expectation) for question, expectation in asked.values()]
        parameters = {key: values for question, _ in asked.values() for key, values in question.parameters.items()}
        with self._context() as context:
            suite = _suite(gx, context, _kept_name(name), made)
            definition = _definition(gx, context, suite)
            run = definition.run(
                batch_parameters={"dataframe": frame},
                expectation_parameters=parameters or None,
                result_format={"result_format": "BASIC", "partial_unexpected_count": VALUES_KEPT},
            )
            if self._docs:
                context.build_data_docs()
        results = {result.expectation_config.id: result for result in run.results}
        return {term: results[kept.id] for term, kept in zip(asked, suite.expectations, strict=True)}

    @contextmanager
    def _context(self) -> Iterator[Any]:
        """The project, opened anew each time: it holds every result in memory, and other processes write to it."""
        if self._closed:
            raise Conflict("This validator was closed", allowed="making a new one")
        with self._lock, _told(self._home / "gx"):
            gx = tool_module("great_expectations")
            if self._mode == "ephemeral":
                yield _quiet(gx.get_context(mode="ephemeral"))
                return
            with (self._home / "gx.lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield _quiet(gx.get_context(mode="file", project_root_dir=self._home))


def _chosen(options: Mapping[str, object]) -> tuple[object, bool]:
    check_names("great-expectations", options, GreatExpectations.options)
    mode, docs = choice(options, GreatExpectations.options, "context"), options.get("data_docs", False)
    if not isinstance(docs, bool) or (docs and mode != "file"):
        allowed = "true or false; true only with the context file, which holds the pages"
        raise RefusedInput("The option data_docs is wrong", got=f"{docs!r} with the context {mode}", allowed=allowed)
    return mode, docs


@contextmanager
def _told(project: object) -> Iterator[None]:
    """What goes wrong in the tool, as one of our errors."""
    exceptions = tool_module("great_expectations.exceptions")
    try:
        yield
    except OSError as failed:
        raise _not_written(failed) from failed
    except (exceptions.GreatExpectationsError, ValueError, LookupError) as refused:
        if isinstance(refused.__context__, OSError):
            raise _not_written(refused.__context__) from refused
        raise Conflict(
            "Great Expectations can't use its project",
            got=f"{type(refused).__name__}: {first_line(str(refused))}",
            allowed=f"files below {project} as it wrote them; without them it begins anew",
        ) from refused


def _not_written(failed: OSError) -> StorageFailed:
    return not_written("The project of Great Expectations can't be read or written", failed)


def _quiet(context: Any) -> Any:
    """Without progress bars and statistics about its use, by the settings that it documents for them."""
    if context.config.analytics_enabled is not False:
        bars = tool_module("great_expectations.data_context.types.base").ProgressBarsConfig(globally=False)
        context.variables.progress_bars = bars
        context.enable_analytics(False)
    return context


def _suite(gx: Any, context: Any, name: str, expectations: list[Any]) -> Any:
    """The suite of this name with these expectations; one that has them already is left as it is."""
    try:
        suite = context.suites.get(name)
    except gx.exceptions.DataContextError:
        return context.suites.add(gx.ExpectationSuite(name=name, expectations=expectations))
    if list(map(_terms, suite.expectations)) != list(map(_terms, expectations)):
        suite.expectations = expectations
        suite.save()
    return suite


def _terms(expectation: Any) -> object:
    return expectation.expectation_type, expectation.severity, expectation.configuration.kwargs


def _definition(gx: Any, context: Any, suite: Any) -> Any:
    """The validation definition of the suite's name, which checks a whole table with the suite."""
    try:
        return context.validation_definitions.get(suite.name)
    except gx.exceptions.DataContextError:
        pass
    source = context.data_sources.all().get(SOURCE) or context.data_sources.add_pandas(SOURCE)
    known = {asset.name: asset for asset in source.assets}
    asset = known.get(suite.name) or source.add_dataframe_asset(suite.name)
    batches = {batch.name: batch for batch in asset.batch_definitions}
    batch = batches.get(BATCH) or asset.add_batch_definition_whole_dataframe(BATCH)
    return context.validation_definitions.add(gx.ValidationDefinition(name=suite.name, data=batch, suite=suite))


def _kept_name(name: str) -> str:
    """The table's name as Great Expectations may keep it: it makes a file name of it."""
    parts = (c if c.isalnum() or c in " _-.()" else quote(c, safe="", errors="surrogatepass") for c in name)
    kept = EMPTY_PART.sub("%2E", "".join(parts)) or "%"
    if len(kept) <= LONGEST_NAME:
        return kept
    return f"{kept[:LONGEST_NAME]} {hashlib.sha256(name.encode(errors='surrogatepass')).hexdigest()[:16]}"


def _made(asked: Asked, expectation: Expectation) -> Any:
    """The expectation of Great Expectations. Raises `RefusedInput` with the first thing that it has against it."""
    severity = "critical" if expectation.severity is Severity.ERROR else "warning"
    try:
        return getattr(tool_module("great_expectations.expectations"), asked.kind)(**asked.arguments, severity=severity)
    except ValueError as refused:  # pydantic's own errors are of this kind
        raise RefusedInput(
            "Great Expectations refuses an expectation", got=repr(expectation), faults=str(refused).splitlines()
        ) from refused
