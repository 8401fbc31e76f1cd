"""What happens to a bridge when its child, its parent, or what they say to each other goes wrong. Nothing hangs."""

import gc
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from stackproof.adapters import registry
from stackproof.envs.bridge.bridging import bridged
from stackproof.envs.bridge.frames import FRAME, HEADER, MAGIC, Kind
from stackproof.envs.bridge.limits import Limits, deadline
from stackproof.errors import NotFound, StorageFailed, Unavailable
from stackproof.roles.adapter import Setting
from stackproof.roles.monitoring import Alert
from stackproof.roles.orchestration import Task
from stackproof.roles.tracking import Metric, RunStatus

ADAPTER = '''
import os, signal, subprocess, sys, tempfile, threading, time
from pathlib import Path
from stackproof.roles.adapter import Health
from stackproof.roles.tracking import Run, RunStatus


class Hostile:
    tool = "hostile"
    capabilities = frozenset({"online"})
    options = {}

    def __init__(self, setting):
        self.home = setting.home

    def health(self):
        return Health(True, "1", "")

    def close(self):
        pass

    def lookup(self, view, requests):
        return getattr(self, view)(*requests)

    def send(self, alert, sinks):
        return getattr(self, sinks[0])(*sinks[1:])

    def point_in_time_join(self, rows, views, *, as_of):
        import polars
        frame = polars.DataFrame(rows)
        self.count()
        return Dies(frame) if as_of == "die" else frame

    def run(self, name, tasks, *, on_result=None):
        return [task.run() for task in tasks]

    def log_metrics(self, run_id, metrics):
        return None

    def flush(self):
        return None

    def end_run(self, run_id, status):
        return None

    # what the tests ask for

    def pid(self):
        return os.getpid()

    def count(self):
        with (self.home / "calls").open("a") as calls:
            calls.write("x")
        return len((self.home / "calls").read_text())

    def die(self, times="1"):
        if self.count() <= int(times):
            print("last words", file=sys.stderr, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        return "alive"

    def leave(self, code):
        os._exit(int(code))

    def stop(self):
        os.kill(os.getpid(), signal.SIGSTOP)

    def wait(self, seconds):
        (self.home / "waiting").write_text("")
        time.sleep(float(seconds))
        return "waited"

    def write(self, text):
        os.write(self.socket(), text)
        time.sleep(30)

    def hang_up(self):
        os.close(self.socket())
        time.sleep(30)

    def socket(self):
        found = [int(name) for name in os.listdir("/proc/self/fd") if is_socket(name)]
        return found[0]

    def shout(self, megabytes):
        for _ in range(megabytes):
            sys.stdout.write("m" * 1_000_000 + "\\n")
            os.write(2, b"e" * 1_000_000)
        sys.stdout.flush()
        return "done"

    def litter(self):
        folder = Path(tempfile.mkdtemp())
        (folder / "left behind").write_text("")
        return str(folder)

    def grandchild(self):
        return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]).pid

    def hold_lock(self):
        # The interpreter's lock, for as long as the machine lives.
        import ctypes
        (self.home / "waiting").write_text("")
        ctypes.PyDLL(None).sleep(600)


def is_socket(name):
    try:
        return os.readlink(f"/proc/self/fd/{name}").startswith("socket:")
    except OSError:
        return False


class Dies:
    """A table whose child is killed while it is read."""

    def __init__(self, frame):
        self.frame = frame

    def __arrow_c_stream__(self, requested_schema=None):
        if len(Path("calls").read_text() if Path("calls").exists() else "") == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return self.frame.__arrow_c_stream__(requested_schema)
'''

QUICK = Limits(stop_s=2.0, first_pause_s=0.0)


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    (packages,) = (folder / "lib").glob("python*/site-packages")
    (packages / "hostile_adapter.py").write_text(ADAPTER)
    (packages / "broken_adapter.py").write_text("raise RuntimeError('the tool is broken')\n")
    (packages / "leaving_adapter.py").write_text("import os; print('no licence', flush=True); os._exit(7)\n")
    for package in Path(pl.__file__).parents[1].glob("*polars*"):
        (packages / package.name).symlink_to(package)
    return folder / "bin" / "python"


Make = Callable[..., Any]


@pytest.fixture
def make(python: Path, tmp_path: Path) -> Iterator[Make]:
    made: list[Any] = []

    def make(role: str = "features", limits: Limits = QUICK, log: Path | None = None) -> Any:
        path = "hostile_adapter:Hostile"
        adapter = bridged(
            role, "hostile", adapter=path, python=python, setting=Setting(tmp_path), limits=limits, log=log
        )
        made.append(adapter)
        return adapter

    yield make
    for adapter in made:
        adapter.close()


