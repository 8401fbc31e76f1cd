"""What MLflow's REST API says, as things of the ledger. Pure."""

import json
import math
import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from stackproof.ledger import JSON, Entity, Link, Relation
from stackproof.stack.attached import ATTACHED
from stackproof.usecases.attach_keeping import Told

MLFLOW = "mlflow"
RUN_TAG = "stackproof.run"
COMMIT = "mlflow.source.git.commit"
NOISE = {"mlflow.log-model.history", "mlflow.runName", "mlflow.user"}
ENDED = {"FINISHED": "finished", "FAILED": "failed", "KILLED": "killed"}
_CREDENTIALS = re.compile(r"""(\b[A-Za-z][A-Za-z0-9+.-]*://)[^/\s@"']+@""")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Found = Mapping[str, Any]


def run_of(run: Found, experiment: str) -> Told:
    """A run with its data and its code. Its metrics are the last value of each, its parameters are text."""
    info, tags = run["info"], _pairs(_part(run, "data").get("tags"))
    identifier = tags.get(RUN_TAG) or f"run:{_run_id(info)}"
    started = instant(info.get("start_time")) or _EPOCH
    datasets = [_dataset(given, started) for given in _part(run, "inputs").get("dataset_inputs") or []]
    code = [_code(tags[COMMIT], started)] if tags.get(COMMIT) else []
    beside = [*(entity for entity, _ in datasets), *code]
    return Told(
        identifier,
        started,
        {
            ATTACHED: MLFLOW, "mlflow_run_id": _run_id(info), "experiment_id": str(info.get("experiment_id", "")),
        },
        _run_facts(run, info, tags, [[entity.id, context] for entity, context in datasets]),
        settled=info.get("status") in ENDED,
        beside=beside,
        links=[Link(identifier, Relation.USED, entity.id) for entity in beside],
        details={"experiment": experiment},
    )  # fmt: skip


def _run_facts(run: Found, info: Found, tags: Mapping[str, str], datasets: list[JSON]) -> dict[str, JSON]:
    data, ended = _part(run, "data"), instant(info.get("end_time"))
    status = str(info.get("status", ""))
    return {
        "name": str(info.get("run_name") or tags.get("mlflow.runName", "")),
        "status": ENDED.get(status, status.lower()),
        "ended_at": ended.isoformat() if ended and status in ENDED else None,
        "user": str(info.get("user_id") or tags.get("mlflow.user", "")),
        "params": _pairs(data.get("params")),
        "metrics": {str(it["key"]): number(it.get("value", 0.0)) for it in data.get("metrics") or []},
        "tags": {key: text for key, text in tags.items() if key not in NOISE},
        "git_commit": tags.get(COMMIT),
        "inputs": datasets,
        "logged_models": [str(it.get("model_id")) for it in _part(run, "outputs").get("model_outputs") or []],
    }


def _dataset(given: Found, at: datetime) -> tuple[Entity, str]:
    """The entity, and in which context the run used it ("training"), "" when that was not said.

    The digest is the one that MLflow computed, so the entity says whose it is; Stackproof saw none of the rows.
    """
    dataset = given["dataset"]
    name, digest = str(dataset.get("name", "")), str(dataset.get("digest", ""))
    rest = [dataset.get("source_type"), dataset.get("source"), dataset.get("schema"), dataset.get("profile")]
    facts: dict[str, JSON] = {
        ATTACHED: MLFLOW, "name": name, "digest": digest, "digest_by": MLFLOW, "verified": False,
        "source_type": rest[0], "source": _plain(rest[1]), "schema": _plain(rest[2]), "profile": _plain(rest[3]),
    }  # fmt: skip
    # Two datasets may have one digest and different sources: both are kept.
    own = sha256(json.dumps(rest).encode()).hexdigest()[:6]
    context = _pairs(given.get("tags")).get("mlflow.data.context", "")
    return Entity(f"data:{name}@{digest}.{own}", "data", at, facts), context


def _code(commit: str, at: datetime) -> Entity:
    return Entity(f"code:git-{commit}", "code", at, {ATTACHED: MLFLOW, "git_commit": commit})


def version_of(version: Found, run: Entity | None) -> Told:
    """A version of a registered model. `run`: the one that made it, None when that is not known."""
    name, number_ = str(version["name"]), int(version["version"])
    identifier, registered = f"model:{name}@{number_}", instant(version.get("creation_timestamp")) or _EPOCH
    return Told(
        identifier,
        registered,
        {ATTACHED: MLFLOW, "name": name, "version": number_},
        {
            "run": run.id if run else None,
            "mlflow_run_id": str(version.get("run_id") or "") or None,
            "registered_at": registered.isoformat(),
            "source": bare(str(version.get("source", ""))),
            "status": str(version.get("status", "")),
            "stage": str(version.get("current_stage", "")),
            "description": str(version.get("description", "")),
            "tags": _pairs(version.get("tags")),
        },
        links=[Link(identifier, Relation.REGISTERED_FROM, run.id)] if run else [],
    )


def aliases_of(model: Found) -> dict[str, int]:
    """Of a registered model: alias to version."""
    return {str(it["alias"]): int(it["version"]) for it in model.get("aliases") or []}


def number(value: Any) -> float:
    """A metric. JSON has no NaN, so MLflow writes it as text; and infinity as the largest number."""
    read = float(value)
    return math.copysign(math.inf, read) if abs(read) == sys.float_info.max else read


def instant(milliseconds: Any) -> datetime | None:
    """Since 1970 in UTC; None for what MLflow left out."""
    return None if milliseconds in (None, "", 0, "0") else _EPOCH + timedelta(milliseconds=int(milliseconds))


def _run_id(info: Found) -> str:
    return str(info.get("run_id") or info["run_uuid"])


def _part(whole: Found, name: str) -> Found:
    part: Found = whole.get(name) or {}
    return part


def _pairs(items: Any) -> dict[str, str]:
    return {str(item["key"]): bare(str(item.get("value", ""))) for item in items or []}


def bare(text: str) -> str:
    """Without the credentials in an address: a repository's often has some, and the ledger never forgets."""
    return _CREDENTIALS.sub(r"\1", text)


def _plain(text: Any) -> JSON:
    """What MLflow keeps as JSON in a text; the text itself when it is none, None when it is empty."""
    if not text:
        return None
    try:
        read: JSON = json.loads(bare(str(text)))
    except ValueError:
        return bare(str(text))
    return read
