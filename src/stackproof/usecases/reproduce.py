"""Can a training run be reproduced? Runs it again from what is recorded, in a new environment."""

import json
import math
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stackproof.envs.build import build_environment
from stackproof.envs.capture import Environment, LocalCode
from stackproof.errors import Conflict, Corrupted, NotFound, RefusedInput, StepFailed, Unavailable
from stackproof.ledger import Entity, Link, Relation
from stackproof.stack.attached import ATTACHED, is_attached
from stackproof.stack.workspace import HOME_VARIABLE, Workspace
from stackproof.store import new_id

REPLAY_TIMEOUT_S = 3600


@dataclass(frozen=True, slots=True)
class Compared:
    """One thing that was recorded, and what the second run gave."""

    what: str
    recorded: str
    again: str

    @property
    def same(self) -> bool:
        return self.recorded == self.again


@dataclass(frozen=True, slots=True)
class Reproduction:
    """`ok`: the run could be run again and everything compared is the same.

    `problem`: why it could not be run again, "" when it could. `environment_s`, `run_s`: how long the
    environment took to build, and the run.
    """

    id: str
    run_id: str
    ok: bool
    compared: tuple[Compared, ...]
    problem: str
    environment_s: float
    run_s: float


def reproduce(workspace: Workspace, run_id: str) -> Reproduction:
    """Run a finished run again and compare metrics, model digests and step results.

    What is missing or damaged makes the answer no, with the reason. Raises `NotFound` for an
    unknown run, `Conflict` for one that did not finish.
    """
    run = workspace.ledger.get(run_id)
    if run.kind != "run":
        raise RefusedInput("Only a run can be reproduced", got=run_id, allowed="run:…", next_command="stackproof runs")
    if is_attached(run):
        raise Conflict(
            f"{run_id} was read from {run.attributes[ATTACHED]}: Stackproof did not run it, so can't run it again",
            allowed="a run of `stackproof run`", next_command=f"stackproof show {run_id}",
        )  # fmt: skip
    if run.attributes.get("status") != "finished":
        raise Conflict(
            "Only a finished run can be reproduced", got=f"{run_id} is {run.attributes.get('status', 'running')}",
            next_command="stackproof runs",
        )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="stackproof-reproduce-") as scratch:
        try:
            again, environment_s, run_s = _run_again(workspace, run, Path(scratch))
        except (Corrupted, NotFound, Unavailable, StepFailed) as problem:
            return _record(workspace, run_id, (), str(problem), 0.0, 0.0)
    return _record(workspace, run_id, _compare(workspace, run, again), "", environment_s, run_s)


def latest_finished_run(workspace: Workspace) -> str:
    """The newest finished run. Raises `NotFound`."""
    found = workspace.ledger.find("run", where={"status": "finished"}, limit=1)
    if not found:
        raise NotFound("No run has finished yet", next_command="stackproof run PIPELINE")
    return str(found[0].id)


def recorded_environment(workspace: Workspace, digest: str) -> Environment:
    """The environment with this digest. Raises `NotFound`, `Corrupted`."""
    found = workspace.ledger.find("env", where={"digest": digest}, limit=1)
    if not found:
        raise NotFound("The environment of the run is not in the ledger", got=digest)
    facts: Any = found[0].attributes
    return Environment(
        python=facts["python"],
        system=facts["system"],
        lock=workspace.store.blobs.read(facts["lock"]).decode(),
        hashed=facts["hashed"],
        local=tuple(LocalCode(*local) for local in facts["local"]),
    )


def _run_again(workspace: Workspace, run: Entity, scratch: Path) -> tuple[dict[str, Any], float, float]:
    facts: Any = run.attributes
    code = workspace.store.blobs.restore_tree(facts["code"], scratch / "code")
    datasets = {name: _restored(workspace, name, digest, scratch) for name, digest in facts["datasets"].items()}
    started = time.perf_counter()
    workspace.progress("building the environment", 0, None)
    environment = recorded_environment(workspace, facts["environment"])
    python = build_environment(environment, scratch / "environment", workspace.store.blobs)
    built = time.perf_counter()
    workspace.progress("running it again", 0, None)
    result = scratch / "result.json"
    spec = {
        "file": str(code / facts["file"]), "pipeline": facts["pipeline"], "params": facts["params"],
        "home": str(scratch / "home"), "datasets": datasets, "result": str(result),
        "locks": {
            tool: json.loads(workspace.store.blobs.read(digest)) for tool, digest in facts.get("locks", {}).items()
        },
    }  # fmt: skip
    (scratch / "spec.json").write_text(json.dumps(spec), encoding="utf-8")
    _replay(python, scratch)
    shutil.rmtree(scratch / "environment", ignore_errors=True)
    return json.loads(result.read_text(encoding="utf-8")), built - started, time.perf_counter() - built


def _restored(workspace: Workspace, name: str, digest: str, scratch: Path) -> list[str]:
    folder = scratch / "data"
    folder.mkdir(exist_ok=True)
    snapshots = workspace.live.adapter("versioning", "snapshot")
    return [str(snapshots.restore(name, digest, folder / f"{name}.parquet")), digest]


def _replay(python: Path, scratch: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", HOME_VARIABLE)}
    command = [str(python), "-m", "stackproof.stack.replay", str(scratch / "spec.json")]
    try:
        done = subprocess.run(
            command,
            cwd=scratch / "code",
            capture_output=True,
            text=True,
            timeout=REPLAY_TIMEOUT_S,
            check=False,
            env=kept,
        )
    except subprocess.TimeoutExpired as late:
        raise StepFailed("The run took too long when it was run again", got=f"more than {REPLAY_TIMEOUT_S} s") from late
    if done.returncode != 0:
        raise StepFailed(
            "The run failed when it was run again",
            got=(done.stderr.strip().splitlines() or ["no message"])[-1],
        )


def _compare(workspace: Workspace, run: Entity, again: Mapping[str, Any]) -> tuple[Compared, ...]:
    """Metrics bit for bit, model digests, and the digest of every step's result."""
    facts: Any = run.attributes
    tracking = workspace.live.adapter("tracking", "read-runs")
    metrics = tracking.get_run(run.id).metrics
    registry = workspace.live.adapter("tracking", "registry")
    models = {m.name: m.digest for m in registry.list_models() if m.run_id == run.id}
    compared = [
        Compared(f"metric {name}", _exact(metrics[name]), _exact(again["metrics"].get(name, math.nan)))
        for name in sorted(metrics)
    ]
    compared += [Compared(f"model {name}", d, again["models"].get(name, "missing")) for name, d in models.items()]
    compared += [
        Compared(f"result of {name}", digest, again["outputs"].get(name, "missing"))
        for name, (_kind, digest) in facts["outputs"].items()
    ]
    return tuple(compared)


def _exact(value: float) -> str:
    return repr(float(value))


def _record(
    workspace: Workspace,
    run_id: str,
    compared: tuple[Compared, ...],
    problem: str,
    environment_s: float,
    run_s: float,
) -> Reproduction:
    ok = not problem and bool(compared) and all(item.same for item in compared)
    at = workspace.clock()
    reproduction = Reproduction(new_id("reproduction", now=at), run_id, ok, compared, problem, environment_s, run_s)
    workspace.ledger.record(
        Entity(reproduction.id, "reproduction", at, {
            "run": run_id, "ok": ok, "problem": problem, "environment_s": environment_s, "run_s": run_s,
            "compared": [[item.what, item.recorded, item.again] for item in compared],
        }),
        Link(reproduction.id, Relation.USED, run_id),
    )  # fmt: skip
    return reproduction