# A child that dies


def test_a_read_is_made_again_once_in_a_new_child(make: Make) -> None:
    adapter = make()
    before = adapter.lookup("pid", [])
    assert adapter.lookup("die", ["1"]) == "alive"
    assert adapter.lookup("count", []) == 3
    assert adapter.lookup("pid", []) != before
    assert adapter.bridge.restarts == 1


def test_a_read_whose_child_dies_twice_says_how_and_what_it_printed_last(make: Make) -> None:
    adapter = make()
    with pytest.raises(Unavailable) as caught:
        adapter.lookup("die", ["9"])
    assert "features.hostile died during lookup, which was made again once" in str(caught.value)
    assert "SIGKILL (signal 9)" in str(caught.value)
    assert "last words" in str(caught.value)
    assert adapter.lookup("count", []) == 3


def test_what_may_not_be_made_twice_is_made_once_and_told(make: Make) -> None:
    adapter = make("monitoring")
    with pytest.raises(Unavailable, match="during send, which was not made again"):
        adapter.send(an_alert(), ["die", "9"])
    assert adapter.send(an_alert(), ["count"]) == 2


def test_a_child_that_exits_is_told_with_its_code(make: Make) -> None:
    with pytest.raises(Unavailable, match="exit code 3; it had printed nothing"):
        make("monitoring").send(an_alert(), ["leave", "3"])


def test_a_child_that_died_while_nothing_was_asked_of_it_is_replaced_unseen(make: Make) -> None:
    adapter = make("monitoring")
    os.kill(adapter.bridge.pid, signal.SIGKILL)
    wait_until(lambda: adapter.bridge.pid is None)
    assert adapter.send(an_alert(), ["count"]) == 1


def test_every_call_that_waits_for_a_child_hears_of_its_death(make: Make) -> None:
    adapter = make("monitoring")
    said: list[str] = []

    def wait() -> None:
        try:
            adapter.send(an_alert(), ["wait", "60"])
        except Unavailable as error:
            said.append(str(error))

    threads = started(wait, 32)
    wait_until(lambda: len(adapter.bridge._child.peer._pending) == 32)
    os.kill(adapter.bridge.pid, signal.SIGKILL)
    for thread in threads:
        thread.join(20)
    assert len(said) == 32
    assert all("SIGKILL" in text for text in said)


