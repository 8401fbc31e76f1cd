"""The tutorial does what it says: its file and its commands are run."""

import json
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial" / "first-project.md"


def stackproof(folder: Path, *arguments: str, expect: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "stackproof", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout


def test_the_tutorial_goes_from_data_to_a_traced_prediction(tmp_path: Path) -> None:
    text = TUTORIAL.read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, flags=re.S)
    (tmp_path / "shop.py").write_text(code, encoding="utf-8")

    assert "data:orders@" in stackproof(tmp_path, "data")
    first = json.loads(stackproof(tmp_path, "run", "train", "--format", "json"))
    again = json.loads(stackproof(tmp_path, "run", "train", "--format", "json"))
    assert [step["cached"] for step in first["steps"]] == [False]
    assert [step["cached"] for step in again["steps"]] == [True]
    assert first["metrics"] == again["metrics"]
    more = json.loads(stackproof(tmp_path, "run", "train", "--set", "rounds=80", "--format", "json"))
    assert more["metrics"]["train_log_loss"] < first["metrics"]["train_log_loss"]
    stackproof(tmp_path, "deploy", "returns", "1")

    server = subprocess.Popen(
        [sys.executable, "-m", "stackproof", "serve", "returns", "--port", "0", "--format", "json"],
        cwd=tmp_path, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert server.stdout is not None
        url = json.loads(server.stdout.readline())["url"]
        body = re.search(r"-d '(\{.*?\})'", text, flags=re.S)
        assert body is not None
        request = urllib.request.Request(f"{url}/v2/models/returns/infer", body[1].encode(), method="POST")
        with urllib.request.urlopen(request, timeout=10) as response:
            answer = json.loads(response.read())
        assert 0 < answer["outputs"][0]["data"][0] < 1
    finally:
        server.terminate()
        server.wait(10)
        if server.stdout is not None:
            server.stdout.close()

    stackproof(tmp_path, "watch", "returns", "--once")
    traced = json.loads(stackproof(tmp_path, "trace", "--format", "json"))
    assert traced["prediction"]["id"] == answer["parameters"]["prediction_ids"][0]
    assert traced["ok"]
    ready = json.loads(stackproof(tmp_path, "ready", "--only", "trace", "--format", "json"))
    assert ready[0]["yes"]
