"""Deployments: which model versions stand behind a name, with which weights; and the server that serves them."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from stackproof.errors import Conflict, NotFound, RefusedInput
from stackproof.ledger import Entity, Link, Relation
from stackproof.roles.serving import Deployment, Route
from stackproof.roles.tracking import ModelVersion
from stackproof.stack.attached import is_attached
from stackproof.stack.workspace import Workspace


def deploy(workspace: Workspace, name: str, weights: Mapping[int, float], *, because: str | None = None) -> Deployment:
    """Put model versions of `name` behind the deployment `name`; a running server takes it over.

    `weights`: version to share, >= 0, not all 0. `because`: the identifier of what led to it, such
    as an alert. Raises `NotFound` for a version that is not registered, `RefusedInput` for weights.
    """
    total = sum(weights.values())
    if not weights or any(w < 0 for w in weights.values()) or not math.isfinite(total) or total <= 0:
        raise RefusedInput(
            "The weights of a deployment are not shares",
            got=dict(weights),
            allowed="finite numbers >= 0, at least one > 0",
        )
    registry = workspace.live.adapter("tracking", "registry")
    versions = [registry.get_model(name, version) for version in weights]
    for version in versions:
        _refuse_unfinished(workspace, version)
    with workspace.store.database.transaction():
        earlier = latest_entity(workspace, name)
        number = 1 if earlier is None else int(earlier.id.rpartition("@")[2]) + 1
        routes = [[v.name, v.version, v.digest, float(weights[v.version])] for v in versions]
        attributes: dict[str, Any] = {"name": name, "routes": routes, "because": because}
        entity = Entity(f"deployment:{name}@{number}", "deployment", workspace.clock(), attributes)
        links = [Link(entity.id, Relation.DEPLOYED_AS, version.id) for version in versions]
        if because is not None:
            links.append(Link(entity.id, Relation.USED, because))
        workspace.ledger.record(entity, *links)
    return _deployment(workspace, entity)


def _refuse_unfinished(workspace: Workspace, version: ModelVersion) -> None:
    """A version enters the ledger when its run finishes: only then can a prediction be traced through it."""
    try:
        workspace.ledger.get(version.id)
    except NotFound:
        raise Conflict(
            f"{version.id} comes from a run that did not finish",
            got=version.run_id,
            allowed="a version of a finished run",
            next_command="stackproof runs",
        ) from None


def latest_entity(workspace: Workspace, name: str) -> Entity | None:
    """The newest state of a deployment; None when there is none."""
    found: list[Entity] = workspace.ledger.find("deployment", where={"name": name}, limit=1)
    return found[0] if found else None


def current_deployment(workspace: Workspace, name: str) -> Deployment:
    """The newest state of a deployment, its packages fetched and verified.

    Raises `NotFound`, `Corrupted`; `Conflict` for one that is attached.
    """
    entity = latest_entity(workspace, name)
    if entity is None:
        names = sorted({str(e.attributes["name"]) for e in workspace.ledger.find("deployment", limit=1000)})
        raise NotFound(
            f"There is no deployment named {name!r}", allowed=", ".join(names) or "none is deployed yet",
            next_command=f"stackproof deploy {name} 1=1.0",
        )  # fmt: skip
    if is_attached(entity):
        raise Conflict(f"{name!r} is attached: something else serves it", next_command=f"stackproof watch {name}")
    return _deployment(workspace, entity)


def _deployment(workspace: Workspace, entity: Entity) -> Deployment:
    routes: Any = entity.attributes["routes"]
    return Deployment(
        id=entity.id,
        name=str(entity.attributes["name"]),
        routes=tuple(
            Route(model, version, fetch_package(workspace, model, version), weight)
            for model, version, _digest, weight in routes
        ),
    )


def fetch_package(workspace: Workspace, name: str, version: int) -> Path:
    """A registered model's package, verified, in a folder that belongs to this workspace alone."""
    folder = workspace.scratch / f"{name}-{version}"
    if not folder.exists():
        workspace.live.adapter("tracking", "registry").fetch_model(name, version, folder)
    return folder


def serve(workspace: Workspace, name: str, *, host: str, port: int, on_ready: Callable[[str], None]) -> None:
    """Serve a deployment until SIGTERM or Ctrl-C, and follow its later states."""
    serving = current_deployment(workspace, name)
    served = serving.id

    def update() -> Deployment | None:
        nonlocal served
        entity = latest_entity(workspace, name)
        if entity is None or entity.id == served:
            return None
        changed = _deployment(workspace, entity)
        served = changed.id
        return changed

    live = workspace.live

    def ready(url: str) -> None:
        if live.able("monitoring", "scrape"):
            live.adapter("monitoring", "scrape").scrape("serving", name, urlsplit(url).netloc)
        on_ready(url)

    workspace.live.adapter("serving", "serve").run(
        serving,
        features=workspace.live.adapter("features", "online"),
        log=workspace.ledger.predictions,
        host=host, port=port, on_ready=ready, updates=update,
    )  # fmt: skip
