"""Where a thing of the ledger is shown in the tool that it lives in."""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from stackproof.ledger import Entity


def link(tool: str, url: str, entity: Entity) -> str | None:
    """The page of `entity` in the UI of `tool` at `url`; None where that tool has no page for it."""
    page = _PAGES.get((tool, entity.kind))
    place = page(entity.attributes) if page is not None else None
    return f"{url.rstrip('/')}/{place}" if place else None


_TRAINING = "?workflowType=machine_learning"
"""That half of MLflow's UI that is not for language models."""


def _mlflow_run(facts: Mapping[str, Any]) -> str | None:
    experiment, run = facts.get("experiment_id"), facts.get("mlflow_run_id")
    return f"#/experiments/{quote(str(experiment))}/runs/{quote(str(run))}{_TRAINING}" if experiment and run else None


def _mlflow_model(facts: Mapping[str, Any]) -> str | None:
    name, version = facts.get("name"), facts.get("version")
    return f"#/models/{quote(str(name), safe='')}/versions/{version}{_TRAINING}" if name and version else None


_PAGES: Mapping[tuple[str, str], Callable[[Mapping[str, Any]], str | None]] = {
    ("mlflow", "run"): _mlflow_run,
    ("mlflow", "model"): _mlflow_model,
}
