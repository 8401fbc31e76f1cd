"""Files that would run code when unpickled, offered to the server in many formats: none is ever run."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from stackproof.roles.serving import Signature, TensorSpec

NAMES = (
    *("model.pkl", "model.pickle", "model.joblib", "model.pt", "model.pth", "model.ckpt", "model.dill"),
    *("model.cloudpickle", "model.npy", "model.npz", "model.h5", "model.keras", "model.skops", "model.bin"),
    *("model.safetensors", "model.model", "model.json", "model.ubj", "model.onnx", "model.mar", "model.py"),
)
FORMATS = ("xgboost-json", "onnx", "pickle")

HOOKED = """
import json, sys
forbidden = ("pickle.find_class", "os.system", "os.exec", "os.posix_spawn", "subprocess.Popen", "marshal.load")
seen = []
armed = False
def hook(event, details):
    if armed and (event.startswith(forbidden) or event == "import" and "artifact" in str(details)):
        seen.append(event)
import numpy, onnx, onnxruntime, xgboost
from pathlib import Path
from stackproof.adapters.serving.packages import load
from stackproof.errors import StackproofError
sys.addaudithook(hook)
armed = True
refused = 0
for folder in map(Path, sys.argv[1:]):
    try:
        load(folder)
    except StackproofError:
        refused += 1
before = list(seen)
import pickle
try:
    pickle.loads(b"cos\\ngetcwd\\n.")
finally:
    print(json.dumps({"refused": refused, "seen": before, "sees_unpickling": "pickle.find_class" in seen}))
"""


class Canary:
    """Unpickled, it creates a file."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, ...]:
        return (open, (str(self.trace), "w"))


@pytest.mark.slow
def test_no_artifact_is_unpickled_whatever_its_name_and_format(tmp_path: Path) -> None:
    import io
    import pickle
    import zipfile

    trace = tmp_path / "ran"
    pickled = pickle.dumps(Canary(trace))
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
    with_object = b"\x93NUMPY\x01\x00v\x00{'descr': '|O', 'fortran_order': False, 'shape': (1,), }".ljust(127) + b"\n"
    contents = (pickled, zipped.getvalue(), with_object + pickled, b"{" + pickled)
    folders = []
    for name in NAMES:
        for kind in FORMATS:
            for number, content in enumerate(contents):
                folder = tmp_path / f"{name}-{kind}-{number}"
                folder.mkdir()
                (folder / name).write_bytes(content)
                Signature(kind, name, (TensorSpec("x", "FP64"),), (TensorSpec("probability", "FP64"),)).write(folder)
                folders.append(str(folder))
    ended = subprocess.run([sys.executable, "-c", HOOKED, *folders], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout) == {"refused": len(folders), "seen": [], "sees_unpickling": True}
    assert not trace.exists()
    with pickle.loads(pickled):
        assert trace.exists(), "the canary works"
