"""Runs a recorded pipeline again in the environment that this module is started in.

    python -m stackproof.stack.replay spec.json

`spec.json`: {"file", "pipeline", "params", "home", "datasets": {name: [file, digest]}, "locks": {tool: lock},
"result"}. Roles that compute what is compared are filled as they were, on the recorded locks; all others are embedded,
so that nothing is written to a server that the team uses.
Writes {"metrics", "models", "outputs"} to the file named by "result".
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stackproof.envs.locking import from_document
from stackproof.errors import Corrupted
from stackproof.roles.stack import RoleChoice, Stack
from stackproof.roles.versioning import DatasetVersion
from stackproof.stack.pipeline import run_pipeline
from stackproof.stack.project import load_project
from stackproof.stack.workspace import Workspace, open_workspace, stack_of

COMPUTING = ("features", "tuning", "automl")


def replay(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Run the pipeline on the given dataset versions. Raises `Corrupted` when one has another digest."""
    project = load_project(Path(spec["file"]))
    locks = {tool: from_document(document) for tool, document in spec["locks"].items()}
    stack = computing_alone(stack_of(project))
    with open_workspace(project, home=Path(spec["home"]), stack=stack, locks=locks) as workspace:
        workspace.pins = {
            name: _pin(workspace, name, Path(file), digest) for name, (file, digest) in spec["datasets"].items()
        }
        done = run_pipeline(workspace, project.pipelines[spec["pipeline"]], spec["params"], fresh=True)
        run = workspace.live.adapter("tracking", "read-runs").get_run(done.run_id)
        return {
            "metrics": dict(run.metrics),
            "models": {model.name: model.digest for model in done.models},
            "outputs": {step.name: step.output for step in done.steps},
        }


def computing_alone(stack: Stack) -> Stack:
    """The stack with every role embedded that does not compute."""
    roles = {role: choice if role in COMPUTING else RoleChoice("embedded") for role, choice in stack.roles.items()}
    return Stack(stack.project, roles, stack.schema)


def _pin(workspace: Workspace, name: str, file: Path, digest: str) -> DatasetVersion:
    version: DatasetVersion = workspace.live.adapter("versioning", "snapshot").snapshot(name, file)
    if version.digest != digest:
        raise Corrupted(f"The dataset {name!r} is not the one that was recorded", got=version.digest, allowed=digest)
    return version


def main() -> None:
    spec = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    result = replay(spec)
    Path(spec["result"]).write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main()
