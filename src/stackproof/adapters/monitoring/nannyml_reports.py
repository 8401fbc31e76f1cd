"""NannyML's own results of a look: its plots as pages, and its figures as Parquet."""

import hashlib
import re
import warnings
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from stackproof.adapters.monitoring.watch_book import Look, Watch
from stackproof.roles.monitoring import ColumnKind

SHOWN = 6


def keep_report(reports: Path, watch: Watch, look: Look) -> None:
    """Write what NannyML's calculators say of a look, in chunks as long as the window.

    For each there is a page, `rows-FIRST-LAST-WHAT.html`, and the figures beside it in Parquet. They are of the
    columns of the findings, of all when there are none, and of SHOWN of them: NannyML takes seconds for each.
    """
    folder = folder_of(reports, watch.name)
    folder.mkdir(parents=True, exist_ok=True)
    before, after = watch.reference.to_pandas(), look.rows.to_pandas()
    columns = ([finding.column for finding in look.findings] or list(watch.columns))[:SHOWN]
    nannyml = import_module("nannyml")
    name = f"rows-{look.end - len(after)}-{look.end - 1}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there are few chunks, and scipy's
        writer = nannyml.RawFilesWriter(path=str(folder))
        valued = [column for column in columns if before[column].notna().any() and after[column].notna().any()]
        for what, calculator in _calculators(nannyml, watch, columns, valued):
            result = calculator.fit(before).calculate(after)
            writer.write(result, filename=f"{name}-{what}.parquet", format="parquet")
            result.plot().write_html(folder / f"{name}-{what}.html", include_plotlyjs="directory")


def folder_of(reports: Path, name: str) -> Path:
    """A watch's own folder, whatever characters its name has."""
    readable = re.sub(r"[^A-Za-z0-9._-]", "_", name)[:60]
    return reports / f"{readable}-{hashlib.sha256(name.encode()).hexdigest()[:10]}"


def newest_page(reports: Path, name: str) -> Path | None:
    """The page of drift that was written last for a watch; None when there is none."""
    pages = folder_of(reports, name).glob("rows-*-drift.html")
    return max(pages, key=lambda page: page.stat().st_mtime_ns, default=None)


def _calculators(nannyml: Any, watch: Watch, columns: list[str], valued: list[str]) -> Iterator[tuple[str, Any]]:
    """`valued`: the columns that have a value in the reference and in the window."""
    size = max(1, min(watch.policy.window, watch.reference.num_rows))
    categories = [column for column in valued if watch.columns[column] is ColumnKind.CATEGORICAL]
    yield "missing", nannyml.MissingValuesCalculator(column_names=columns, chunk_size=size)
    if categories:
        yield "unseen", nannyml.UnseenValuesCalculator(column_names=categories, chunk_size=size)
    if valued:
        yield (
            "drift",
            nannyml.UnivariateDriftCalculator(
                column_names=valued,
                treat_as_numerical=[column for column in valued if column not in categories],
                treat_as_categorical=categories,
                continuous_methods=["kolmogorov_smirnov"],
                categorical_methods=["chi2"],
                chunk_size=size,
            ),
        )
