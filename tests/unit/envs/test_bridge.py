"""A class runs in a child process of another environment as if it ran here."""

import contextvars
import logging
import math
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from stackproof.envs.bridge.bridge import Hosted
from stackproof.envs.bridge.bridging import BridgedClass, bridged
from stackproof.envs.bridge.contracts import CONTRACTS, ONCE, contract_of, may_repeat, methods_of
from stackproof.envs.bridge.limits import Limits, deadline
from stackproof.envs.bridge.workers import Workers
from stackproof.envs.capture import uv_command
from stackproof.errors import (
    Conflict,
    Corrupted,
    InvalidTable,
    NotCapable,
    NotFound,
    RefusedInput,
    StackproofError,
    StorageFull,
    Unavailable,
    UnknownName,
)
from stackproof.roles.adapter import Setting
from stackproof.roles.features import LookupRequest
from stackproof.roles.orchestration import Task
from stackproof.roles.tuning import Direction, FloatRange, PrunedTrial, Trial

ADAPTER = '''
import errno, importlib, os, subprocess, sys, threading, time
from stackproof import errors
from stackproof.roles.adapter import Health, Option
from stackproof.roles.features import FeatureRow


class OddError(Exception):
    pass


class Echo:
    """Its methods do what the test needs; each role calls those that its contract names."""

    tool = "echo"
    capabilities = frozenset({"historical", "online"})
    options = {"colour": Option("string", "a colour")}

    def __init__(self, setting):
        self.setting = setting

    def health(self):
        return Health(True, "1.0", f"{os.getpid()} {self.setting.home} {dict(self.setting.options)}")

    def close(self):
        (self.setting.home / "closed").write_text("")

    # features

    def lookup(self, view, requests):
        return getattr(self, view)(requests)

    def materialized(self):
        return (number for number in range(1000))

    def point_in_time_join(self, rows, views, *, as_of):
        import polars
        frame = polars.DataFrame(rows)
        for _, table in views:
            frame = polars.concat([frame, polars.DataFrame(table)])
        return frame

    def count(self, requests):
        import pyarrow
        reader = pyarrow.RecordBatchReader.from_stream(requests["table"])
        rows = reader.read_next_batch().num_rows if requests["first"] else sum(batch.num_rows for batch in reader)
        return rows, str(reader.schema)

    def give(self, rows):
        import pyarrow
        return pyarrow.table({"n": pyarrow.array(range(rows)), "s": pyarrow.array(["größe", None] * (rows // 2))})

    def echo(self, value):
        return value

    def path(self, requests):
        return sys.path, sorted(sys.modules), dict(os.environ)

    def slow(self, requests):
        time.sleep(requests)

    def busy(self, requests):
        end = time.monotonic() + requests
        while time.monotonic() < end:
            pass
        (self.setting.home / "not interrupted").write_text("")

    def fail(self, requests):
        kind, *arguments = requests
        if kind == "tool":
            try:
                {}["cause"]
            except KeyError as cause:
                raise OddError(*arguments) from cause
        if kind == "ours":
            raise errors.Corrupted("The bytes differ", got=OddError("x"), allowed="others", next_command="do it")
        if kind == "table":
            raise errors.InvalidTable("Two faults", faults=("one", "two"))
        if kind == "exit":
            sys.exit(3)
        raise getattr(importlib.import_module("builtins"), kind)(*arguments)

    def unknown(self, requests):
        return OddError

    def odd(self, requests):
        return object()

    def numbers(self, requests):
        class Real(float):
            pass
        class Text(str):
            pass
        import types
        return [Real(0.5), Text("t"), types.MappingProxyType({"a": 1}), memoryview(b"b"), range(3), True]

    def log(self, requests):
        import logging
        logging.getLogger("echo.tool").warning("look: %s", requests)

    def mainly(self, requests):
        return threading.current_thread() is threading.main_thread()

    # orchestration, tuning

    def run(self, name, tasks, *, on_result=None):
        return [task.run() for task in tasks]

    def optimize(self, name, space, objective, **rest):
        class Given:
            number = 7
            params = {"x": 0.5}
            def report(self, step, value):
                return value > 3
        return objective(Given())


class Narrow:
    tool = "narrow"
    capabilities = frozenset({"online"})
    options = {}
    def __init__(self, setting):
        pass
    def close(self):
        pass
    def lookup(self, view, requests):
        return []
'''


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment that holds the adapter above, and of ours only what tables need."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    (packages,) = (folder / "lib").glob("python*/site-packages")
    (packages / "echo_adapter.py").write_text(ADAPTER)
    for package in Path(pl.__file__).parents[1].glob("*polars*"):
        (packages / package.name).symlink_to(package)
    return folder / "bin" / "python"


