"""The pieces of a trace that another tool recorded: what it says of them, and what it doesn't."""

from collections.abc import Mapping
from typing import Any

from stackproof.ledger import Entity, Ledger, Relation
from stackproof.stack.attached import ATTACHED, UNKNOWN_MODEL, is_attached
from stackproof.usecases.attach_keeping import CONTENT, find, latest
from stackproof.usecases.attach_mlflow import attached_server, newest_aliases
from stackproof.usecases.links import link
from stackproof.usecases.verified import Verified

NO_DATA = "the training data was not logged: mlflow.log_input(dataset, context='training') would have recorded it"
NO_CODE = "the code: MLflow records the git commit when training runs inside a repository"


def attached_model(ledger: Ledger, model: Entity) -> Verified:
    facts = latest(ledger, model)
    registered = str(facts["registered_at"])[:19].replace("T", " ")
    return _told(
        ledger, "model version", model, f"registered {registered} UTC, from {facts['source'] or 'nowhere told'}"
    )


def missing_model(identifier: str) -> Verified:
    why = "the ledger has not read it: stackproof attach mlflow URL"
    if identifier == UNKNOWN_MODEL:
        why = "the service was attached without --model, and its answer names no model_version"
    return Verified("model version", identifier, False, why)


def run_behind(ledger: Ledger, model: Entity) -> str:
    """The identifier of the run that a model version came from, as far as it is known."""
    facts = latest(ledger, model)
    return str(facts.get("run") or (f"run:{facts['mlflow_run_id']}" if facts.get("mlflow_run_id") else "run:unknown"))


def attached_run(ledger: Ledger, run: Entity) -> Verified:
    facts = latest(ledger, run)
    commit = facts.get("git_commit")
    detail = f"{facts.get('name') or 'a run'} of {facts.get('experiment')}, {facts.get('status', 'status unknown')}"
    return _told(ledger, "run", run, detail + (f", git {str(commit)[:12]}" if commit else ""))


def attached_inputs(ledger: Ledger, run: Entity) -> list[Verified]:
    """The code and the data that a run used; without data, a piece that is not there."""
    facts: Any = latest(ledger, run)
    contexts = dict(facts.get("inputs", []))
    used = [find(ledger, step.target) for step in ledger.links_from(run.id) if step.relation is Relation.USED]
    pieces = [
        _told(ledger, "dataset version", entity, _data_detail(entity, contexts.get(entity.id, "")))
        if entity.kind == "data"
        else _told(ledger, entity.kind, entity, f"git {entity.attributes['git_commit']}")
        for entity in used
        if entity is not None
    ]
    if not any(piece.what == "dataset version" for piece in pieces):
        pieces.append(Verified("dataset version", "data:unknown", False, NO_DATA))
    return pieces


def gaps(ledger: Ledger, deployment: Entity | None, model: Entity | None, run: Entity | None) -> tuple[str, ...]:
    """What is not known, though every piece of the path is there."""
    found = []
    if deployment is not None and is_attached(deployment):
        found += _moved(ledger, deployment)
    for entity in (model, run):
        if entity is not None and is_attached(entity) and _changed(ledger, entity):
            found.append(f"whether {entity.id} is as it was: it was changed in MLflow after it had been read")
    if run is not None and is_attached(run):
        facts: Any = latest(ledger, run)
        if not facts.get("git_commit"):
            found.append(NO_CODE)
        inputs = facts.get("inputs", [])
        if inputs and not any("train" in str(context) for _, context in inputs):
            found.append("which of the datasets it was trained on: none is marked with context='training'")
    return tuple(found)


def _moved(ledger: Ledger, deployment: Entity) -> list[str]:
    """An alias that was moved after the service was attached: the service may follow it, or not."""
    routes: Any = deployment.attributes["routes"]
    asked = str(deployment.attributes.get("asked") or "")
    if not routes or "@" not in asked:
        return []
    name, version, *_ = routes[0]
    alias = asked.rpartition("@")[2]
    now = newest_aliases(ledger, name).get(alias)
    if now is None or now.attributes["version"] == version:
        return []
    return [
        f"whether the service follows the alias {alias!r}: it was version {version} when it was attached, and is"
        f" {now.attributes['version'] or 'removed'} now; an answer with model_version would say it"
    ]


def _changed(ledger: Ledger, entity: Entity) -> bool:
    """Whether something else was said of it after it had come to its end."""
    return CONTENT in entity.attributes and latest(ledger, entity) is not entity.attributes


def _data_detail(entity: Entity, context: str) -> str:
    facts: Any = entity.attributes
    profile, source = facts.get("profile"), facts.get("source")
    rows = f", {profile['num_rows']:,} rows" if isinstance(profile, Mapping) and "num_rows" in profile else ""
    place = next(iter(source.values()), "") if isinstance(source, Mapping) else source
    where = f", {place}" if isinstance(place, str) and place else ""
    return f"{context or 'no context'}{rows}{where}, MLflow's digest {facts['digest']}"


def _told(ledger: Ledger, what: str, entity: Entity, detail: str) -> Verified:
    tool = str(entity.attributes[ATTACHED])
    server = attached_server(ledger)
    page = link(tool, str(server.attributes["url"]), entity) if server is not None else None
    return Verified(what, entity.id, True, f"{detail}; recorded by MLflow, not verified", by=tool, tool=tool, link=page)
