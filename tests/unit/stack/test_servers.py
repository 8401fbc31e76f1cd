"""The parts of the servers that need no server: plans, states, ports, logs."""

import socket
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stackproof.adapters import registry
from stackproof.envs.environments import EnvironmentHandle, Environments, use_lock
from stackproof.errors import NotFound
from stackproof.roles.adapter import PORT, HasServer, ServerSpec, Setting
from stackproof.stack.servers.guard import Log, in_words
from stackproof.stack.servers.places import Places, is_held, taken
from stackproof.stack.servers.plan import Patience, Plan, Wanted, take_plan, write_plan
from stackproof.stack.servers.ports import Ports, is_free
from stackproof.stack.servers.state import ServerState, Standing, carried_out, read_state, write_state
from stackproof.usecases.servers import _lines

SPEC = ServerSpec(
    name="tiny",
    arguments=("/bin/tiny", "--port", PORT, "{ports}"),
    folder=Path("/tmp"),
    url=f"http://127.0.0.1:{PORT}",
    health=f"http://127.0.0.1:{PORT}/health",
    variables={"TINY_PORT": PORT},
    without=("TINY_",),
    options={"uri": f"http://127.0.0.1:{PORT}"},
)
temporary = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)


def test_the_port_stands_wherever_it_was_asked_for_and_nowhere_else() -> None:
    placed = SPEC.at(5000)
    assert placed.arguments == ("/bin/tiny", "--port", "5000", "{ports}")
    assert (placed.url, placed.health) == ("http://127.0.0.1:5000", "http://127.0.0.1:5000/health")
    assert (placed.variables, placed.options) == ({"TINY_PORT": "5000"}, {"uri": "http://127.0.0.1:5000"})
    assert placed.port == 5000


def test_every_adapter_that_brings_a_server_says_how_to_reach_it_on_loopback(tmp_path: Path) -> None:
    found = []
    for entry in registry.ADAPTERS:
        brings: object = registry.load(entry)
        if isinstance(brings, HasServer):
            with suppress(NotFound):  # a program that is not on this machine
                spec = brings.server(Setting(tmp_path), Path("/env/bin/python"))
                assert spec is not None, entry
                found.append(spec)
    assert {"mlflow", "prefect", "tensorboard"} <= {spec.name for spec in found}
    for spec in found:
        assert spec.url == f"http://127.0.0.1:{PORT}"
        assert spec.health.startswith(f"http://127.0.0.1:{PORT}/")
        assert PORT in " ".join([*spec.arguments, *spec.variables.values()])
        assert (Path(spec.arguments[0]).is_absolute(), spec.folder.is_dir(), spec.port) == (True, True, 0)


def test_a_plan_comes_back_as_it_was_and_only_once(tmp_path: Path) -> None:
    plan = Plan((Wanted(SPEC, ("other",), 8080, "/lock"), Wanted(SPEC)), False, Patience(restarts=9))
    write_plan(plan, tmp_path / "plan.json")
    write_plan(plan, tmp_path / "plan.json")
    assert (tmp_path / "plan.json").stat().st_mode & 0o777 == 0o600
    assert take_plan(tmp_path / "plan.json") == plan
    assert take_plan(tmp_path / "plan.json") is None


def test_a_state_comes_back_as_it_was(tmp_path: Path) -> None:
    at = datetime(2026, 11, 21, 9, 30, 1, 250, tzinfo=UTC)
    states = tuple(ServerState(f"s{n}", standing, at, options={"uri": "x"}) for n, standing in enumerate(Standing))
    write_state(tmp_path / "state.json", states, "plan-7")
    assert read_state(tmp_path / "state.json") == states
    assert carried_out(tmp_path / "state.json") == "plan-7"
    assert (read_state(tmp_path / "none"), carried_out(tmp_path / "none")) == ((), "")


def test_a_wished_port_is_given_where_it_is_free_and_nobody_elses() -> None:
    ports = Ports()
    with socket.create_server(("127.0.0.1", 0)) as other:
        busy = other.getsockname()[1]
        assert not is_free(busy)
        assert ports.take("one", busy) != busy
    mine = ports.take("one", 0)
    assert ports.take("one", mine) == mine
    assert ports.take("two", mine) != mine
    assert not is_free(70000)


def test_a_lock_is_held_as_long_as_its_holder_has_it(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    assert not is_held(lock)
    assert not lock.exists()
    with taken(lock) as first:
        assert first is not None
        with taken(lock) as second:
            assert second is None
        assert is_held(lock)
    assert not is_held(lock)


def test_names_of_servers_become_names_of_files_below_their_folder(tmp_path: Path) -> None:
    places = Places(tmp_path)
    for name in ("../../x", "a/b", "ü", ".", "serve-returns"):
        assert places.log(name).parent == tmp_path / "logs" / "servers"
        assert places.guard(name).parent == tmp_path / "servers"
    assert places.log("serve-returns").name == "serve-returns.log"


def test_the_lock_of_an_environment_is_the_one_that_keeps_it_from_being_removed(tmp_path: Path) -> None:
    environments = Environments(tmp_path)
    key = "py3.11-0123456789abcdef"
    python = tmp_path / key / "bin" / "python"
    handle = EnvironmentHandle(python, key, "", "3.11", (), datetime.now(UTC), 0, 0, 0.0)
    using = environments.use(handle)
    assert is_held(use_lock(python))
    using.close()
    assert not is_held(use_lock(python))


@given(st.lists(st.binary(min_size=1, max_size=60), max_size=60), st.integers(5, 200), st.integers(1, 4))
@temporary
def test_a_log_never_grows_beyond_its_size_and_keeps_the_end_of_what_was_written(
    tmp_path: Path, pieces: list[bytes], size: int, files: int
) -> None:
    path = tmp_path / "one.log"
    for old in tmp_path.glob("one.log*"):
        old.unlink()
    log = Log(path, size, files)
    for piece in pieces:
        log.write(piece)
    parts = [path.with_name(f"one.log.{number}") for number in range(files - 1, 0, -1)] + [path]
    kept = [part.read_bytes() for part in parts if part.exists()]
    assert all(len(data) <= size for data in kept)
    assert b"".join(pieces).endswith(b"".join(kept))
    assert len(list(tmp_path.glob("one.log*"))) <= files
    assert not pieces or kept[-1].endswith(pieces[-1][-1:])


@given(
    st.lists(st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1), max_size=30), st.integers(0, 9)
)
@temporary
def test_the_last_lines_are_the_last_lines_over_all_files(tmp_path: Path, lines: list[str], count: int) -> None:
    path = tmp_path / "two.log"
    for old in tmp_path.glob("two.log*"):
        old.unlink()
    log = Log(path, 40, 100)
    for line in lines:
        log.write(f"{line}\n".encode())
    assert list(_lines(path, count, follow=False)) == (lines[-count:] if count else [])


def test_how_a_process_ended_is_said_in_words() -> None:
    assert in_words(3) == "exit code 3"
    assert in_words(-9) == "SIGKILL (signal 9)"
