"""Faults of servers: killed, hung, a port taken, a full disk, their supervisor killed, two `up` at once."""

import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from urllib.request import urlopen

import pytest

from stackproof.errors import Unavailable
from stackproof.roles.adapter import PORT, ServerSpec
from stackproof.stack.servers.control import bring_down, bring_up, look
from stackproof.stack.servers.places import Places, is_held, taken
from stackproof.stack.servers.plan import Patience, Plan, Wanted
from stackproof.stack.servers.state import ServerState, Standing, read_state, running_servers

SERVER = """
import http.server, os, subprocess, sys, time
from pathlib import Path
folder, port = Path(sys.argv[1]), int(sys.argv[2])
helper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
loose = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
with (folder / "pids").open("a") as pids:
    pids.write(f"{os.getpid()} {helper.pid} {loose.pid}\\n")
print("the server begins", flush=True)
if (folder / "breaks").exists():
    sys.exit("it can't: no such table")
if (folder / "mute").exists():
    time.sleep(600)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(500 if (folder / "sick").exists() else 200)
        self.end_headers()
        self.wfile.write(str(os.getpid()).encode())
    def log_message(self, *_):
        print("x" * 99, flush=True)
http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""
QUICK = Patience(restarts=2, first_pause_s=0.1, steady_s=600, check_s=0.1, misses=3, stop_s=3)
PATIENT_S = 60

slow = pytest.mark.slow


class Servers:
    """A project's home, with small servers of its own: names given are those of folders that steer them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.home.mkdir()
        (folder / "server.py").write_text(SERVER)

    def spec(self, name: str, port: int = 0) -> ServerSpec:
        steering = self.folder / name
        steering.mkdir(exist_ok=True)
        return ServerSpec(
            name=name,
            arguments=(sys.executable, str(self.folder / "server.py"), str(steering), PORT),
            folder=steering,
            url=f"http://127.0.0.1:{PORT}",
            health=f"http://127.0.0.1:{PORT}/health",
            options={"uri": f"http://127.0.0.1:{PORT}"},
            port=port,
            start_s=PATIENT_S,
        )

    def up(self, *specs: ServerSpec, patience: Patience = QUICK) -> tuple[ServerState, ...]:
        before = {state.name: state.port for state in look(self.home)}
        wanted = tuple(Wanted(spec, previous_port=before.get(spec.name, 0)) for spec in specs)
        return bring_up(self.home, Plan(wanted, patience=patience), lambda _: None, lambda: None)

    def now(self, name: str) -> ServerState:
        return next(state for state in look(self.home) if state.name == name)

    def pids(self, name: str) -> list[int]:
        """Of all processes that the server ever was and started."""
        return [int(pid) for pid in (self.folder / name / "pids").read_text().split()]

    @property
    def supervisor(self) -> int:
        return int(Places(self.home).supervisor.read_text().split("|")[1])


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    made = Servers(tmp_path)
    yield made
    bring_down(made.home)
    assert [pid for file in tmp_path.glob("*/pids") for pid in made.pids(file.parent.name) if runs(pid)] == []


