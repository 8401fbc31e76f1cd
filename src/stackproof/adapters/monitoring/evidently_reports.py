"""The reports that Evidently's own UI shows: one project for each watch, with a dashboard over its looks."""

import os
import warnings
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

from stackproof.adapters.monitoring.evidently_features import frames
from stackproof.adapters.monitoring.watch_book import Look, Watch
from stackproof.errors import NotFound
from stackproof.roles.monitoring import ColumnKind


def keep(workspace: Path, watch: Watch, look: Look) -> None:
    """The look as users of Evidently know it: its preset of drift on the columns as they are."""
    evidently, presets = imported(), import_module("evidently.presets")
    known = import_module("evidently.ui.workspace").Workspace.create(str(workspace))
    project = next((p for p in known.list_projects() if p.name == watch.name), None) or known.create_project(watch.name)
    _fill_dashboard(project.dashboard, watch)
    current, reference, columns = frames(watch.reference, look.rows, watch.columns)
    if not columns:
        return
    definition = evidently.DataDefinition(
        numerical_columns=[column for column in columns if watch.columns[column] is ColumnKind.NUMERIC],
        categorical_columns=[column for column in columns if watch.columns[column] is ColumnKind.CATEGORICAL],
    )
    datasets = [evidently.Dataset.from_pandas(frame, data_definition=definition) for frame in (current, reference)]
    preset = presets.DataDriftPreset(columns=columns, num_method="ks", cat_method="chisquare", threshold=watch.level)
    found = {finding.column: f"{finding.test}: {finding.effect}" for finding in look.findings}
    first, last = look.end - look.rows.num_rows, look.end - 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scipy's, as in a look
        run = evidently.Report([preset], metadata={"first": first, "last": last, **found}).run(
            *datasets, name=f"{watch.name}, rows {first} to {last}", tags=["alarm"] if found else []
        )
    known.add_run(project.id, run)


def _fill_dashboard(dashboard: Any, watch: Watch) -> None:
    """With what its users would put there themselves, unless they did."""
    if dashboard.model().panels:
        return
    panels, models = import_module("evidently.sdk.panels"), import_module("evidently.sdk.models")

    def metrics(name: str, label: str, values: Iterable[str]) -> list[Any]:
        return [models.PanelMetric(metric=name, metric_labels={label: value}, legend=value) for value in values]

    shares = metrics("DriftedColumnsCount", "value_type", ["share"])
    said = "Of each look that is kept: the columns whose p-value is below Evidently's threshold"
    dashboard.add_panel(panels.line_plot_panel("Share of drifted columns", shares, said), tab="Drift")
    values = metrics("ValueDrift", "column", watch.columns)
    dashboard.add_panel(panels.line_plot_panel("p-value of each column", values), tab="Drift")


def imported() -> Any:
    """The tool, without the telemetry of its server, by the variable that it documents."""
    os.environ.setdefault("DO_NOT_TRACK", "1")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            return import_module("evidently")
    except ImportError as missing:
        raise NotFound(
            f"Evidently can't be imported: {missing}", next_command="uv pip install evidently 'pandas<3' pyarrow"
        ) from missing