@pytest.mark.parametrize("rows", [10, 9_000_000])
def test_a_child_that_dies_while_its_table_is_read_is_replaced_and_the_table_is_whole(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    monkeypatch.chdir(tmp_path)
    frame = pl.DataFrame({"n": range(rows)})
    back = make().point_in_time_join(frame, [], as_of="die")
    assert pl.DataFrame(back).equals(frame)
    assert (tmp_path / "calls").read_text() == "xx"


def test_a_child_killed_at_any_moment_of_a_large_table_loses_nothing(make: Make) -> None:
    adapter = make(limits=Limits(stop_s=2.0, first_pause_s=0.0, restarts=1000))
    frame = pl.DataFrame({"n": range(3_000_000), "t": ["a text"] * 3_000_000})
    for pause_s in (0.0, 0.002, 0.01, 0.03, 0.1):
        killer = threading.Timer(pause_s, os.kill, (adapter.lookup("pid", []), signal.SIGKILL))
        killer.start()
        assert pl.DataFrame(adapter.point_in_time_join(frame, [], as_of="t")).equals(frame)
        killer.join()
        wait_until(lambda: adapter.lookup("pid", []) == adapter.bridge.pid)


def test_restarts_are_bounded(make: Make) -> None:
    adapter = make(limits=Limits(restarts=3, first_pause_s=0.01, stop_s=2.0))
    for _ in range(4):
        with pytest.raises(Unavailable):
            adapter.lookup("die", ["99"])
    with pytest.raises(Unavailable, match="died 3 times within a minute and is not started again"):
        adapter.lookup("pid", [])
    assert adapter.bridge.restarts == 3
    assert not adapter.health().ok


def test_points_that_a_dead_child_had_accepted_are_told_as_lost_once_and_never_as_durable(make: Make) -> None:
    adapter = make("tracking")
    points = [Metric("loss", 1.0, 0, datetime(2026, 1, 1, tzinfo=UTC))]
    adapter.log_metrics("run:1", points)
    adapter.flush()
    adapter.log_metrics("run:2", points)
    os.kill(adapter.bridge.pid, signal.SIGKILL)
    wait_until(lambda: adapter.bridge.pid is None)
    adapter.end_run("run:1", RunStatus.FINISHED)
    with pytest.raises(StorageFailed, match="run:2"):
        adapter.flush()
    adapter.end_run("run:2", RunStatus.FAILED)
    adapter.flush()


# A child that does not answer


def test_a_stopped_child_is_told_at_the_deadline(make: Make) -> None:
    adapter = make()
    with pytest.raises(Unavailable, match=r"did not return in time.*0\.5 s"), deadline(0.5):
        adapter.lookup("stop", [])
    with pytest.raises(Unavailable, match="did not return in time"), deadline(0.5):
        adapter.lookup("pid", [])
    os.kill(adapter.bridge.pid, signal.SIGCONT)
    assert adapter.lookup("pid", []) == adapter.bridge.pid


def test_a_stopped_child_is_ended_when_it_gives_no_sign_of_life(make: Make) -> None:
    adapter = make("orchestration", limits=Limits(silence_s=1.0, stop_s=2.0))
    pid = adapter.bridge.pid
    with pytest.raises(Unavailable, match="no sign of life for 1 s"):
        adapter.run("p", [Task("t", lambda: os.kill(pid, signal.SIGSTOP))])
    assert gone(pid)


def test_a_call_that_takes_longer_than_the_silence_is_no_silence(make: Make) -> None:
    assert make(limits=Limits(silence_s=0.5)).lookup("wait", ["2"]) == "waited"


def test_much_that_is_sent_to_a_stopped_child_ends_at_the_deadline_and_so_does_closing_it(make: Make) -> None:
    adapter = make(limits=Limits(close_s=1.0, stop_s=1.0))
    pid = adapter.bridge.pid
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(Unavailable), deadline(1.0):
        adapter.lookup("pid", [bytes(50_000_000)])
    with pytest.raises(Unavailable, match="shut did not return in time"):
        adapter.close()
    assert gone(pid)
    adapter.close()


# What comes over the bridge


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "no message"),
        (HEADER.pack(MAGIC, 99, 0, 0, 0), "no message"),
        (HEADER.pack(MAGIC, Kind.RETURN, FRAME + 1, 1, FRAME + 1), "a frame of 1048577 bytes"),
        (HEADER.pack(MAGIC, Kind.RETURN, 1, 1, 1 << 60), "1152921504606846976"),
        (HEADER.pack(MAGIC, Kind.RETURN, 10, 1, 5), "a frame of 10 bytes"),
        (HEADER.pack(MAGIC, Kind.OPEN, 3, 1, 3) + b"abc", "OPEN that cannot be read"),
        (HEADER.pack(MAGIC, Kind.RETURN, 3, 1, 3) + b"abc", "RETURN that cannot be read"),
        (HEADER.pack(MAGIC, Kind.LOG, 3, 1, 3) + b"abc", "LOG that cannot be read"),
        (HEADER.pack(MAGIC, Kind.CALL, 3, 1, 3) + b"abc", "CALL that cannot be read"),
    ],
)
def test_what_is_no_message_ends_the_child_with_one_clear_error(make: Make, sent: bytes, said: str) -> None:
    adapter = make("monitoring")
    with pytest.raises(Unavailable) as caught:
        adapter.send(an_alert(), ["write", sent])
    assert said in str(caught.value)
    assert adapter.send(an_alert(), ["count"]) == 1


def test_a_child_that_hangs_up_is_ended(make: Make) -> None:
    adapter = make("monitoring", limits=Limits(silence_s=2.0, stop_s=2.0))
    pid = adapter.bridge.pid
    with pytest.raises(Unavailable, match="died during send"):
        adapter.send(an_alert(), ["hang_up"])
    assert gone(pid)


def test_megabytes_on_its_output_neither_stop_a_child_nor_fill_memory(make: Make, tmp_path: Path) -> None:
    log = tmp_path / "log" / "hostile.log"
    log.parent.mkdir()
    adapter = make(log=log)
    assert adapter.lookup("shout", [40]) == "done"
    assert len(adapter.bridge._output.tail()) <= 8192
    kept = sum(file.stat().st_size for file in log.parent.iterdir())
    assert 0 < kept < 25_000_000


# A child that can't start