Make = Callable[..., Any]


@pytest.fixture
def make(python: Path, tmp_path: Path) -> Iterator[Make]:
    made: list[Any] = []

    def make(role: str = "features", name: str = "Echo", limits: Limits | None = None, **options: object) -> Any:
        path, setting = f"echo_adapter:{name}", Setting(tmp_path, options)
        made.append(bridged(role, "echo", adapter=path, python=python, setting=setting, limits=limits))
        return made[-1]

    yield make
    for adapter in made:
        adapter.close()


# Values


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        -(2**70),
        0.1,
        -0.0,
        math.inf,
        "größe 🚀 \x00",
        b"\x00\xff",
        bytes(5_000_000),
        (1, (2, [3, {"a": {4}}])),
        frozenset({"a"}),
        {("a", 1): None},
        Path("/tmp/größe"),
        datetime(2026, 11, 21, 1, 2, 3, 456789, tzinfo=UTC),
        datetime(2026, 11, 21, tzinfo=timezone(timedelta(hours=5, minutes=30))),
        datetime(2026, 11, 21, fold=1, tzinfo=ZoneInfo("Europe/Berlin")),
        timedelta(microseconds=1),
        Direction.MAXIMIZE,
        FloatRange(0.1, 1.0, log=True),
        LookupRequest({"k": 1}, datetime(2026, 1, 1, tzinfo=UTC)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_come_back_as_they_were(make: Make, value: object) -> None:
    back = make().lookup("echo", value)
    assert back == value
    assert type(back) is type(value)


def test_nan_stays_nan_and_minus_zero_stays_negative(make: Make) -> None:
    nan, zero = make().lookup("echo", [math.nan, -0.0])
    assert math.isnan(nan)
    assert math.copysign(1, zero) == -1


def test_subclasses_of_plain_values_cross_as_plain_values(make: Make) -> None:
    values = make().lookup("numbers", [])
    assert values == [0.5, "t", {"a": 1}, b"b", [0, 1, 2], True]
    assert [type(value) for value in values] == [float, str, dict, bytes, list, bool]


def test_a_value_of_a_tools_own_type_is_refused_with_its_name_and_the_child_goes_on(make: Make) -> None:
    adapter = make()
    with pytest.raises(RefusedInput, match=r"builtins\.object"):
        adapter.lookup("odd", [])
    with pytest.raises(RefusedInput, match=r"builtins\.type"):
        adapter.lookup("unknown", [])
    with pytest.raises(RefusedInput, match=r"threading\.Event"):
        adapter.lookup("echo", threading.Event())
    assert adapter.lookup("echo", 1) == 1


def test_more_than_a_message_may_hold_is_refused(make: Make) -> None:
    adapter = make(limits=Limits(message_bytes=100_000))
    with pytest.raises(RefusedInput, match="100000 bytes"):
        adapter.lookup("echo", bytes(200_000))
    assert adapter.lookup("echo", 1) == 1


# The contract's object


def test_it_says_of_itself_what_the_class_says_there(make: Make, tmp_path: Path) -> None:
    adapter = make(colour="red")
    assert (adapter.tool, adapter.capabilities) == ("echo", {"historical", "online"})
    assert adapter.options["colour"].help == "a colour"
    health = adapter.health()
    assert health.ok
    assert health.detail == f"{adapter.bridge.pid} {tmp_path} {{'colour': 'red'}}"


def test_a_class_that_is_asked_first_uses_the_same_child_for_its_adapter(python: Path, tmp_path: Path) -> None:
    kind = BridgedClass(Hosted("features", "echo", "echo_adapter:Echo", python))
    assert kind.options.keys() == {"colour"}
    asked = kind._next
    assert asked is not None
    pid = asked.pid
    adapter = kind(Setting(tmp_path))
    assert adapter.bridge.pid == pid
    adapter.close()
    kind.close()


def test_an_option_that_there_is_not_is_refused(make: Make) -> None:
    with pytest.raises(UnknownName, match="did you mean 'colour'"):
        make(color="red")


def test_a_method_that_the_tool_lacks_is_a_capability_that_it_lacks(make: Make) -> None:
    with pytest.raises(NotCapable, match="point_in_time_join"):
        make(name="Narrow").point_in_time_join(pl.DataFrame(), [], as_of="t")


def test_health_never_raises(make: Make) -> None:
    health = make(name="Narrow").health()
    assert not health.ok
    assert "health" in health.detail


def test_arguments_that_the_contract_does_not_know_are_a_type_error_here(make: Make) -> None:
    with pytest.raises(TypeError, match="entity"):
        make().lookup("echo", [], entity=1)


def test_after_close_it_says_so_and_closing_again_is_harmless(make: Make, tmp_path: Path) -> None:
    adapter = make()
    adapter.close()
    assert (tmp_path / "closed").exists()
    with pytest.raises(Conflict, match="closed"):
        adapter.lookup("echo", 1)
    adapter.close()


def test_every_method_of_every_contract_is_declared_to_be_repeatable_or_not() -> None:
    for role in CONTRACTS:
        contract, once = contract_of(role), ONCE.get(role, frozenset())
        assert {name for name in methods_of(role) if may_repeat(role, name)} | once == set(methods_of(role))
        assert not contract.repeatable & once
        assert contract.endless | contract.accepts | contract.until_signal <= once
        assert contract.settles <= contract.repeatable


# Environments


def test_nothing_of_this_environment_leaks_into_the_other(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(pytest.__file__).parents[1]))
    path, modules, variables = make().lookup("path", [])
    assert not {str(Path(pytest.__file__).parents[1]), str(Path(__file__).parents[3] / "src")} & set(path)
    assert "PYTHONPATH" not in variables
    foreign = {name.partition(".")[0] for name in modules if name[0] != "_"} - set(sys.stdlib_module_names)
    assert foreign <= {"stackproof", "echo_adapter"}


