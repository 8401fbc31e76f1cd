"""What the bridge costs: per call, and per gigabyte of tables, beside the same adapter called directly.

    python -m benchmarks.bridge [--quick] [--python PYTHON]

The sides alternate within each round, so that other work on the machine meets both. Calls: microseconds at the median
and the 99th percentile over all rounds; *empty* has no argument and returns True, *typical* logs ten points of a run
and reads nothing, *callback* calls a function of this process once. *socket* is the shortest way there is, 50 bytes to
another process and back: where idle processors fall asleep it takes many times what it takes where they don't.
Tables: gigabytes a second, median over the rounds, of numbers, texts and both, to the adapter (which counts the rows of
what it got), and from it. The direct side is given the same table in this process, where nothing is copied; *copied*
is what copying as many bytes costs here at that moment. PYTHON: an interpreter of 3.11 or newer with pyarrow or Polars;
without it the child runs this interpreter.
"""

import argparse
import gc
import multiprocessing
import os
import site
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import polars as pl

from stackproof.envs.bridge.bridging import bridged
from stackproof.roles.adapter import Setting
from stackproof.roles.tracking import Metric

ADAPTER = '''
from importlib import import_module
from stackproof.roles.adapter import Health


class Nothing:
    """Does as little as the contracts allow."""

    tool = "nothing"
    capabilities = frozenset({"write-runs"})
    options = {}

    def __init__(self, setting):
        self._kept = None

    def health(self):
        return Health(True, "1", "")

    def close(self):
        pass

    def flush(self):
        return True

    def log_metrics(self, run_id, metrics):
        return None

    def optimize(self, name, space, objective, **rest):
        return objective(None)

    def position(self, name):
        return 0

    def point_in_time_join(self, rows, views, *, as_of):
        if as_of == "keep":
            self._kept = read(rows)
        if as_of == "give":
            return self._kept
        return read(rows).slice(0, 1) if as_of == "take" else self._kept.slice(0, 1)


def read(table):
    try:
        arrow = import_module("pyarrow")
    except ModuleNotFoundError:
        return import_module("polars").DataFrame(table)
    return arrow.RecordBatchReader.from_stream(table).read_all()
'''


@contextmanager
def environment(python: Path | None) -> Iterator[Path]:
    """An interpreter that finds the adapter above, and the packages of `python` or else of this one."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([python or sys.executable, "-m", "venv", "--without-pip", folder], check=True)
        own = subprocess.run(
            [python or sys.executable, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
            check=True, capture_output=True, text=True,
        ).stdout.strip()  # fmt: skip
        (packages,) = (Path(folder) / "lib").glob("python*/site-packages")
        (packages / "nothing_adapter.py").write_text(ADAPTER)
        (packages / "beside.pth").write_text(own + "\n")
        site.addsitedir(str(packages))
        yield Path(folder) / "bin" / "python"


def times(call: Callable[[], object], count: int) -> list[float]:
    taken = []
    for _ in range(count):
        start = time.perf_counter()
        call()
        taken.append((time.perf_counter() - start) * 1e6)
    return taken


def echo(connection: Connection) -> None:
    """What the other process of `socket` does."""
    while True:
        connection.send_bytes(connection.recv_bytes())


@contextmanager
def there_and_back() -> Iterator[Callable[[], object]]:
    """Fifty bytes to a process that does nothing else, and back."""
    here, there = multiprocessing.Pipe()
    other = multiprocessing.get_context("spawn").Process(target=echo, args=(there,))
    other.start()

    def trip() -> object:
        here.send_bytes(bytes(50))
        return here.recv_bytes()

    try:
        trip()
        yield trip
    finally:
        other.kill()
        other.join()


def told(name: str, sides: dict[str, list[float]]) -> None:
    cells = [f"{side} {median(taken):8.1f} {quantiles(taken, n=100)[98]:8.1f}" for side, taken in sides.items()]
    print(f"{name:28} {'   '.join(cells)}")


def calls(make: Callable[[str], Any], direct: Any, trip: Callable[[], object], rounds: int, count: int) -> None:
    print("microseconds a call, median and 99th percentile")
    now = datetime.now(UTC)
    points = [Metric(f"m{n}", n / 3, n, now) for n in range(10)]
    search = {"direction": "minimize", "trials": 1, "seed": 1}
    cases: dict[str, tuple[str, Callable[[Any], object]]] = {
        "empty": ("tracking", lambda adapter: adapter.flush()),
        "typical": ("tracking", lambda adapter: adapter.log_metrics("run:1", points)),
        "callback": ("tuning", lambda adapter: adapter.optimize("s", {}, lambda trial: 1.0, **search)),
    }
    for name, (role, call) in cases.items():
        adapter = make(role)
        sides: dict[str, list[float]] = {"socket": [], "direct": [], "bridged": []}
        for _ in range(rounds):
            sides["socket"] += times(trip, count)
            sides["direct"] += times(lambda: call(direct), count)  # noqa: B023  # called at once
            sides["bridged"] += times(lambda: call(adapter), count)  # noqa: B023  # called at once
        told(name, sides)
        adapter.close()


def copied(size: int) -> float:
    """Gigabytes a second of copying as many bytes within this process, to memory that is new to it."""
    source = bytes(size)
    return size / times(lambda: bytearray(source), 1)[0] / 1e3


def tables(make: Callable[[str], Any], direct: Any, rounds: int, megabytes: int) -> None:
    print(f"\ngigabytes a second, median; tables of {megabytes} MB")
    rows = megabytes * 1_000_000 // 8 // 10
    numbers = pl.DataFrame({f"x{n}": pl.Series(range(rows), dtype=pl.Int64) * (n + 1) for n in range(10)})
    texts = pl.select((pl.lit("a text of the row ") + pl.int_range(rows * 3).cast(pl.String)).alias("text"))
    mixed = numbers.head(rows // 2).with_columns(pl.lit("JFK").alias("origin"), pl.lit("N12345").alias("tail"))
    adapter = make("features")
    for name, table in {"numbers": numbers, "texts": texts, "both": mixed}.items():
        size = table.estimated_size() / 1e9
        for what, call in (("to the adapter", "take"), ("from the adapter", "give")):
            speeds: dict[str, list[float]] = {"copied": [], "direct": [], "bridged": []}
            for _ in range(rounds):
                speeds["copied"].append(copied(table.estimated_size()))
                for side, object_ in (("direct", direct), ("bridged", adapter)):
                    object_.point_in_time_join(table, [], as_of="keep")
                    gc.collect()
                    given = table if call == "take" else table.head(1)
                    taken = times(lambda: object_.point_in_time_join(given, [], as_of=call), 1)  # noqa: B023  # at once
                    speeds[side].append(size / taken[0] * 1e6)
            cells = [f"{side} {median(found):8.2f}" for side, found in speeds.items()]
            print(f"{name + ' ' + what:28} {'   '.join(cells)}")
    adapter.close()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--python", type=Path)
    given = parser.parse_args()
    rounds, count, megabytes = (3, 200, 40) if given.quick else (7, 1000, 400)
    with environment(given.python) as python, tempfile.TemporaryDirectory() as home:
        from nothing_adapter import Nothing  # type: ignore[import-not-found]  # written just above

        def make(role: str) -> Any:
            setting = Setting(Path(home))
            return bridged(role, "nothing", adapter="nothing_adapter:Nothing", python=python, setting=setting)

        direct = Nothing(Setting(Path(home)))
        print(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
        with there_and_back() as trip:
            calls(make, direct, trip, rounds, count)
        tables(make, direct, rounds, megabytes)


if __name__ == "__main__":
    main()