@pytest.mark.parametrize(
    ("adapter", "kind", "said"),
    [
        ("not_installed:X", NotFound, "No module named 'not_installed'"),
        ("broken_adapter:X", Exception, "RuntimeError: the tool is broken"),
        ("leaving_adapter:X", Unavailable, "exit code 7; it last printed:\nno licence"),
        ("hostile_adapter:Missing", Exception, "has no attribute 'Missing'"),
    ],
)
def test_a_child_that_cannot_start_says_why(
    python: Path, tmp_path: Path, adapter: str, kind: type[Exception], said: str
) -> None:
    with pytest.raises(kind) as caught:
        bridged("features", "x", adapter=adapter, python=python, setting=Setting(tmp_path), limits=QUICK)
    assert said in str(caught.value)


def test_a_program_that_is_no_python_says_so(tmp_path: Path) -> None:
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\necho not a python; exit 4\n")
    program.chmod(0o755)
    with pytest.raises(Unavailable, match="exit code 4; it last printed:\nnot a python"):
        bridged("features", "x", adapter="x:X", python=program, setting=Setting(tmp_path), limits=QUICK)


def test_a_python_that_is_too_old_says_so(tmp_path: Path) -> None:
    old = next(iter(sorted(Path.home().glob(".pyenv/versions/3.10.*/bin/python3.10"))), None)
    if old is None:
        pytest.skip("no Python 3.10 is installed here")
    with pytest.raises(Unavailable, match=r"needs Python 3\.11 or newer; this is 3\.10"):
        bridged("features", "x", adapter="x:X", python=old, setting=Setting(tmp_path), limits=QUICK)


# A parent that dies

PARENT = """
import os, signal, sys, threading, time
from pathlib import Path
from stackproof.envs.bridge.bridging import bridged
from stackproof.roles.adapter import Setting
made = []
def make():
    made.append(bridged("features", "x", adapter="hostile_adapter:Hostile", python=Path({python!r}),
                        setting=Setting(Path({home!r}))))
thread = threading.Thread(target=make)
thread.start()
thread.join()
adapter = made[0]
if {call!r}:
    threading.Thread(target=adapter.lookup, args=({call!r}, {arguments!r}), daemon=True).start()
    while not Path({home!r}, "waiting").exists():
        time.sleep(0.01)
print(adapter.bridge.pid, flush=True)
{then}
"""


def parent(python: Path, home: Path, then: str, call: str = "", arguments: tuple[str, ...] = ()) -> tuple[int, int]:
    """Run a parent to its end. Returns its child's process, and its own exit code."""
    code = PARENT.format(python=str(python), home=str(home), call=call, arguments=arguments, then=then)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout, done.stderr
    return int(done.stdout.split()[0]), done.returncode


@pytest.mark.parametrize(
    ("call", "arguments"), [("", ()), ("wait", ("600",)), ("hold_lock", ())], ids=["idle", "in a call", "in C code"]
)
def test_no_child_outlives_a_parent_that_is_killed(
    python: Path, tmp_path: Path, call: str, arguments: tuple[str, ...]
) -> None:
    child, code = parent(python, tmp_path, "os.kill(os.getpid(), signal.SIGKILL)", call, arguments)
    assert code == -signal.SIGKILL
    wait_until(lambda: gone(child))


def test_no_stopped_child_outlives_a_parent_that_is_killed(python: Path, tmp_path: Path) -> None:
    then = "os.kill(adapter.bridge.pid, signal.SIGSTOP); os.kill(os.getpid(), signal.SIGKILL)"
    child, _ = parent(python, tmp_path, then)
    wait_until(lambda: gone(child))


@pytest.mark.parametrize("then", ["", "sys.exit(0)", "1 / 0", "os._exit(0)", "del adapter, made[:]"])
def test_no_child_outlives_a_parent_that_ends(python: Path, tmp_path: Path, then: str) -> None:
    child, _ = parent(python, tmp_path, then)
    wait_until(lambda: gone(child))