def test_a_module_that_the_environment_lacks_is_named(python: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="No module named 'xgboost'") as caught:
        bridged("features", "x", adapter="xgboost:X", python=python, setting=Setting(tmp_path))
    assert caught.value.next_command


def test_an_interpreter_that_is_not_there_is_named(tmp_path: Path) -> None:
    nowhere = tmp_path / "bin" / "python"
    with pytest.raises(Unavailable, match=str(nowhere)):
        bridged("features", "x", adapter="x:X", python=nowhere, setting=Setting(tmp_path))


# Errors


def test_an_error_of_ours_keeps_its_type_fields_and_message(make: Make) -> None:
    adapter = make()
    with pytest.raises(Corrupted) as caught:
        adapter.lookup("fail", ["ours"])
    error = caught.value
    assert (error.what, error.got, error.allowed, error.next_command) == ("The bytes differ", "x", "others", "do it")
    with pytest.raises(InvalidTable) as table:
        adapter.lookup("fail", ["table"])
    assert table.value.faults == ("one", "two")
    assert str(table.value) == str(InvalidTable("Two faults", faults=("one", "two")))


def test_an_error_of_the_tool_is_ours_with_its_name_text_cause_and_traceback(make: Make) -> None:
    with pytest.raises(StackproofError) as caught:
        make().lookup("fail", ["tool", "größe"])
    assert type(caught.value) is StackproofError
    assert "features.echo.lookup failed" in str(caught.value)
    assert "echo_adapter.OddError: größe" in str(caught.value)
    assert isinstance(caught.value.__cause__, KeyError)
    (note,) = caught.value.__notes__
    assert "raise OddError" in note
    assert "echo_adapter.py" in note


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (("ConnectionRefusedError", 111, "refused"), Unavailable),
        (("TimeoutError", "late"), Unavailable),
        (("OSError", 28, "No space left on device"), StorageFull),
        (("NotImplementedError", "not here"), NotCapable),
        (("ModuleNotFoundError", "No module named 'git'"), NotFound),
        (("ValueError", "wrong"), StackproofError),
        (("KeyError", "gone"), StackproofError),
        (("UnicodeDecodeError", "utf-8", b"x", 0, 1, "why"), StackproofError),
        (("exit",), StackproofError),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else value.__name__,
)
def test_errors_of_python_are_mapped_to_the_nearest_of_ours(make: Make, raised: tuple[Any, ...], kind: type) -> None:
    adapter = make()
    with pytest.raises(StackproofError) as caught:
        adapter.lookup("fail", raised)
    assert type(caught.value) is kind
    assert str(raised[-1]) in str(caught.value) or raised == ("exit",)
    assert adapter.lookup("echo", 1) == 1


