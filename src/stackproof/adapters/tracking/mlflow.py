"""Tracking and registry in MLflow 3: a tracking server, a database, or a store of its own in the project."""

import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote, urlsplit

from stackproof.adapters.option_values import check_names
from stackproof.adapters.tracking import mlflow_flavor as flavor
from stackproof.adapters.tracking import mlflow_form as form
from stackproof.adapters.tracking.content import content_of, fetched
from stackproof.adapters.tracking.exclusion import Exclusion
from stackproof.adapters.tracking.mlflow_artifacts import RunFiles
from stackproof.adapters.tracking.mlflow_library import as_ours, foreign, library, mapped, server_version
from stackproof.adapters.tracking.mlflow_models import Models
from stackproof.adapters.tracking.mlflow_points import WaitingPoints
from stackproof.adapters.tracking.mlflow_runs import ENDED, Runs
from stackproof.adapters.tracking.mlflow_server import server_on
from stackproof.adapters.tracking.refusals import another_value, check_end, check_package, check_params, no_artifact
from stackproof.adapters.tracking.texts import checked_name, checked_relative, checked_run_id, checked_text
from stackproof.errors import Conflict, NotFound, RefusedInput, StackproofError, Unavailable
from stackproof.roles.adapter import Health, Option, ServerSpec, Setting
from stackproof.roles.tracking import Artifact, Metric, ModelVersion, Param, Run, RunStatus

REGISTERED = "registered_models"
TRAINING = "?workflowType=machine_learning"
POINTS_AT_ONCE = 500
NAMES_AT_ONCE = 100
SHOWN_AFTER_S = 1.0

NO_MICROSECONDS = "MLflow keeps an instant to the millisecond"


