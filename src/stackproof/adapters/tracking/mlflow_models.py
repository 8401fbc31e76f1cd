"""MLflow's model registry: versions, aliases, and where a package lies."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stackproof.adapters.tracking import mlflow_form as form
from stackproof.adapters.tracking.content import Content
from stackproof.adapters.tracking.escaping import unescaped
from stackproof.adapters.tracking.mlflow_artifacts import RunFiles
from stackproof.errors import NotFound
from stackproof.roles.tracking import ModelVersion

MODELS_AT_ONCE = 1000


class Models:
    """`key` is a model's name as MLflow has it, `name` as Stackproof has it."""

    def __init__(self, mlflow: Any, client: Any) -> None:
        self._mlflow = mlflow
        self._client = client

    def same(self, key: str, mlflow_run_id: str, content: Content) -> ModelVersion | None:
        """The version made before from the same bytes by the same run."""
        for entity in self._versions(f"name = '{key}'"):
            model = self._as_model(entity)
            if entity.run_id == mlflow_run_id and model.digest == content.digest:
                return self.get(model.name, model.version)
        return None

    def add(self, key: str, run_id: str, mlflow_run_id: str, source: str, content: Content, below: str) -> ModelVersion:
        """A new version, and the model when it is the first. `below`: the folder of the package in `source`."""
        if not any(True for _ in self._registered(f"name = '{key}'")):
            self._client.create_registered_model(key)
        tags = {form.RUN_TAG: run_id, form.MODEL_TAG: form.record_of(content, below)}
        made = self._client.create_model_version(key, source, mlflow_run_id, tags)
        return self._as_model(made)

    def get(self, name: str, version: int | str) -> ModelVersion:
        """By number, or by alias when a string. Raises `NotFound`."""
        key = form.model_key(name)
        model = next((model for model in self._registered(f"name = '{key}'") if model.name == key), None)
        if model is None:
            raise NotFound(f"There is no model {name!r}", next_command="stackproof models")
        number = model.aliases.get(form.alias_key(version)) if isinstance(version, str) else version
        entity = next((it for it in self._versions(f"name = '{key}'") if str(it.version) == str(number)), None)
        if entity is None:
            what = "alias" if isinstance(version, str) else "version"
            raise NotFound(f"The model {name!r} has no {what} {version!r}", next_command="stackproof models")
        return self._as_model(entity, model.aliases)

    def all(self) -> list[ModelVersion]:
        """By name, then version."""
        aliases = {model.name: model.aliases for model in self._registered("")}
        models = [self._as_model(entity, aliases.get(entity.name, {})) for entity in self._versions("")]
        return sorted(models, key=lambda model: (model.name, model.version))

    def download(self, name: str, version: int, into: Path) -> Path:
        """The package below `into`. Raises `Corrupted` when one that was registered here is not there."""
        key = form.model_key(name)
        entity = self._client.get_model_version(key, str(version))
        record = entity.tags.get(form.MODEL_TAG)
        if record is None:
            return self._download_foreign(self._client.get_model_version_download_uri(key, str(version)), into)
        run = self._client.get_run(entity.run_id)
        place = entity.source.removeprefix(run.info.artifact_uri.rstrip("/") + "/")
        kept = form.read_record(name, record)
        return RunFiles(self._mlflow, self._client, run).get(f"{place}/{kept.below}".rstrip("/"), kept, into)

    def _download_foreign(self, uri: str, into: Path) -> Path:
        download = self._mlflow.artifacts.download_artifacts
        return Path(download(artifact_uri=uri, dst_path=str(into), tracking_uri=self._client.tracking_uri))

    def _versions(self, text: str) -> Iterator[Any]:
        search = self._client.search_model_versions
        return form.pages(lambda token: search(text, max_results=MODELS_AT_ONCE, page_token=token))

    def _registered(self, text: str) -> Iterator[Any]:
        search = self._client.search_registered_models
        return form.pages(lambda token: search(text or None, max_results=MODELS_AT_ONCE, page_token=token))

    def _as_model(self, entity: Any, aliases: dict[str, str] | None = None) -> ModelVersion:
        record = entity.tags.get(form.MODEL_TAG)
        name = unescaped(entity.name)
        foreign_run = f"run:{entity.run_id}" if entity.run_id else ""
        return ModelVersion(
            name=name,
            version=int(entity.version),
            run_id=entity.tags.get(form.RUN_TAG, foreign_run),
            digest=form.read_record(name, record).artifact.digest if record else "",
            created_at=form.from_ms(entity.creation_timestamp),
            aliases=tuple(
                sorted(
                    unescaped(alias) for alias, number in (aliases or {}).items() if str(number) == str(entity.version)
                )
            ),
        )
