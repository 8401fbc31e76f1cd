"""Model files with random damage: the server's process lives, and says what is wrong or serves numbers."""

import random
from pathlib import Path

import numpy as np
import pytest

from stackproof.adapters.serving.trial import load_safely
from stackproof.errors import Corrupted, RefusedInput
from stackproof.testing.serving_models import onnx_package, xgboost_package


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("kind", ["json", "ubj", "onnx"])
def test_a_damaged_model_never_ends_the_process_that_asked(kind: str, seed: int, tmp_path: Path) -> None:
    package = _package(kind, tmp_path / "package")
    model = next(package.glob("model.*"))
    content = bytearray(model.read_bytes())
    chosen = random.Random(seed)
    for _ in range(chosen.choice([1, 3, 30])):
        content[chosen.randrange(len(content))] = chosen.randrange(256)
    model.write_bytes(content)
    try:
        (loaded,) = load_safely([package])
    except (Corrupted, RefusedInput):
        return
    width = len(loaded.signature.inputs)
    found = loaded.model.predict(np.ones((5, width), dtype=loaded.model.dtype))
    assert found["probability"].shape == (5,)


def _package(kind: str, folder: Path) -> Path:
    if kind == "onnx":
        return onnx_package(folder, 0.5)
    package = xgboost_package(folder, 1)
    if kind == "ubj":
        import xgboost

        xgboost.Booster(model_file=package / "model.json").save_model(package / "model.ubj")
        (package / "model.json").unlink()
        signature = package / "signature.json"
        signature.write_text(signature.read_text().replace("model.json", "model.ubj"))
    return package