def runs(pid: int) -> bool:
    """Neither gone nor dead and not yet reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def until(holds: Callable[[], object]) -> None:
    give_up = time.monotonic() + PATIENT_S
    while not holds():
        assert time.monotonic() < give_up
        time.sleep(0.05)


def asked(url: str) -> str:
    with urlopen(url, timeout=5) as answer:
        return str(answer.read().decode())


def test_servers_come_up_each_on_a_port_of_its_own_and_say_where(servers: Servers) -> None:
    one, two = servers.up(servers.spec("one"), servers.spec("two"))
    assert (one.standing, two.standing) == (Standing.UP, Standing.UP)
    assert one.port != two.port
    assert [int(asked(state.url)) for state in (one, two)] == [one.pid, two.pid]
    running = running_servers(servers.home)
    assert running["one"].healthy
    assert running["one"].options == {"uri": one.url}


@slow
def test_up_again_leaves_what_runs_and_starts_what_is_new(servers: Servers) -> None:
    (before,) = servers.up(servers.spec("one"))
    supervisor = servers.supervisor
    same, new = servers.up(servers.spec("one"), servers.spec("new"))
    assert same == before
    assert new.standing is Standing.UP
    assert servers.supervisor == supervisor


@slow
def test_up_ends_what_is_no_longer_wanted_unless_it_asks_for_some_only(servers: Servers) -> None:
    servers.up(servers.spec("one"), servers.spec("two"))
    plan = Plan((Wanted(servers.spec("one")),), alone=False, patience=QUICK)
    bring_up(servers.home, plan, lambda _: None, lambda: None)
    assert {state.name for state in look(servers.home)} == {"one", "two"}
    servers.up(servers.spec("one"))
    assert {state.name for state in look(servers.home)} == {"one"}
    assert not any(runs(pid) for pid in servers.pids("two"))


def test_down_ends_every_process_and_a_second_time_nothing(servers: Servers) -> None:
    servers.up(servers.spec("one"), servers.spec("two"))
    assert bring_down(servers.home) == ("one", "two")
    assert not any(runs(pid) for name in ("one", "two") for pid in servers.pids(name))
    assert [state.standing for state in look(servers.home)] == [Standing.STOPPED, Standing.STOPPED]
    assert running_servers(servers.home) == {}
    assert bring_down(servers.home) == ()


def test_down_where_nothing_was_ever_up_does_nothing(tmp_path: Path) -> None:
    assert bring_down(tmp_path) == ()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_server_that_was_killed_is_started_again_on_the_same_port(servers: Servers, number: int) -> None:
    (before,) = servers.up(servers.spec("one"))
    os.kill(before.pid, number)
    until(lambda: servers.now("one").restarts == 1 and servers.now("one").standing is Standing.UP)
    after = servers.now("one")
    assert (after.port, after.pid != before.pid) == (before.port, True)
    assert int(asked(after.url)) == after.pid
    assert not any(runs(pid) for pid in servers.pids("one")[:3])


@slow
def test_a_server_whose_port_was_taken_while_it_was_down_gets_another(servers: Servers) -> None:
    (before,) = servers.up(servers.spec("one"), patience=replace(QUICK, first_pause_s=3))
    os.kill(before.pid, signal.SIGKILL)
    until(lambda: servers.now("one").standing is Standing.RESTARTING)
    with listening(before.port):
        until(lambda: servers.now("one").standing is Standing.UP)
        after = servers.now("one")
        assert after.port != before.port
        assert int(asked(after.url)) == after.pid


@slow
def test_it_comes_back_on_the_port_that_it_had_before_down(servers: Servers) -> None:
    (before,) = servers.up(servers.spec("one"))
    bring_down(servers.home)
    (after,) = servers.up(servers.spec("one"))
    assert after.port == before.port


def test_a_port_that_was_asked_for_and_is_taken_is_an_error_that_says_so(servers: Servers) -> None:
    with listening() as port:
        (state,) = servers.up(servers.spec("one", port))
        assert (state.standing, state.pid) == (Standing.FAILED, 0)
        assert str(port) in state.detail
        assert "taken" in state.detail
    (state,) = servers.up(servers.spec("one", port))
    assert (state.standing, state.port) == (Standing.UP, port)


def test_a_server_that_breaks_is_given_up_with_its_last_words_and_the_others_stay(servers: Servers) -> None:
    broken, sound = servers.spec("broken"), servers.spec("sound")
    (broken.folder / "breaks").touch()
    given_up, up = servers.up(broken, sound)
    assert (given_up.standing, given_up.restarts, up.standing) == (Standing.FAILED, QUICK.restarts, Standing.UP)
    assert "exit code 1" in given_up.detail
    assert "it can't: no such table" in given_up.detail
    assert "broken" not in running_servers(servers.home)
    (broken.folder / "breaks").unlink()
    assert [state.standing for state in servers.up(broken, sound)] == [Standing.UP, Standing.UP]


@slow
def test_a_server_that_never_answers_is_given_up_and_ended(servers: Servers) -> None:
    mute = replace(servers.spec("mute"), start_s=8)
    (mute.folder / "mute").touch()
    (state,) = servers.up(mute, patience=replace(QUICK, restarts=0))
    assert state.standing is Standing.FAILED
    assert "not ready after 8 s" in state.detail
    assert "the server begins" in state.detail
    assert not any(runs(pid) for pid in servers.pids("mute"))


@slow
def test_a_server_that_answers_and_is_sick_is_started_again(servers: Servers) -> None:
    (before,) = servers.up(servers.spec("one"))
    (servers.folder / "one" / "sick").touch()
    until(lambda: servers.now("one").standing is Standing.UNWELL)
    assert "answers 500" in servers.now("one").detail
    assert not running_servers(servers.home)["one"].healthy
    until(lambda: servers.now("one").restarts == 1)
    (servers.folder / "one" / "sick").unlink()
    until(lambda: servers.now("one").standing is Standing.UP)
    assert servers.now("one").pid != before.pid


@slow
def test_a_command_that_is_not_there_is_given_up(servers: Servers) -> None:
    missing = replace(servers.spec("one"), arguments=("/nowhere/python",))
    (state,) = servers.up(missing)
    assert state.standing is Standing.FAILED
    assert "/nowhere/python: No such file or directory" in state.detail


@slow
def test_one_that_needs_another_starts_after_it_and_also_when_that_was_given_up(servers: Servers) -> None:
    first, broken = servers.spec("first"), servers.spec("broken")
    (broken.folder / "breaks").touch()
    after = Wanted(servers.spec("after"), after=("first", "broken"))
    plan = Plan((after, Wanted(first), Wanted(broken)), patience=QUICK)
    seen: list[tuple[Standing, ...]] = []

    def watch(states: object) -> None:
        seen.append(tuple(state.standing for state in states))  # type: ignore[attr-defined]  # a sequence of states

    bring_up(servers.home, plan, watch, lambda: None)
    assert seen[-1] == (Standing.UP, Standing.UP, Standing.FAILED)
    for own, *others in seen:
        assert own is Standing.WAITING or all(one in (Standing.UP, Standing.FAILED) for one in others)


def test_no_server_outlives_a_supervisor_that_was_killed_and_the_next_up_works(servers: Servers) -> None:
    (before,) = servers.up(servers.spec("one"))
    os.kill(servers.supervisor, signal.SIGKILL)
    until(lambda: not is_held(Places(servers.home).supervisor))
    assert running_servers(servers.home) == {}
    (told,) = look(servers.home)
    assert (told.standing, told.pid) == (Standing.STOPPED, 0)
    assert "supervisor" in told.detail
    (after,) = servers.up(servers.spec("one"))
    assert after.standing is Standing.UP
    assert not any(runs(pid) for pid in servers.pids("one")[:3])
    assert int(asked(after.url)) == after.pid != before.pid


@slow
def test_down_after_the_supervisor_was_killed_returns_when_nothing_is_left(servers: Servers) -> None:
    servers.up(servers.spec("one"))
    os.kill(servers.supervisor, signal.SIGKILL)
    bring_down(servers.home)
    assert not any(runs(pid) for pid in servers.pids("one"))


@slow
def test_a_supervisor_that_hangs_is_killed_by_down_with_all_that_it_started(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    servers.up(servers.spec("one"))
    os.kill(servers.supervisor, signal.SIGSTOP)
    monkeypatch.setattr("stackproof.stack.servers.control.IN_ORDER_S", 1.0)
    bring_down(servers.home)
    until(lambda: not any(runs(pid) for pid in servers.pids("one")))


@slow
def test_the_guard_of_a_server_that_was_killed_takes_it_along_and_both_come_back(servers: Servers) -> None:
    (before,) = servers.up(servers.spec("one"))
    guard = int(Path(f"/proc/{before.pid}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(guard, signal.SIGKILL)
    until(lambda: servers.now("one").restarts == 1 and servers.now("one").standing is Standing.UP)
    own, helper, loose = servers.pids("one")[:3]
    assert not runs(own)
    assert not runs(helper)
    os.kill(loose, signal.SIGKILL)  # it left the group, and its guard was not there any more to find it


def test_a_reused_number_in_a_stale_file_is_never_signalled(servers: Servers) -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as stranger:
        servers.up(servers.spec("one"))
        bring_down(servers.home)
        places = Places(servers.home)
        host, _, started = places.supervisor.read_text().split("|")
        places.supervisor.write_text(f"{host}|{stranger.pid}|{started}")
        document = json.loads(places.state.read_text())
        document["servers"][0] |= {"standing": "up", "pid": stranger.pid}
        places.state.write_text(json.dumps(document))
        assert running_servers(servers.home) == {}
        bring_down(servers.home)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr("stackproof.stack.servers.control.GRACE_S", 0.5)
            patched.setattr("stackproof.stack.servers.control.IN_ORDER_S", 0.5)
            with taken(places.supervisor), pytest.raises(Unavailable, match="does not end"):
                bring_down(servers.home)
        assert stranger.poll() is None
        stranger.kill()


@slow
def test_an_environment_stays_in_use_until_its_server_is_down(servers: Servers) -> None:
    lock = servers.folder / "environment.use"
    plan = Plan((Wanted(servers.spec("one"), in_use=str(lock)),), patience=QUICK)
    bring_up(servers.home, plan, lambda _: None, lambda: None)
    assert is_held(lock)
    bring_down(servers.home)
    assert not is_held(lock)


@slow
def test_a_state_or_plan_that_can_not_be_read_is_as_good_as_none(servers: Servers) -> None:
    servers.up(servers.spec("one"))
    bring_down(servers.home)
    places = Places(servers.home)
    for damaged in ("", "{", "[]", '{"servers": [{"name": 1}]}', '{"servers": {}}'):
        places.state.write_text(damaged)
        assert look(servers.home) == ()
    places.plan.write_text("{")
    (state,) = servers.up(servers.spec("one"))
    assert state.standing is Standing.UP


UP = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from stackproof.roles.adapter import ServerSpec
from stackproof.stack.servers.control import bring_up
from stackproof.stack.servers.plan import Plan, Wanted
home = Path(sys.argv[1])
arguments = (sys.executable, str(home.parent / "server.py"), str(home.parent / "one"), "{port}")
spec = ServerSpec("one", arguments, home.parent / "one", "http://127.0.0.1:{port}", "http://127.0.0.1:{port}")
print("begins", flush=True)
(state,) = bring_up(home, Plan((Wanted(spec),)), lambda _: None, lambda: print("waits", flush=True))
print(state.standing, state.pid, flush=True)
"""