# Callbacks


def test_the_very_error_that_a_callback_raised_comes_back(make: Make) -> None:
    class Mine(ValueError):
        pass

    error = Mine("größe", object())

    def fail() -> None:
        raise error

    with pytest.raises(Mine) as caught:
        make("orchestration").run("p", [Task("t", fail)])
    assert caught.value is error


def test_a_callback_sees_objects_of_the_other_side_and_calls_them(make: Make) -> None:
    def objective(trial: Trial) -> Any:
        return trial.number, dict(trial.params), trial.report(1, 2.0), trial.report(1, 4.0)

    adapter = make("tuning")
    search: dict[str, Any] = {"direction": Direction.MINIMIZE, "trials": 1, "seed": 1}
    assert adapter.optimize("s", {}, objective, **search) == (7, {"x": 0.5}, False, True)

    def prune(trial: Trial) -> float:
        raise PrunedTrial("enough")

    with pytest.raises(PrunedTrial, match="enough"):
        adapter.optimize("s", {}, prune, **search)


def assert_callbacks_stay_with_their_call(adapter: Any, callbacks: int) -> None:
    colour = contextvars.ContextVar("colour", default="none")
    seen: list[tuple[int, str]] = []
    colour.set("red")
    adapter.run("p", [Task("t", lambda: seen.append((threading.get_ident(), colour.get())))] * callbacks)
    assert seen == [(threading.get_ident(), "red")] * callbacks


def test_callbacks_run_in_the_thread_and_context_of_the_call(make: Make) -> None:
    assert_callbacks_stay_with_their_call(make("orchestration"), 20)


@pytest.mark.parametrize("slow", ["CALL", "RETURN"])
def test_a_callback_that_comes_before_its_thread_is_back_from_sending_waits_for_it(
    make: Make, monkeypatch: pytest.MonkeyPatch, slow: str
) -> None:
    adapter = make("orchestration")
    adapter.run("p", [])
    peer = adapter.bridge._child.peer
    send, hand_over, next_came = peer.send, peer._hand_over, threading.Event()

    def hand_over_and_tell(export: Any, job: Any) -> None:
        hand_over(export, job)
        next_came.set()

    def send_and_stay(kind: Any, *rest: Any) -> None:
        next_came.clear()
        send(kind, *rest)
        if kind.name == slow:
            next_came.wait(timeout=1)

    monkeypatch.setattr(peer, "_hand_over", hand_over_and_tell)
    monkeypatch.setattr(peer, "send", send_and_stay)
    assert_callbacks_stay_with_their_call(adapter, 3)


def test_a_call_may_be_made_within_a_callback_of_the_same_adapter(make: Make) -> None:
    adapter = make("orchestration")

    def nested(depth: int) -> Any:
        return depth if depth == 0 else adapter.run("p", [Task("t", lambda: nested(depth - 1))])

    assert nested(20) == [[[[[[[[[[[[[[[[[[[[0]]]]]]]]]]]]]]]]]]]]


