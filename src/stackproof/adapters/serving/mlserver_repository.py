"""MLServer's model repository: a folder per model version, with the model, its signature and `model-settings.json`."""

import json
import shutil
from hashlib import sha256
from pathlib import Path
from typing import Any

from stackproof.adapters.serving.deployment import LiveDeployment, Version
from stackproof.adapters.serving.packages import Package, load
from stackproof.adapters.serving.tool_inference import bring_live_from
from stackproof.errors import Unavailable
from stackproof.roles.serving import SIGNATURE_FILE, Deployment, Route, Signature, TensorSpec

SETTINGS = "model-settings.json"
RUNTIME = "stackproof.adapters.serving.mlserver_runtime.Runtime"


def live_from_repository(home: Path, deployment: Deployment, before: LiveDeployment | None = None) -> LiveDeployment:
    """As `bring_live`, with each model that `before` has not loaded read from the repository.

    Raises `RefusedInput`, `Corrupted`, or `Unavailable` when the repository cannot be written.
    """
    return bring_live_from(deployment, before, lambda version: _kept(home, deployment.name, version))


def folder_of(home: Path, deployment: str, route: Route) -> Path:
    """Where the version lies. A model of another name than the deployment's is apart from one that has it."""
    apart = "" if route.model == deployment else f"{sha256(route.model.encode()).hexdigest()[:8]}-"
    return home / "models" / deployment / f"{apart}{route.version}"


def settings_of(home: Path, identifier: str) -> Path | None:
    """The settings of a model version ("model:delay@3"), None when no deployment has it in the repository."""
    for path in sorted((home / "models").glob(f"*/*/{SETTINGS}")):
        if json.loads(path.read_text(encoding="utf-8"))["parameters"]["extra"]["model_id"] == identifier:
            return path
    return None


def _kept(home: Path, deployment: str, version: Version) -> Package:
    route, signature = version.route, version.package.signature
    folder = folder_of(home, deployment, route)
    fresh = folder.with_name(f".{folder.name}.new")
    try:
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        for name in (SIGNATURE_FILE, signature.file):
            shutil.copyfile(route.package / name, fresh / name)
        text = json.dumps(_settings(deployment, route, signature), indent=2)
        (fresh / SETTINGS).write_text(text + "\n", encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        fresh.rename(folder)
    except OSError as fault:
        raise Unavailable(f"MLServer's model repository could not keep {route.model_id}", got=fault) from fault
    return load(folder)


def _settings(deployment: str, route: Route, signature: Signature) -> dict[str, Any]:
    return {
        "name": deployment,
        "implementation": RUNTIME,
        "platform": signature.format,
        "inputs": [_tensor(spec) for spec in signature.inputs],
        "outputs": [_tensor(spec) for spec in signature.outputs],
        "parameters": {
            "uri": f"./{signature.file}",
            "version": str(route.version),
            "format": signature.format,
            "extra": {"model_id": route.model_id},
        },
    }


def _tensor(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "datatype": spec.datatype, "shape": [-1]}
