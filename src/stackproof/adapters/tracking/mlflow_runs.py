"""Runs and experiments as MLflow has them, found by Stackproof's identifiers."""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from getpass import getuser
from typing import Any

from stackproof.adapters.tracking import mlflow_form as form
from stackproof.adapters.tracking.mlflow_library import as_ours
from stackproof.adapters.tracking.refusals import ended, no_run
from stackproof.errors import Conflict, NotFound
from stackproof.roles.tracking import Run, RunStatus

AT_ONCE = 1000
KIND = {"mlflow.experimentKind": "custom_model_development"}
"""Else MLflow's list of experiments leads to the half of its UI that is for language models."""
ENDED = {"FINISHED": RunStatus.FINISHED, "FAILED": RunStatus.FAILED, "KILLED": RunStatus.KILLED}


class Runs:
    """`artifacts`: the folder of new experiments' artifacts, or "" to leave that to a server."""

    def __init__(self, mlflow: Any, client: Any, artifacts: str) -> None:
        self._mlflow = mlflow
        self._client = client
        self._artifacts = artifacts
        self._ids: dict[str, str] = {}
        self._last_start = 0

    def create(self, experiment: str, run_id: str, name: str, tags: Mapping[str, str]) -> Any:
        self._last_start = max(form.to_ms(datetime.now(UTC)), self._last_start + 1)
        ours = {form.RUN_TAG: run_id, "mlflow.user": _user(), "mlflow.source.name": "stackproof"}
        run = self._client.create_run(
            self._experiment_id(experiment), self._last_start, {**tags, **ours}, run_name=name or run_id
        )
        self._ids[run_id] = run.info.run_id
        return run

    def _experiment_id(self, name: str) -> str:
        found = self._client.get_experiment_by_name(name)
        if found is None:
            artifacts = f"{self._artifacts.rstrip('/')}/{form.folder_of(name)}" if self._artifacts else None
            try:
                made: str = self._client.create_experiment(name, artifact_location=artifacts, tags=KIND)
            except self._mlflow.MlflowException as error:
                if not isinstance(as_ours(error), Conflict):
                    raise
                return self._experiment_id(name)  # another machine made it just now
            return made
        if found.lifecycle_stage != "active":
            raise Conflict(
                f"The experiment {name!r} was deleted in MLflow",
                next_command=f"mlflow experiments restore --experiment-id {found.experiment_id}",
            )
        existing: str = found.experiment_id
        return existing

    def get(self, run_id: str) -> Any:
        found = self.find(run_id)
        if found is None:
            raise no_run(run_id)
        return found

    def find(self, run_id: str) -> Any:
        """MLflow's run, or None when there is none, or it was deleted there."""
        if run_id not in self._ids:
            found = self._find_by_tag(run_id)
            if found is None:
                return self._find_foreign(run_id.removeprefix("run:"))
            self._ids[run_id] = found.info.run_id
        run = self._client.get_run(self._ids[run_id])
        return run if run.info.lifecycle_stage == "active" else None

    def _find_by_tag(self, run_id: str) -> Any:
        order = ["attributes.start_time ASC", "attributes.run_id ASC"]
        tags = {form.RUN_TAG: run_id}
        for run in self.search(list(self.experiments(None)), form.filter_of(tags), order, 1):
            if run.data.tags.get(form.RUN_TAG) == run_id:
                return run
        return None

    def _find_foreign(self, mlflow_id: str) -> Any:
        if not re.fullmatch("[0-9a-f]{32}", mlflow_id):
            return None
        try:
            run = self._client.get_run(mlflow_id)
        except self._mlflow.MlflowException as error:
            if isinstance(as_ours(error), NotFound):
                return None
            raise
        return run if run.info.lifecycle_stage == "active" and form.RUN_TAG not in run.data.tags else None

    def writable(self, run_id: str) -> Any:
        run = self.get(run_id)
        if form.RUN_TAG not in run.data.tags:
            raise Conflict(f"The run {run_id} was not started by Stackproof, which only reads it")
        if run.info.status in ENDED:
            raise ended(run_id, ENDED[run.info.status].value)
        return run

    def experiments(self, name: str | None) -> dict[str, str]:
        """Names by identifier: all that are not deleted, or the one asked for."""
        if name is not None:
            found = self._client.get_experiment_by_name(name) if name else None
            return {found.experiment_id: name} if found is not None and found.lifecycle_stage == "active" else {}
        pages = form.pages(lambda token: self._client.search_experiments(max_results=AT_ONCE, page_token=token))
        return {experiment.experiment_id: experiment.name for experiment in pages}

    def search(self, experiments: list[str], text: str, order: list[str], limit: int) -> Iterator[Any]:
        if not experiments or limit < 1:
            return iter(())
        size = min(limit, AT_ONCE)
        return form.pages(
            lambda token: self._client.search_runs(
                experiments, text, max_results=size, order_by=order, page_token=token
            )
        )

    def as_run(self, run: Any, names: Mapping[str, str] | None = None) -> Run:
        info, tags = run.info, run.data.tags
        run_id = tags.get(form.RUN_TAG, f"run:{info.run_id}")
        experiment = (names or {}).get(info.experiment_id) or self._client.get_experiment(info.experiment_id).name
        ended = info.status in ENDED and info.end_time is not None
        return Run(
            id=run_id,
            experiment=experiment,
            name="" if info.run_name == run_id else info.run_name,
            status=ENDED.get(info.status, RunStatus.RUNNING),
            started_at=form.from_ms(info.start_time),
            ended_at=form.from_ms(info.end_time) if ended else None,
            params=form.read_params(run.data.params, tags),
            metrics=form.read_metrics(run.data.metrics),
            tags=form.read_tags(tags),
        )


def _user() -> str:
    try:
        return getuser()
    except (KeyError, OSError, ImportError):  # a container's user may have no name
        return "unknown"