def test_a_child_ends_with_its_parent_though_a_fork_of_the_parent_lives_on(python: Path, tmp_path: Path) -> None:
    then = (
        "if os.fork() == 0:\n"
        "    os.close(1); os.close(2); time.sleep(600)\n"
        "time.sleep(0.2)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    before = set(processes())
    child, _ = parent(python, tmp_path, then)
    try:
        wait_until(lambda: gone(child))
    finally:
        for left in set(processes()) - before:
            if "hostile_adapter" in command_of(left) and str(tmp_path) in command_of(left):
                os.kill(left, signal.SIGKILL)


def test_what_a_child_started_ends_with_it(make: Make) -> None:
    adapter = make()
    grandchild = adapter.lookup("grandchild", [])
    assert not gone(grandchild)
    adapter.close()
    wait_until(lambda: gone(grandchild))


# Nothing is left behind


def test_a_closed_bridge_leaves_no_process_no_thread_and_no_open_file(make: Make) -> None:
    make().close()
    gc.collect()
    files, threads = open_files(), threading.active_count()
    for _ in range(10):
        adapter = make()
        pid = adapter.bridge.pid
        adapter.point_in_time_join(pl.DataFrame({"n": range(10)}), [], as_of="t")
        adapter.close()
        assert gone(pid)
    del adapter
    gc.collect()
    wait_until(lambda: open_files() <= files and threading.active_count() <= threads)


@pytest.mark.parametrize("end", ["close", "die"])
def test_what_a_tool_left_in_the_temporary_folder_goes_with_its_child(make: Make, end: str) -> None:
    adapter = make()
    left = Path(adapter.lookup("litter", []))
    assert list(left.iterdir())
    adapter.close() if end == "close" else os.kill(adapter.bridge.pid, signal.SIGKILL)
    wait_until(lambda: not left.parent.exists())
    assert Path(tempfile.gettempdir()).exists()


@pytest.mark.slow
def test_a_thousand_restarts_leave_nothing_open(make: Make) -> None:
    adapter = make(limits=Limits(stop_s=2.0, first_pause_s=0.0, restarts=10_000))
    adapter.lookup("pid", [])
    files, threads = open_files(), threading.active_count()
    for _ in range(1000):
        pid = adapter.lookup("pid", [])
        os.kill(pid, signal.SIGKILL)
    assert adapter.bridge.restarts >= 990
    adapter.lookup("pid", [])
    wait_until(lambda: open_files() <= files + 2 and threading.active_count() <= threads + 2)


def test_many_threads_calling_while_the_child_is_killed_all_get_an_answer(make: Make) -> None:
    adapter = make(limits=Limits(stop_s=2.0, first_pause_s=0.0, restarts=1000))
    answers: list[int] = []

    def call() -> None:
        for _ in range(20):
            answers.append(adapter.lookup("pid", []))

    threads = started(call, 32)
    for _ in range(3):
        time.sleep(0.3)
        pid = adapter.bridge.pid
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive()
    assert len(answers) >= 32 * 20 - 64


def test_ctrl_c_in_the_terminal_reaches_the_parent_which_closes_the_child_in_order(
    python: Path, tmp_path: Path
) -> None:
    code = PARENT.format(
        python=str(python), home=str(tmp_path), call="", arguments=(), then="adapter.lookup('wait', ['60'])"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        wait_until((tmp_path / "waiting").exists)
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=30)
    assert process.returncode != 0
    assert "KeyboardInterrupt" in said
    assert gone(child)


def test_python_versions_may_differ(tmp_path: Path) -> None:
    versions = [f"3.{minor}" for minor in (12, 13) if sys.version_info[1] != minor]
    found = [
        next(iter(Path.home().glob(f".pyenv/versions/{version}.*/bin/python{version}")), None) for version in versions
    ]
    others = [python for python in found if python is not None]
    if not others:
        pytest.skip("no other Python is installed here")
    for number, other in enumerate(others):
        home = tmp_path / str(number)
        home.mkdir()
        path = registry.find("tracking", "jsonl").path
        adapter = bridged("tracking", "jsonl", adapter=path, python=other, setting=Setting(home))
        adapter.start_run("größe", run_id="run:1", tags={"a": "b"})
        adapter.log_metrics("run:1", [Metric("loss", float("nan"), 0, datetime(2026, 1, 1, tzinfo=UTC))])
        (tmp_path / "file").write_text("x")
        assert adapter.log_artifact("run:1", "a/b", tmp_path / "file").size == 1
        ended = adapter.end_run("run:1", RunStatus.FINISHED)
        assert ended.status is RunStatus.FINISHED
        assert adapter.get_run("run:1").params == {}
        with pytest.raises(NotFound, match="run:2"):
            adapter.get_run("run:2")
        adapter.close()


def an_alert() -> Alert:
    return Alert("alert:1", "d", datetime(2026, 1, 1, tzinfo=UTC), "t", (), "p:1", "p:2")


def started(target: Callable[[], None], count: int) -> list[threading.Thread]:
    threads = [threading.Thread(target=target) for _ in range(count)]
    for thread in threads:
        thread.start()
    return threads


def gone(pid: int) -> bool:
    """Neither alive nor a zombie of ours."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state == "Z" and Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1] != str(os.getpid())


def processes() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def wait_until(condition: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)