class MlflowTracking:
    """All of `roles.tracking`, by MLflow's own client.

    A run is MLflow's run with the tag "stackproof.run"; its name is the identifier where none was given. Runs, models
    and artifacts that others wrote are read too: as "run:" and MLflow's identifier, with an empty digest.

    MLflow checks nothing between a read and a write, so writers that share this home exclude each other; those on
    several machines do not. An instant keeps its milliseconds only. Equal points of one millisecond, which MLflow
    would merge, are moved apart by one each (`WaitingPoints`). Points are sent in batches, a second later at most if
    more are logged, else by `flush`.
    """

    tool: ClassVar[str] = "mlflow"
    capabilities: ClassVar[frozenset[str]] = frozenset({"write-runs", "read-runs", "registry", "links"})
    deviations: ClassVar[Mapping[str, str]] = {
        "test_a_point_keeps_its_instant_to_the_microsecond_in_utc": NO_MICROSECONDS,
        "test_ten_thousand_points_come_back": NO_MICROSECONDS,
    }
    options: ClassVar[Mapping[str, Option]] = {
        "uri": Option("string", "the tracking server (http…) or database (sqlite:///…); none: a database of its own"),
        "artifacts": Option("string", "the folder or address of artifacts, when `uri` is no server; none: in the home"),
        "username": Option("string", "for a server that asks for it"),
        "password": Option("string", "for a server that asks for it; write ${VARIABLE}"),
        "token": Option("string", "for a server that asks for one; write ${VARIABLE}"),
        "timeout_s": Option("integer", "how long one request may take, in seconds", 60),
        "port": Option("integer", "of the server that `stackproof up` starts; none: one that is free"),
        "retries": Option("integer", "how often a request is made again when the server does not answer", 3),
    }

    def __init__(self, setting: Setting) -> None:
        check_names("tracking.mlflow", setting.options, self.options)
        self._options = {name: option.default for name, option in self.options.items()} | dict(setting.options)
        self._uri, self._artifacts = _store(setting)
        self._exclusion = Exclusion(setting.home / "mlflow.lock")
        self._connecting = threading.Lock()
        self._connected: tuple[Any, Any, Runs] | None = None
        self._waiting = WaitingPoints()
        self._sent_at = time.monotonic()
        self._running: set[str] = set()
        self._closed = False

    @staticmethod
    def server(setting: Setting, python: Path) -> ServerSpec | None:
        """See `HasServer.server`."""
        uri, artifacts = _store(setting)
        if _is_server(uri):
            return None
        return server_on(uri, artifacts, setting.home, python, int(str(setting.options.get("port") or 0)))

    def health(self) -> Health:
        """Asks for one experiment, and a server for its version. `version` is the client's."""
        shown = _without_secrets(self._uri)
        try:
            told = self._ask()
        except StackproofError as problem:
            return Health(False, _version(), f"{shown}: {problem}")
        return Health(True, _version(), f"{shown} answers{told}")

    @mapped
    def close(self) -> None:
        """Flush, and release."""
        if not self._closed:
            self.flush()
            self._closed = True

    @mapped
    def link(self, identifier: str, ui: str) -> str:
        """Of a run and of a model version, in that half of MLflow's UI that is not for language models."""
        kind, _, name = identifier.partition(":")
        if not ui and not self._uri.startswith("http"):
            return ""
        at = f"{ui or self._uri}/#"
        if kind == "run":
            run = self._runs.find(identifier)
            return f"{at}/experiments/{run.info.experiment_id}/runs/{run.info.run_id}{TRAINING}" if run else ""
        if kind == "model":
            model, _, number = name.rpartition("@")
            known = any(found.name == model and str(found.version) == number for found in self.list_models())
            return f"{at}/models/{quote(form.model_key(model))}/versions/{number}{TRAINING}" if known else ""
        return ""

    # write-runs

    @mapped
    def start_run(
        self,
        experiment: str,
        *,
        run_id: str,
        name: str = "",
        tags: Mapping[str, str] | None = None,
    ) -> Run:
        """See `RunWriter.start_run`."""
        checked_run_id(run_id)
        form.short("experiment", checked_name("experiment", experiment), form.EXPERIMENT_LENGTH)
        form.short("run's name", checked_text("run's name", name), form.NAME_LENGTH)
        given = form.written_tags(tags or {})
        with self._exclusively():
            found = self._runs.find(run_id)
            if found is None:
                found = self._runs.create(experiment, run_id, name, given)
                self._running.add(run_id)
            return self._runs.as_run(found)

    @mapped
    def log_params(self, run_id: str, params: Mapping[str, Param]) -> None:
        """See `RunWriter.log_params`."""
        check_params(params)
        texts = {form.key_of("parameter's name", name): form.param_text(name, v) for name, v in params.items()}
        marks = {
            form.key_of("parameter's name", form.key_of("parameter's name", name), form.TEXT_TAGS): "text"
            for name, value in params.items()
            if isinstance(value, str) and form.param_value(value) != value
        }
        with self._exclusively():
            run = self._runs.writable(run_id)
            known = form.read_params(run.data.params, run.data.tags)
            for name, value in params.items():
                if name in known and (type(known[name]), str(known[name])) != (type(value), str(value)):
                    raise another_value(run_id, name, value, repr(known[name]))
            self._set_tags(run, marks)
            for batch in form.batches([*texts.items()], NAMES_AT_ONCE):
                self._client.log_batch(run.info.run_id, params=[self._entity("Param", *item) for item in batch])

    @mapped
    def log_metrics(self, run_id: str, metrics: Sequence[Metric]) -> None:
        """See `RunWriter.log_metrics`."""
        points = [form.written_point(metric) for metric in metrics]
        if run_id not in self._running or self._closed:
            with self._exclusively():
                self._runs.writable(run_id)
                self._running.add(run_id)
        waiting = self._waiting.add(run_id, points)
        if waiting >= POINTS_AT_ONCE or time.monotonic() - self._sent_at > SHOWN_AFTER_S:
            with suppress(Unavailable):  # accepted all the same: `flush` and `end_run` say it
                self.flush()

    @mapped
    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """See `RunWriter.set_tags`."""
        given = form.written_tags(tags)
        with self._exclusively():
            self._set_tags(self._runs.writable(run_id), given)

    @mapped
    def log_artifact(self, run_id: str, name: str, path: Path) -> Artifact:
        """See `RunWriter.log_artifact`. Raises `Conflict` for a name inside another artifact: MLflow has one tree."""
        place = checked_relative(name)
        tag = form.artifact_tag(place)
        with self._exclusively():
            run = self._runs.writable(run_id)
            kept = form.recorded(run.data.tags)
            _check_apart(place, [*kept, REGISTERED])
            content = content_of(path)
            record = form.record_of(content)
            files = self._files(run)
            if place in kept and (kept[place].folder or not content.is_file):
                files.remove(form.path_key(place))
            files.put(form.path_key(place), path, content)
            self._client.set_tag(run.info.run_id, tag, record)
        return Artifact(place, content.digest, content.size)

    @mapped
    def end_run(self, run_id: str, status: RunStatus) -> Run:
        """See `RunWriter.end_run`."""
        check_end(status)
        with self._exclusively():
            if ENDED.get(self._runs.get(run_id).info.status) is status:
                return self._runs.as_run(self._runs.get(run_id))
            run = self._runs.writable(run_id)
            self._send(run_id)
            self._running.discard(run_id)
            ended_at = max(form.to_ms(datetime.now(UTC)), run.info.start_time)
            self._client.set_terminated(run.info.run_id, status.name, ended_at)
            return self._runs.as_run(self._runs.get(run_id))

    @mapped
    def flush(self) -> None:
        """See `RunWriter.flush`."""
        problems: list[StackproofError] = []
        for run_id in self._waiting.runs():
            try:
                self._send(run_id)
            except StackproofError as problem:
                problems.append(problem)
        self._sent_at = time.monotonic()
        if problems:
            raise problems[0]

    # read-runs

    @mapped
    def get_run(self, run_id: str) -> Run:
        """See `RunReader.get_run`."""
        return self._runs.as_run(self._runs.get(run_id))

    @mapped
    def search_runs(
        self,
        experiment: str | None = None,
        *,
        tags: Mapping[str, str] | None = None,
        order_by_metric: str | None = None,
        descending: bool = True,
        limit: int = 100,
    ) -> list[Run]:
        """See `RunReader.search_runs`."""
        names = self._runs.experiments(experiment)
        order = ["attributes.start_time DESC"]
        if order_by_metric is not None:
            key = form.key_of("metric's name", order_by_metric)
            order.insert(0, f"metrics.`{key}` {'DESC' if descending else 'ASC'}")
        wanted = (tags or {}).items()
        found: list[Run] = []
        for entity in self._runs.search(list(names), form.filter_of(tags or {}), order, limit):
            run = self._runs.as_run(entity, names)
            if wanted <= run.tags.items():
                found.append(run)
            if len(found) >= limit:
                break
        return found[:limit]

    @mapped
    def metric_history(self, run_id: str, name: str) -> list[Metric]:
        """See `RunReader.metric_history`."""
        key = form.key_of("metric's name", name)
        points = self._client.get_metric_history(self._runs.get(run_id).info.run_id, key)
        history = [Metric(name, form.read_value(p.value), p.step, form.from_ms(p.timestamp)) for p in points]
        return sorted(history, key=lambda metric: (metric.step, metric.at))

    @mapped
    def list_artifacts(self, run_id: str) -> list[Artifact]:
        """See `RunReader.list_artifacts`. Files of a run that others wrote have an empty digest."""
        run = self._runs.get(run_id)
        if form.RUN_TAG not in run.data.tags:
            return self._files(run).listed()
        return [kept.artifact for kept in form.recorded(run.data.tags).values()]

    @mapped
    def fetch_artifact(self, run_id: str, name: str, into: Path) -> Path:
        """See `RunReader.fetch_artifact`. What others wrote is not verified."""
        place = checked_relative(name)
        run = self._runs.get(run_id)
        files = self._files(run)
        target = into / Path(place).name
        if form.RUN_TAG not in run.data.tags:
            return fetched(target, "", lambda folder: files.get_as_it_is(place, folder))
        kept = form.recorded(run.data.tags).get(place)
        if kept is None:
            raise no_artifact(run_id, name)
        key = form.path_key(place)
        return fetched(target, kept.artifact.digest, lambda folder: files.get(key, kept, folder))

    # registry

    @mapped
    def register_model(self, name: str, package: Path, *, run_id: str) -> ModelVersion:
        """See `Registry.register_model`. The package lies among the run's artifacts, below "registered_models".

        Beside one that can be served lies MLflow's own description, so that MLflow shows its columns and loads it.
        """
        key = form.model_key(name)
        check_package(package)
        with self._exclusively():
            run = self._runs.get(run_id)
            content = content_of(package)
            known = self._models.same(key, run.info.run_id, content)
            if known is not None:
                return known
            files = self._files(run)
            place = f"{REGISTERED}/{re.sub('[^A-Za-z0-9-]', '_', name)}/{content.digest[7:23]}"
            described = flavor.described(package)
            below = "" if described is None else flavor.PACKAGE
            files.put(f"{place}/{below}".rstrip("/"), package, content)
            if described is not None:
                files.put_text(f"{place}/{flavor.FILE}", described)
            return self._models.add(key, run_id, run.info.run_id, files.uri(place), content, below)

    @mapped
    def get_model(self, name: str, version: int | str) -> ModelVersion:
        """See `Registry.get_model`. A version that others registered has an empty digest."""
        return self._models.get(name, version)

    @mapped
    def list_models(self) -> list[ModelVersion]:
        """See `Registry.list_models`."""
        return self._models.all()

    @mapped
    def set_alias(self, name: str, alias: str, version: int) -> None:
        """See `Registry.set_alias`."""
        key = form.alias_key(alias)
        with self._exclusively():
            self._models.get(name, version)
            self._client.set_registered_model_alias(form.model_key(name), key, str(version))

    @mapped
    def fetch_model(self, name: str, version: int, into: Path) -> Path:
        """See `Registry.fetch_model`. What others registered is not verified."""
        model = self._models.get(name, version)
        return fetched(into, model.digest, lambda folder: self._models.download(name, version, folder))

    # MLflow

    @property
    def _mlflow(self) -> Any:
        return self._connect()[0]

    @property
    def _client(self) -> Any:
        return self._connect()[1]

    @property
    def _runs(self) -> Runs:
        return self._connect()[2]

    @property
    def _models(self) -> Models:
        return Models(self._mlflow, self._client)

    def _connect(self) -> tuple[Any, Any, Runs]:
        with self._connecting:
            if self._connected is None:
                mlflow = library(self._options)
                client = mlflow.MlflowClient(tracking_uri=self._uri, registry_uri=self._uri)
                if not _is_server(self._uri):
                    with self._exclusion():  # the first to come makes the tables
                        client.search_experiments(max_results=1)
                self._connected = mlflow, client, Runs(mlflow, client, "" if _is_server(self._uri) else self._artifacts)
            return self._connected

    @mapped
    def _ask(self) -> str:
        self._client.search_experiments(max_results=1)
        return f", a server of MLflow {server_version(self._uri)}" if _is_server(self._uri) else ""

    @contextmanager
    def _exclusively(self) -> Iterator[None]:
        if self._closed:
            raise Conflict("This tracking was closed")
        self._connect()
        with self._exclusion():
            yield

    def _entity(self, kind: str, *fields: object) -> Any:
        return getattr(self._mlflow.entities, kind)(*fields)

    def _files(self, run: Any) -> RunFiles:
        return RunFiles(self._mlflow, self._client, run)

    def _set_tags(self, run: Any, tags: Mapping[str, str]) -> None:
        for batch in form.batches([*tags.items()], NAMES_AT_ONCE):
            self._client.log_batch(run.info.run_id, tags=[self._entity("RunTag", *item) for item in batch])

    @mapped
    def _send(self, run_id: str) -> None:
        """Write what waits. What a run that has ended refuses is given up; what MLflow did not take waits on."""
        with self._exclusively():
            points = self._waiting.take(run_id)
            if not points:
                return
            waits_on = True
            failures: tuple[type[BaseException], ...] = (StackproofError, *foreign())
            try:
                run = self._runs.writable(run_id)
                for batch in form.batches(points, POINTS_AT_ONCE):
                    self._client.log_batch(run.info.run_id, [self._entity("Metric", *point) for point in batch])
                waits_on = False
            except failures as error:
                waits_on = not isinstance(as_ours(error), (Conflict, NotFound, RefusedInput))
                if not waits_on:
                    self._running.discard(run_id)
                raise
            finally:
                if waits_on:
                    self._waiting.give_back(run_id, points)


def _store(setting: Setting) -> tuple[str, str]:
    """The address of the server or the database, and where artifacts are kept when that is no server."""
    uri = setting.options.get("uri") or f"sqlite:///{setting.home.absolute() / 'mlflow.db'}"
    artifacts = setting.options.get("artifacts") or (setting.home / "artifacts").absolute().as_uri()
    return str(uri), str(artifacts)


def _is_server(uri: str) -> bool:
    return urlsplit(uri).scheme in ("http", "https")


def _check_apart(name: str, others: Sequence[str]) -> None:
    for other in others:
        if other != name and (other.startswith(f"{name}/") or name.startswith(f"{other}/")):
            raise Conflict(
                "MLflow keeps the artifacts of a run in one tree, where one can't lie inside another",
                got=name,
                allowed=f"a name outside of {other!r}",
            )


def _without_secrets(uri: str) -> str:
    scheme, mark, rest = uri.partition("://")
    return f"{scheme}{mark}{rest.rpartition('@')[2]}"


def _version() -> str:
    try:
        return version("mlflow")
    except ModuleNotFoundError:
        return ""
