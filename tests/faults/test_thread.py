"""Faults in the whole thread: each gets one clear message or recovers, and nothing acknowledged is lost."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest

from stackproof.stack.project import Project
from stackproof.stack.workspace import open_workspace

pytestmark = pytest.mark.slow

Stackproof = Callable[..., "subprocess.CompletedProcess[str]"]


def request(price: Any = 99.5, channel: Any = "web", **more: Any) -> dict[str, Any]:
    return {
        "inputs": [
            {"name": "price", "datatype": "FP64", "shape": [1], "data": [price]},
            {"name": "channel", "datatype": "BYTES", "shape": [1], "data": [channel]},
        ]
    } | more


def ask(url: str, body: bytes | dict[str, Any]) -> tuple[int, dict[str, Any]]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    asked = urllib.request.Request(f"{url}/v2/models/returns/infer", data, method="POST")
    try:
        with urllib.request.urlopen(asked, timeout=10) as response:
            return response.status, json.loads(response.read())
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, json.loads(refused.read())


def predictions_in(folder: Path) -> int:
    with open_workspace(Project("shop", str(folder / "shop.py"))) as workspace:
        return int(workspace.ledger.predictions.count())


def shown(done: "subprocess.CompletedProcess[str]") -> str:
    assert "Traceback" not in done.stderr, done.stderr
    return done.stderr


# ---------------------------------------------------------------- what is served


def test_predictions_answered_before_a_kill_are_in_the_ledger(server: Any, stackproof: Stackproof) -> None:
    answered: list[str] = []
    stop = threading.Event()

    def send() -> None:
        while not stop.is_set():
            try:
                status, answer = ask(server.url, request())
            except (OSError, HTTPException, json.JSONDecodeError):
                return  # killed before, within or after an answer: this one was not acknowledged
            if status == 200:
                answered.extend(answer["parameters"]["prediction_ids"])

    senders = [threading.Thread(target=send) for _ in range(3)]
    for sender in senders:
        sender.start()
    while len(answered) < 60:
        time.sleep(0.01)
    os.kill(server.process.pid, signal.SIGKILL)
    stop.set()
    for sender in senders:
        sender.join()
    assert stackproof("trace", answered[-1]).returncode == 0
    check = "from pathlib import Path\nfrom stackproof.stack.workspace import *\nimport json, sys\n"
    check += "with open_workspace(find_project(Path('.'))) as w:\n"
    check += "    known = {p.id for _, p in w.ledger.predictions.after(0, limit=1_000_000)}\n"
    check += "    print(len([i for i in json.load(sys.stdin) if i not in known]), w.ledger.verify().ok)"
    folder = Path(stackproof.__closure__[0].cell_contents)  # type: ignore[attr-defined]  # the fixture's folder
    done = subprocess.run(
        [sys.executable, "-c", check],
        input=json.dumps(answered),
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["0", "True"]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "empty"),
        (b"{", "JSON"),
        (b"[" * 100_000, "JSON"),
        (b"\xff\xfe", ""),
        ({"inputs": []}, "no inputs"),
        (request(price="cheap"), "price"),
        (request(price=[1, 2]), "price"),
        (request(channel=5), "channel"),
        (
            {"inputs": [*request()["inputs"], {"name": "colour", "datatype": "BYTES", "shape": [1], "data": ["red"]}]},
            "colour",
        ),
        ({"inputs": [{"name": "price", "datatype": "FP64", "shape": [-1], "data": [1.0]}]}, "shape"),
        ({"inputs": [{"name": "price", "datatype": "FP64", "shape": [2], "data": [1.0]}]}, "price"),
        (json.dumps(request()).replace("99.5", "NaN").encode(), ""),
        (json.dumps(request()).replace("99.5", "1e999").encode(), ""),
    ],
)
def test_a_bad_request_gets_400_with_what_is_wrong_and_is_not_logged(
    shared_server: Any, body: bytes | dict[str, Any], says: str
) -> None:
    before = predictions_in(shared_server.folder)
    status, answer = ask(shared_server.url, body)
    assert status == 400
    assert says.lower() in answer["error"].lower()
    assert predictions_in(shared_server.folder) == before
    assert ask(shared_server.url, request())[0] == 200


def test_ten_megabytes_of_json_get_413_and_the_server_goes_on(shared_server: Any) -> None:
    body = json.dumps(request(padding="x" * 10_000_000)).encode()
    try:
        status, _ = ask(shared_server.url, body)
    except (ConnectionError, urllib.error.URLError):
        status = 413  # the server closed while we were still sending
    assert status == 413
    assert ask(shared_server.url, request())[0] == 200


def test_a_port_in_use_is_one_clear_message(server: Any, stackproof: Stackproof) -> None:
    done = stackproof("serve", "returns", "--port", server.url.rpartition(":")[2])
    assert done.returncode == 4
    assert "port" in shown(done).lower()
    assert "Next:" in done.stderr


def test_a_deployment_that_does_not_exist_names_those_that_do(stackproof: Stackproof) -> None:
    done = stackproof("serve", "return")
    assert done.returncode == 2
    assert "returns" in shown(done)


def test_a_model_that_was_never_registered_can_t_be_deployed(stackproof: Stackproof) -> None:
    done = stackproof("deploy", "returns", "7")
    assert done.returncode == 2
    assert "7" in shown(done)


@pytest.mark.parametrize("route", ["1=-1", "1=0", "one", "1=x", "1=nan", "1=inf"])
def test_weights_that_are_no_shares_are_refused(stackproof: Stackproof, route: str) -> None:
    done = stackproof("deploy", "returns", route)
    assert done.returncode == 2
    assert "Allowed" in shown(done)


# ---------------------------------------------------------------- what runs


def test_ctrl_c_in_the_middle_ends_the_run_as_killed_and_the_next_one_goes_on(
    shop: Path, stackproof: Stackproof
) -> None:
    project = shop / "shop.py"
    slow = "\n    import pathlib, time\n    pathlib.Path('started').touch()\n    time.sleep(60)\n"
    project.write_text(project.read_text().replace("inputs = sp.model_inputs", slow + "    inputs = sp.model_inputs"))
    running = subprocess.Popen(
        [sys.executable, "-m", "stackproof", "run", "train"], cwd=shop, stderr=subprocess.PIPE, text=True
    )
    while not (shop / "started").exists():
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    try:
        _, said = running.communicate(timeout=30)
    finally:
        running.kill()
    assert running.returncode == 130
    assert "Interrupted" in said
    assert "Traceback" not in said
    runs = json.loads(stackproof("runs", "--format", "json").stdout)
    assert runs[0]["status"] == "killed"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"price": price, ', "", "price"),
        ('"price": price', '"price": [str(p) for p in price]', "price"),
        ("4000", "0", "has no rows"),
        ("range(4000)", "[1] * 4000", "order_id"),
        ("random = np", "raise OSError('no such file')\n    random = np", "no such file"),
        ("import numpy", "import nunpy", "nunpy"),
    ],
)
def test_a_dataset_that_is_no_good_is_one_clear_message(
    shop: Path, stackproof: Stackproof, old: str, new: str, says: str
) -> None:
    project = shop / "shop.py"
    project.write_text(project.read_text().replace(old, new))
    done = stackproof("run", "train")
    assert done.returncode in (2, 4)
    assert says in shown(done)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('[roles.tracking]\ntool = "mlfow"', "did you mean 'mlflow'"),
        ('[roles.monitoring]\ntool = "evidently"\nbeside = ["promethus"]', "did you mean 'prometheus'"),
        (
            '[roles.orchestration]\ntool = "embedded"\n[roles.orchestration.options]\nworker = 3',
            "did you mean 'workers'",
        ),
        ('[roles.orchestration]\ntool = "embedded"\n[roles.orchestration.options]\nworkers = "three"', "integer"),
        ('[roles.tracing]\ntool = "x"', "tracing"),
        ("[roles", "TOML"),
    ],
)
def test_a_stack_file_with_a_fault_says_which(shop: Path, stackproof: Stackproof, line: str, says: str) -> None:
    (shop / "stack.toml").write_text(f'schema = 1\nproject = "shop"\n{line}\n')
    done = stackproof("plan")
    assert says in done.stdout + shown(done)
    assert done.returncode == 2


def test_a_stack_of_another_project_is_refused(shop: Path, stackproof: Stackproof) -> None:
    (shop / "stack.toml").write_text('schema = 1\nproject = "other"\n')
    done = stackproof("run", "train")
    assert done.returncode == 2
    assert "different projects" in shown(done)


def test_plan_shows_changes_and_apply_makes_them_the_new_state(shop: Path, stackproof: Stackproof) -> None:
    (shop / "stack.toml").write_text('schema = 1\nproject = "shop"\n')
    assert {c["action"] for c in json.loads(stackproof("plan", "--format", "json").stdout)} == {"add"}
    assert stackproof("apply").returncode == 0
    assert {c["action"] for c in json.loads(stackproof("plan", "--format", "json").stdout)} == {"keep"}
    (shop / "stack.toml").write_text('schema = 1\nproject = "shop"\n[roles.tuning]\ntool = "random"\n')
    changed = {c["role"]: c["action"] for c in json.loads(stackproof("plan", "--format", "json").stdout)}
    assert changed.pop("tuning") == "change"
    assert set(changed.values()) == {"keep"}


def test_a_damaged_ledger_is_said_and_not_written_to(shop: Path, stackproof: Stackproof) -> None:
    database = shop / ".stackproof" / "stackproof.db"
    content = bytearray(database.read_bytes())
    content[:100] = b"x" * 100
    database.write_bytes(content)
    done = stackproof("runs")
    assert done.returncode == 4
    assert "stackproof.db" in shown(done)
    assert database.read_bytes() == bytes(content)