def test_what_was_passed_to_a_call_is_let_go_after_it(make: Make) -> None:
    adapter = make("orchestration")
    for _ in range(50):
        adapter.run("p", [Task("t", lambda: None)] * 10)
    adapter.run("p", [])
    wait_until(lambda: len(adapter.bridge._child.peer.exports) < 20)


# Streams


def test_a_generator_is_read_as_it_is_needed_and_closed_when_left(make: Make) -> None:
    items = make().materialized()
    assert [next(items) for _ in range(100)] == list(range(100))
    items.close()
    assert list(items)[:1] in ([], [100])
    assert list(make().materialized()) == list(range(1000))


FRAME = pl.DataFrame(
    {
        "i": [1, None, 3],
        "f": [math.nan, math.inf, None],
        "s": ["größe", "", None],
        "b": [True, None, False],
        "at": pl.Series([datetime(2026, 1, 1, tzinfo=UTC), None, None], dtype=pl.Datetime("us", "UTC")),
        "l": [[1, 2], None, []],
        "c": pl.Series(["a", "b", None], dtype=pl.Categorical),
    }
)


@pytest.mark.parametrize("frame", [FRAME, FRAME.head(0), FRAME.select("i")], ids=["rows", "no rows", "one column"])
def test_tables_come_back_with_their_types_order_and_missing_values(make: Make, frame: pl.DataFrame) -> None:
    back = pl.DataFrame(make().point_in_time_join(frame, [], as_of="t"))
    assert back.equals(frame)
    assert back.schema == frame.schema


def test_a_table_of_many_pieces_keeps_its_order(make: Make) -> None:
    frame = pl.DataFrame({"n": range(9_000_000), "x": [0.5] * 9_000_000})
    back = pl.DataFrame(make().point_in_time_join(frame, [], as_of="t"))
    assert back.equals(frame)


def test_tables_deep_within_arguments_cross_too(make: Make) -> None:
    back = make().point_in_time_join(FRAME, [("a view", FRAME), ("another", FRAME)], as_of="t")
    assert pl.DataFrame(back).height == 9


def test_a_table_that_fails_while_it_is_read_fails_the_call_with_that_error(make: Make) -> None:
    error = ValueError("the source is gone")

    class Broken:
        def __arrow_c_stream__(self, requested_schema: object = None) -> object:
            raise error

    adapter = make()
    with pytest.raises(ValueError, match="the source is gone"):
        adapter.point_in_time_join(Broken(), [], as_of="t")
    assert adapter.lookup("echo", 1) == 1


