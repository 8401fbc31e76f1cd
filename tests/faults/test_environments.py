"""Faults while an environment is made: killed, interrupted, two at once, no room, no network."""

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from stackproof.envs.environments import Environments
from stackproof.envs.locking import Lock, as_document
from stackproof.errors import StorageFull, Unavailable

ENSURES = """
import json, os, sys
from pathlib import Path
from stackproof.envs.environments import Environments
from stackproof.envs.locking import from_document
from stackproof.errors import StackproofError
root, lock, interpreter = sys.argv[1:]
told = lambda line: print("told", line, flush=True)
try:
    handle = Environments(Path(root), told=told).ensure(from_document(json.loads(lock)), Path(interpreter))
    print("python", handle.python, flush=True)
except StackproofError as error:
    print(type(error).__name__, error, flush=True)
"""


class Index:
    """A package index on this machine that serves a folder of wheels, when it is let."""

    def __init__(self, folder: Path) -> None:
        self.let, self.asked = threading.Event(), threading.Event()
        self.let.set()
        index = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                name = self.path.strip("/").split("/")[-1]
                if name.endswith(".whl"):
                    index.asked.set()
                    index.let.wait(30)
                    body = (folder / name).read_bytes()
                else:
                    found = folder.glob(f"{name}-*.whl")
                    body = "".join(f'<a href="/files/{path.name}">{path.name}</a>' for path in found).encode()
                self.send_response(200 if body else 404)
                self.send_header("Content-Type", "application/zip" if name.endswith(".whl") else "text/html")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                del format, args

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self.let.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def index(wheelhouse: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    served = Index(wheelhouse.folder)
    settings = tmp_path / "index.toml"
    url = f"http://127.0.0.1:{served.server.server_port}/simple"
    settings.write_text(f"[[index]]\nurl = {json.dumps(url)}\ndefault = true\n")
    monkeypatch.setenv("UV_CONFIG_FILE", str(settings))
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    yield served
    served.close()


@pytest.fixture
def ensuring(tmp_path: Path, wheelhouse: Any) -> Iterator[Callable[[Lock], "subprocess.Popen[str]"]]:
    """Start another process that ensures an environment in `tmp_path / "environments"`."""
    started: list[subprocess.Popen[str]] = []

    def start(lock: Lock) -> "subprocess.Popen[str]":
        arguments = [str(tmp_path / "environments"), json.dumps(as_document(lock)), str(wheelhouse.interpreter)]
        command = [sys.executable, "-c", ENSURES, *arguments]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def half(environments: Environments) -> list[str]:
    return [path.name for path in (environments.root / ".building").glob("*")]


def test_killed_in_the_middle_nothing_is_in_use_and_the_next_call_clears_up(
    index: Index, ensuring: Any, wheelhouse: Any, tmp_path: Path
) -> None:
    told: list[str] = []
    environments = Environments(tmp_path / "environments", told=told.append)
    lock = wheelhouse.lock(wheelhouse.wheel("tiny"))
    index.let.clear()
    process = ensuring(lock)
    assert index.asked.wait(30)
    assert half(environments) != []
    process.kill()
    process.wait()
    assert environments.find(lock) is None
    assert half(environments) != []
    threading.Timer(0.5, index.let.set).start()
    assert environments.ensure(lock, wheelhouse.interpreter).python.exists()
    assert half(environments) == []
    assert told[0] == "Another process makes the environment of tiny: waiting for it"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_killed_with_all_that_it_started_what_is_left_is_cleared_by_prune(
    index: Index, ensuring: Any, wheelhouse: Any, tmp_path: Path, number: signal.Signals
) -> None:
    environments = Environments(tmp_path / "environments")
    index.let.clear()
    process = ensuring(wheelhouse.lock(wheelhouse.wheel("tiny")))
    assert index.asked.wait(30)
    os.killpg(process.pid, number)
    process.communicate()
    assert half(environments) != []
    until = time.monotonic() + 20
    while half(environments) and time.monotonic() < until:
        environments.prune()
    assert half(environments) == []


def test_ctrl_c_leaves_nothing(index: Index, ensuring: Any, wheelhouse: Any, tmp_path: Path) -> None:
    environments = Environments(tmp_path / "environments")
    index.let.clear()
    process = ensuring(wheelhouse.lock(wheelhouse.wheel("tiny")))
    assert index.asked.wait(30)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert "KeyboardInterrupt" in said
    assert half(environments) == []
    assert environments.list_environments().environments == ()


def test_processes_that_ensure_the_same_one_at_once_end_with_one(
    index: Index, ensuring: Any, wheelhouse: Any, tmp_path: Path
) -> None:
    lock = wheelhouse.lock(wheelhouse.wheel("tiny"))
    index.let.clear()
    processes = [ensuring(lock) for _ in range(3)]
    assert index.asked.wait(30)
    index.let.set()
    lines = [line for process in processes for line in process.communicate(timeout=60)[0].splitlines()]
    pythons = [line for line in lines if line.startswith("python")]
    assert len(pythons) == 3
    assert len(set(pythons)) == 1
    assert len([line for line in lines if line.startswith("told Made")]) == 1
    assert len(Environments(tmp_path / "environments").list_environments().environments) == 1


def test_without_a_network_a_warm_cache_is_enough(index: Index, wheelhouse: Any, tmp_path: Path) -> None:
    told: list[str] = []
    environments = Environments(tmp_path / "environments", told=told.append)
    lock = wheelhouse.lock(wheelhouse.wheel("tiny"))
    shutil.rmtree(environments.ensure(lock, wheelhouse.interpreter).folder)
    index.close()
    assert environments.ensure(lock, wheelhouse.interpreter).python.exists()
    assert [("without the network" in line) for line in told] == [False, True]


def test_without_a_network_a_cold_cache_is_one_clear_error(index: Index, wheelhouse: Any, tmp_path: Path) -> None:
    environments = Environments(tmp_path / "environments")
    lock = wheelhouse.lock(wheelhouse.wheel("tiny"))
    index.close()
    with pytest.raises(Unavailable, match=r"package index can't be reached, and uv's cache.*Next: uv cache dir"):
        environments.ensure(lock, wheelhouse.interpreter)
    assert half(environments) == []
    assert environments.list_environments().environments == ()


def test_the_network_coming_back_is_all_it_takes(index: Index, wheelhouse: Any, tmp_path: Path) -> None:
    environments = Environments(tmp_path / "environments")
    lock = wheelhouse.lock(wheelhouse.wheel("tiny"))
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("UV_OFFLINE", "1")
        with pytest.raises(Unavailable, match="can't be reached"):
            environments.ensure(lock, wheelhouse.interpreter)
    assert environments.ensure(lock, wheelhouse.interpreter).python.exists()


def test_a_file_beyond_the_size_limit_is_no_room_and_leaves_nothing(wheelhouse: Any, tmp_path: Path) -> None:
    environments = Environments(tmp_path / "environments")
    lock = wheelhouse.lock(wheelhouse.wheel("tiny", big=bytes(3_000_000)))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        with pytest.raises(StorageFull, match=r"no room left on the disk.*envs prune"):
            environments.ensure(lock, wheelhouse.interpreter)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert half(environments) == []
    assert environments.find(lock) is None
    assert environments.ensure(lock, wheelhouse.interpreter).packages == 1


def test_a_full_disk_is_one_clear_error_leaves_nothing_and_heals(wheelhouse: Any, tmp_path: Path) -> None:
    disk, lock = tmp_path / "disk", wheelhouse.lock(wheelhouse.wheel("tiny", big=os.urandom(3_000_000)))
    disk.mkdir()
    (tmp_path / "ensures.py").write_text(ENSURES)
    ensure = [sys.executable, str(tmp_path / "ensures.py"), f"{disk}/environments", json.dumps(as_document(lock))]
    script = (
        'disk="$0" && mount -t tmpfs -o size=2500k none "$disk" && "$@" && find "$disk/environments/.building" && '
        'df --output=used "$disk" && mount -o remount,size=9000k "$disk" && "$@"'
    )
    inner = ["sh", "-c", script, str(disk), *ensure, str(wheelhouse.interpreter)]
    ran = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", *inner], capture_output=True, text=True, check=False
    )
    if "python" not in ran.stdout and "StorageFull" not in ran.stdout:
        ran = subprocess.run(["unshare", "--mount", *inner], capture_output=True, text=True, check=False)
    if ran.returncode != 0 and re.search(r"unshare|mount", ran.stderr) and "Traceback" not in ran.stderr:
        pytest.skip(f"this machine lets nobody mount a small disk: {ran.stderr.strip()}")
    lines = ran.stdout.splitlines()
    assert lines[0].startswith("StorageFull"), ran
    assert "stackproof envs prune" in lines[0]
    assert lines[1] == f"{disk}/environments/.building"
    assert int(lines[3]) < 100
    assert lines[-1].startswith(f"python {disk}/environments/py3."), ran
