"""BentoML's model store: each model version that is served lies there, as BentoML's own client expects it."""

import json
import re
from dataclasses import asdict
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any

from stackproof.adapters.serving.deployment import Version
from stackproof.adapters.serving.models import open_model
from stackproof.adapters.serving.packages import Package
from stackproof.errors import Unavailable
from stackproof.roles.serving import Route, Signature

FILES = {"xgboost-json": "saved_model.ubj", "onnx": "saved_model.onnx"}
"""The names that BentoML's own loaders look for."""
_TAG = re.compile(r"[a-z0-9]([-._a-z0-9]*[a-z0-9])?")
_LONGEST_TAG = 63


def stored(version: Version) -> Package:
    """Put the version into the store, unless it lies there just so, and open the model from there.

    Raises `Unavailable` when BentoML cannot keep it.
    """
    exceptions = import_module("bentoml.exceptions")
    route, signature = version.route, version.package.signature
    content = _content(route.package, signature)
    try:
        file = _kept(tag_of(route.model, route.version), route, signature, content)
        return Package(signature, open_model(file.read_bytes(), signature))
    except (exceptions.BentoMLException, OSError) as fault:
        raise Unavailable(f"BentoML's model store could not keep {route.model_id}", got=fault) from fault


def tag_of(name: str, version: int) -> str:
    """`name:version`. A name that BentoML does not take gets its plain letters and a digest instead."""
    if not _TAG.fullmatch(name) or len(name) > _LONGEST_TAG:
        plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:50].strip("-") or "model"
        name = f"{plain}-{sha256(name.encode()).hexdigest()[:8]}"
    return f"{name}:{version}"


def shown_in(home: Path, identifier: str) -> Path | None:
    """What BentoML wrote about a model version ("model:delay@3"), None when it is not in the store."""
    name, at, version = identifier.removeprefix("model:").rpartition("@")
    if not identifier.startswith("model:") or not at or not version.isdecimal():
        return None
    about = home.joinpath("models", *tag_of(name, int(version)).split(":"), "model.yaml")
    return about if about.is_file() else None


def _content(package: Path, signature: Signature) -> bytes:
    """The model as BentoML keeps it: xgboost's own JSON becomes its binary form, with the same numbers."""
    file = (package / signature.file).read_bytes()
    if signature.format != "xgboost-json":
        return file
    booster = import_module("xgboost").Booster()
    booster.load_model(bytearray(file))
    return bytes(booster.save_raw("ubj"))


def _kept(tag: str, route: Route, signature: Signature, content: bytes) -> Path:
    about = {"model_id": route.model_id, "signature": json.dumps(asdict(signature), sort_keys=True)}
    found = _found(tag)
    file = found and Path(found.path_of(FILES[signature.format]))
    if file and found.info.metadata == about and file.is_file() and file.read_bytes() == content:
        return file
    if found:
        import_module("bentoml.models").delete(tag)
    return _made(tag, about, signature, content)


def _found(tag: str) -> Any:
    """The model of exactly this tag, None when there is none. What a crash left half-made is removed."""
    models, exceptions = import_module("bentoml.models"), import_module("bentoml.exceptions")
    try:
        return next(iter(models.list(tag)), None)
    except exceptions.BentoMLException:
        models.delete(tag)
        return None


def _made(tag: str, about: dict[str, str], signature: Signature, content: bytes) -> Path:
    """As `save_model` of BentoML's modules would, but those want the distribution `xgboost`, or are deprecated."""
    models, labels = import_module("bentoml.models"), {"source": "stackproof", "format": signature.format}
    further: dict[str, Any] = {"module": "bentoml.onnx"}
    if signature.format == "xgboost-json":
        options = import_module("bentoml.xgboost").ModelOptions(model_class="Booster")
        further = {"module": "bentoml.xgboost", "api_version": "v2", "options": options}
    with models.create(tag, labels=labels, metadata=about, **further) as made:
        Path(made.path_of(FILES[signature.format])).write_bytes(content)
    return Path(models.get(made.tag).path_of(FILES[signature.format]))
