"""Point-in-time joins and online lookups beside raw Polars and raw NumPy, both sides in one command.

    python -m benchmarks.point_in_time_join [--quick]

The join: entity rows × 3 views × 10 features, each view with as many rows of its own. Raw Polars sorts
what it has to and runs `join_asof` once for each view; unlike ours it checks nothing, leaves ties to
chance and returns the rows in the order of their instants. Each run is a process of its own, the sides
take turns, figures are medians of three rounds, and the peak memory includes the
tables themselves (`before` is the peak before the join).
The lookups: raw NumPy is a dict of the entities, one `searchsorted` and a row of a matrix, without any
check for a newer materialization.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from stackproof.adapters.features.embedded import EmbeddedFeatures
from stackproof.roles.adapter import Setting
from stackproof.roles.features import Feature, FeatureView, LookupRequest

ROUNDS = 3
FULL, QUICK = 1_000_000, 100_000
VIEWS, FEATURES = 3, 10
ROWS_PER_ENTITY = 20
YEAR_US = 365 * 86_400 * 1_000_000
START = np.datetime64("2024-01-01", "us")
CALLS = {1: 5_000, 100: 500}
MODULE = "benchmarks.point_in_time_join"


def random_instants(draw: np.random.Generator, rows: int) -> pl.Series:
    at = START + draw.integers(0, YEAR_US, rows).astype("timedelta64[us]")
    return pl.Series(at).dt.replace_time_zone("UTC")


def made_view(number: int, rows: int) -> tuple[FeatureView, pl.DataFrame]:
    draw = np.random.default_rng(number)
    names = [f"v{number}_f{n}" for n in range(FEATURES)]
    source = pl.DataFrame(
        {
            "entity": draw.integers(0, rows // ROWS_PER_ENTITY, rows),
            "known_at": random_instants(draw, rows),
            **{name: draw.normal(size=rows) for name in names},
        }
    ).unique(["entity", "known_at"], keep="any", maintain_order=True)
    features = tuple(Feature(name, name) for name in names)
    return FeatureView(f"view{number}", f"source{number}", ("entity",), "known_at", features), source


def made_rows(rows: int) -> pl.DataFrame:
    draw = np.random.default_rng(99)
    entity = draw.integers(0, rows // ROWS_PER_ENTITY, rows)
    return pl.DataFrame({"number": np.arange(rows), "entity": entity, "as_of": random_instants(draw, rows)})


def join_ours(rows: pl.DataFrame, views: Sequence[tuple[FeatureView, pl.DataFrame]]) -> pl.DataFrame:
    with tempfile.TemporaryDirectory() as home:
        return EmbeddedFeatures(Setting(home=Path(home))).point_in_time_join(rows, views, as_of="as_of")


def join_raw(rows: pl.DataFrame, views: Sequence[tuple[FeatureView, pl.DataFrame]]) -> pl.DataFrame:
    joined = rows.sort("as_of")
    for _, source in views:
        joined = joined.join_asof(
            source.sort("known_at"),
            left_on="as_of",
            right_on="known_at",
            by="entity",
            strategy="backward",
            check_sortedness=False,
            coalesce=True,
        ).drop("known_at", strict=False)
    return joined


SIDES: dict[str, Callable[[pl.DataFrame, Sequence[tuple[FeatureView, pl.DataFrame]]], pl.DataFrame]] = {
    "ours": join_ours,
    "Polars": join_raw,
}


def measure_side(side: str, size: int) -> None:
    """In a process of its own: the seconds, the peak and a digest of the values, as JSON."""
    rows, views = made_rows(size), [made_view(number, size) for number in range(VIEWS)]
    before = peak_mb()
    began, began_cpu = time.perf_counter(), time.process_time()
    joined = SIDES[side](rows, views)
    seconds, cpu = time.perf_counter() - began, time.process_time() - began_cpu
    peak = peak_mb()
    ordered = joined.sort("number").select("number", *sorted(c for c in joined.columns if c.startswith("v")))
    digest = int(ordered.hash_rows(seed=1).cast(pl.UInt64).implode().hash(seed=2)[0])
    figures = {"seconds": seconds, "cpu_s": cpu, "peak_mb": peak, "tables_mb": before}
    print(json.dumps(figures | {"rows": joined.height, "digest": digest}))


def peak_mb() -> float:
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kilobytes / (1024 if sys.platform != "darwin" else 1024 * 1024)


def measured(side: str, size: int) -> dict[str, Any]:
    command = [sys.executable, "-m", MODULE, "--side", side, "--rows", str(size)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def compare_joins(size: int) -> bool:
    rounds = [{side: measured(side, size) for side in SIDES} for _ in range(ROUNDS)]
    print(f"Point-in-time join: {size:,} entity rows × {VIEWS} views × {FEATURES} features, {size:,} rows a view")
    print(f"  {'':10}{'seconds':>10}{'CPU s':>8}{'peak MB':>10}{'before':>8}{'rows back':>12}")
    for side in SIDES:
        names = ("seconds", "cpu_s", "peak_mb", "tables_mb")
        seconds, cpu, peak, tables = (statistics.median(one[side][name] for one in rounds) for name in names)
        back = rounds[0][side]["rows"]
        print(f"  {side:10}{seconds:>10.2f}{cpu:>8.2f}{peak:>10,.0f}{tables:>8,.0f}{back:>12,}")
    equal = len({(one[side]["digest"], one[side]["rows"]) for one in rounds for side in SIDES}) == 1
    print(f"  values equal: {'yes' if equal else 'NO'}")
    return equal


class RawIndex:
    """A dict of the entities over sorted arrays."""

    def __init__(self, source: pl.DataFrame) -> None:
        ordered = source.sort("entity", "known_at")
        self._at = ordered.get_column("known_at").dt.epoch("us").to_numpy()
        self._values = ordered.select(pl.exclude("entity", "known_at")).to_numpy()
        counts = ordered.group_by("entity", maintain_order=True).len()
        ends = np.cumsum(counts.get_column("len").to_numpy())
        starts = ends - counts.get_column("len").to_numpy()
        spans = zip(starts.tolist(), ends.tolist(), strict=True)
        self._spans = dict(zip(counts.get_column("entity").to_list(), spans, strict=True))

    def lookup(self, entities: Sequence[int], at: int) -> list[list[float] | None]:
        found: list[list[float] | None] = []
        for entity in entities:
            start, end = self._spans.get(entity, (0, 0))
            row = start + int(np.searchsorted(self._at[start:end], at, side="right")) - 1
            found.append(self._values[row].tolist() if row >= start else None)
        return found


def timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1e6


def compare_lookups(size: int) -> bool:
    view, source = made_view(0, size)
    raw = RawIndex(source)
    with tempfile.TemporaryDirectory() as home:
        features = EmbeddedFeatures(Setting(home=Path(home)))
        wrote = timed(lambda: features.materialize(view, source, version="1")) / 1e6
        loaded = timed(lambda: features.lookup(view.name, [LookupRequest({"entity": 0})])) / 1e6
        print(f"\nOnline lookups of {FEATURES} features in a view of {size:,} rows, microseconds")
        print(f"  materialized in {wrote:.2f} s, loaded by the first lookup in {loaded:.2f} s")
        print(f"  {'':10}{'entities':>10}{'p50':>10}{'p99':>10}")
        rounds = [_lookup_round(features, raw, source, entities, calls) for entities, calls in CALLS.items()]
        features.close()
    equal = all(rounds)
    print(f"  values equal: {'yes' if equal else 'NO'}")
    return equal


def _lookup_round(features: EmbeddedFeatures, raw: RawIndex, source: pl.DataFrame, entities: int, calls: int) -> bool:
    draw = np.random.default_rng(7)
    as_of = datetime(2024, 7, 1, tzinfo=UTC)
    at = int(as_of.timestamp()) * 1_000_000
    highest = source.height // ROWS_PER_ENTITY + 10
    equal = True
    micros: dict[str, list[float]] = {"ours": [], "NumPy": []}
    for _ in range(calls):
        wanted = draw.integers(0, highest, entities).tolist()
        requests = [LookupRequest({"entity": entity}, as_of) for entity in wanted]
        micros["ours"].append(timed(lambda: features.lookup("view0", requests)))  # noqa: B023  # called at once
        micros["NumPy"].append(timed(lambda: raw.lookup(wanted, at)))  # noqa: B023  # called at once
        ours = [list(row.values.values()) for row in features.lookup("view0", requests)]
        theirs = [values or [None] * FEATURES for values in raw.lookup(wanted, at)]
        equal = equal and ours == theirs
    for side, found in micros.items():
        p50, p99 = np.percentile(found, [50, 99])
        print(f"  {side:10}{entities:>10}{p50:>10.1f}{p99:>10.1f}")
    return equal


def main() -> int:
    parser = argparse.ArgumentParser(description="Point-in-time joins beside raw Polars.")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK:,} rows instead of {FULL:,}")
    parser.add_argument("--side", choices=sorted(SIDES), help=argparse.SUPPRESS)
    parser.add_argument("--rows", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side is not None:
        measure_side(arguments.side, arguments.rows)
        return 0
    size = QUICK if arguments.quick else FULL
    joins_equal = compare_joins(size)
    lookups_equal = compare_lookups(size)
    return 0 if joins_equal and lookups_equal else 1


if __name__ == "__main__":
    sys.exit(main())