@pytest.fixture(scope="session")
def pyarrow_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment that holds the adapter and pyarrow, and no Polars."""
    folder = tmp_path_factory.mktemp("pyarrow")
    python = folder / "bin" / "python"
    for arguments in (
        ["venv", "--no-project", "--python", sys.executable, str(folder)],
        ["pip", "install", "--python", str(python), "pyarrow>=20"],
    ):
        command = [uv_command(), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode != 0:
        pytest.skip(f"pyarrow cannot be installed: {done.stderr}")
    (packages,) = (folder / "lib").glob("python*/site-packages")
    (packages / "echo_adapter.py").write_text(ADAPTER)
    return python


@pytest.mark.slow
def test_tables_cross_to_and_from_an_environment_with_pyarrow_alone(pyarrow_python: Path, tmp_path: Path) -> None:
    setting = Setting(tmp_path)
    adapter = bridged("features", "echo", adapter="echo_adapter:Echo", python=pyarrow_python, setting=setting)
    rows, schema = adapter.lookup("count", {"table": FRAME, "first": False})
    assert rows == 3
    assert "at: timestamp[us, tz=UTC]" in schema
    assert "s: large_string" in schema
    given = pl.DataFrame(adapter.lookup("give", 3_000_000))
    assert given["n"].to_list() == list(range(3_000_000))
    assert given["s"][:2].to_list() == ["größe", None]
    adapter.close()


@pytest.mark.slow
def test_a_reader_that_stops_early_stops_the_sender(pyarrow_python: Path, tmp_path: Path) -> None:
    setting = Setting(tmp_path)
    adapter = bridged("features", "echo", adapter="echo_adapter:Echo", python=pyarrow_python, setting=setting)
    frame = pl.DataFrame({"n": range(40_000_000)})
    rows, _ = adapter.lookup("count", {"table": frame, "first": True})
    assert 0 < rows < 5_000_000
    wait_until(lambda: not adapter.bridge._child.peer._outgoing)
    assert adapter.lookup("count", {"table": frame, "first": False})[0] == 40_000_000
    adapter.close()


# Time


def test_a_deadline_that_passes_names_the_call_and_the_limit(make: Make) -> None:
    adapter = make()
    with pytest.raises(Unavailable, match=r"features.echo.lookup did not return in time.*0.2 s"), deadline(0.2):
        adapter.lookup("slow", 30)
    assert adapter.lookup("echo", 1) == 1


def test_the_limit_of_a_call_holds_without_a_deadline(make: Make) -> None:
    with pytest.raises(Unavailable, match=r"0.2 s"):
        make(limits=Limits(call_s=0.2)).lookup("slow", 30)


def test_a_call_that_is_given_up_is_interrupted_over_there(make: Make, tmp_path: Path) -> None:
    adapter = make()
    for _ in range(2):
        with pytest.raises(Unavailable), deadline(0.2):
            adapter.lookup("busy", 2)
    time.sleep(2.2)
    assert not (tmp_path / "not interrupted").exists()


def test_a_call_that_waits_in_the_kernel_is_interrupted_in_the_main_thread(make: Make) -> None:
    adapter = make()
    with pytest.raises(Unavailable), deadline(0.2):
        adapter.lookup("slow", 600)
    wait_until(lambda: adapter.lookup("mainly", []))


def test_ctrl_c_in_a_callback_is_raised_here(make: Make) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    adapter = make("orchestration")
    with pytest.raises(KeyboardInterrupt):
        adapter.run("p", [Task("t", interrupted)])
    assert adapter.run("p", [Task("t", lambda: 1)]) == [1]  # type: ignore[arg-type, return-value]  # any callable


def test_calls_of_many_threads_run_side_by_side(make: Make) -> None:
    adapter = make()
    found: dict[int, Any] = {}
    threads = [
        threading.Thread(target=lambda n=n: found.update({n: adapter.lookup("echo", [n, "x" * n * 1000])}))
        for n in range(32)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == {n: [n, "x" * n * 1000] for n in range(32)}


# What is said


def test_what_the_adapter_logs_reaches_the_logging_of_this_process(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        make().lookup("log", "größe")
    assert ("echo.tool", logging.WARNING, "look: größe") in caplog.record_tuples


def test_a_call_runs_in_the_main_thread_when_that_is_free(make: Make) -> None:
    adapter = make()
    assert all(adapter.lookup("mainly", []) for _ in range(100))


def test_what_is_asked_before_the_main_thread_works_waits_for_it() -> None:
    workers, ran_in = Workers("w", here=True), []

    def job() -> None:
        ran_in.append(threading.current_thread())
        workers.end()

    workers.submit(job)
    workers.work_here()
    assert ran_in == [threading.current_thread()]


def test_after_a_fork_each_process_has_a_child_of_its_own(make: Make) -> None:
    adapter = make()
    pid = adapter.bridge.pid
    read, write = os.pipe()
    forked = os.fork()
    if forked == 0:
        answer = b"failed"
        try:
            adapter.lookup("echo", 1)
            answer = b"own" if adapter.bridge.pid != pid else b"shared"
            adapter.close()
        finally:
            os.write(write, answer)
            os._exit(0)
    os.waitpid(forked, 0)
    os.close(write)
    with open(read, "rb") as told:
        assert told.read() == b"own"
    assert adapter.lookup("echo", 2) == 2
    assert adapter.bridge.pid == pid


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)