@slow
def test_two_up_at_once_make_one_server_and_both_say_that_it_is_up(servers: Servers) -> None:
    servers.spec("one")
    command = [sys.executable, "-c", UP, str(servers.home), ""]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    told = [one.communicate(timeout=PATIENT_S)[0].splitlines()[-1] for one in both]
    assert told[0] == told[1]
    assert told[0].startswith("up ")
    assert len(servers.pids("one")) == 3


@slow
def test_an_up_that_was_interrupted_leaves_the_servers_to_their_supervisor(servers: Servers) -> None:
    spec = servers.spec("one")
    (spec.folder / "mute").touch()
    with subprocess.Popen(
        [sys.executable, "-c", UP, str(servers.home), ""], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        until((spec.folder / "pids").exists)
        process.send_signal(signal.SIGINT)
        process.wait(PATIENT_S)
    assert servers.now("one").standing is Standing.STARTING
    assert is_held(Places(servers.home).supervisor)


@slow
def test_down_during_up_ends_both(servers: Servers) -> None:
    spec = servers.spec("one")
    (spec.folder / "mute").touch()
    problems: list[Exception] = []

    def up() -> None:
        try:
            servers.up(spec)
        except Unavailable as problem:
            problems.append(problem)

    thread = threading.Thread(target=up)
    thread.start()
    until((spec.folder / "pids").exists)
    bring_down(servers.home)
    thread.join(PATIENT_S)
    assert "not there any more" in str(problems[0])


@slow
def test_a_log_that_grows_gives_way_to_older_files_and_keeps_the_newest_lines(servers: Servers) -> None:
    (state,) = servers.up(servers.spec("one"), patience=replace(QUICK, log_bytes=2000, log_files=3))
    for _ in range(100):
        asked(state.url)
    log = Places(servers.home).log("one")
    files = sorted(log.parent.glob("one.log*"))
    assert [file.name for file in files] == ["one.log", "one.log.1", "one.log.2"]
    assert all(file.stat().st_size <= 2000 for file in files)
    assert "x" * 99 in log.read_text()


@slow
def test_a_full_disk_under_the_logs_stops_no_server_and_is_told_in_the_log(servers: Servers) -> None:
    """The log is a device that is always full."""
    places = Places(servers.home)
    places.make()
    log = places.log("one")
    log.symlink_to("/dev/full")
    (state,) = servers.up(servers.spec("one"))
    for _ in range(5):
        asked(state.url)
    log.unlink()
    asked(state.url)
    until(log.exists)
    assert "bytes were lost here: No space left on device" in log.read_text()
    assert servers.now("one").restarts == 0


def test_a_plan_is_for_its_owners_eyes_and_gone_once_it_was_read(servers: Servers) -> None:
    secret = replace(servers.spec("one"), variables={"PASSWORD": "tell-nobody"})
    servers.up(secret)
    places = Places(servers.home)
    assert places.folder.stat().st_mode & 0o777 == 0o700
    assert not places.plan.exists()
    said = [file.read_bytes() for file in servers.home.rglob("*") if file.is_file()]
    assert not any(b"tell-nobody" in text for text in said)
    listed = subprocess.run(["ps", "-ww", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert "tell-nobody" not in listed


@slow
def test_the_state_says_what_it_said_when_it_is_read_back(servers: Servers) -> None:
    states = servers.up(servers.spec("one"), servers.spec("two"))
    assert read_state(Places(servers.home).state) == states


class listening:  # noqa: N801  # used like a function
    """A port that another program listens on: any that is free when none is given."""

    def __init__(self, port: int = 0) -> None:
        self._server = http.server.HTTPServer(("127.0.0.1", port), http.server.BaseHTTPRequestHandler)

    def __enter__(self) -> int:
        port: int = self._server.socket.getsockname()[1]
        return port

    def __exit__(self, *_: object) -> None:
        self._server.server_close()
