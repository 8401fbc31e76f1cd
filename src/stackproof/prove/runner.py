"""Runs a scenario on candidates that take turns."""

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from stackproof.errors import StackproofError
from stackproof.prove.candidate import Candidate, Running
from stackproof.prove.measuring import MemoryWatch, disk_bytes, load
from stackproof.prove.record import Record
from stackproof.prove.scenario import Scenario
from stackproof.roles.proof import Figure

Told = Callable[[str], None]
MEGABYTE = 1e6


@dataclass(frozen=True, slots=True)
class Plan:
    """`repeats`: rounds that count, at least 1. `warm_up`: rounds before them. `folder`: for all that is written."""

    folder: Path
    repeats: int = 3
    warm_up: int = 1
    crash: bool = True


@dataclass(slots=True)
class Proven:
    """What came out for one candidate. `version`: what the tool says of itself, "" when it could not be asked."""

    candidate: Candidate
    at: datetime
    record: Record = field(default_factory=Record)
    capabilities: frozenset[str] = frozenset()
    version: str = ""

    def figures(self) -> tuple[Figure, ...]:
        return (*self.candidate.measured, *self.record.figures())


def run(
    scenario: Scenario, candidates: Sequence[Candidate], plan: Plan, told: Told = lambda line: None
) -> list[Proven]:
    """The candidates in the order given. In each round they take turns, in the next one in the reverse order.

    What goes wrong in a candidate is a fault of that candidate; it then takes part no further.
    """
    proven = [Proven(candidate, datetime.now(UTC)) for candidate in candidates]
    before = load()
    for one in proven:
        one.record.figure("load_before", "processes", before)
    rounds = plan.warm_up + plan.repeats
    for number in range(rounds):
        for one in proven if number % 2 == 0 else reversed(proven):
            if one.record.correct:
                told(f"{one.candidate.tool}: {_named(number, plan)}")
                one.record.counted = number >= plan.warm_up
                _guarded(one, lambda one=one, number=number: _round(scenario, one, plan.folder, number))  # type: ignore[misc]  # bound at once
    for one in proven:
        one.record.counted = True
        if plan.crash and one.record.correct:
            told(f"{one.candidate.tool}: killed in the middle")
            _guarded(one, lambda one=one: _crash(scenario, one, plan.folder))  # type: ignore[misc]  # bound at once
    return proven


def _named(number: int, plan: Plan) -> str:
    if number < plan.warm_up:
        return "warming up"
    return f"round {number - plan.warm_up + 1} of {plan.repeats}"


def _guarded(one: Proven, work: Callable[[], None]) -> None:
    try:
        work()
    except StackproofError as error:
        one.record.check(False, f"it failed: {' '.join(error.what.split())}{_got(error)}")


def _got(error: StackproofError) -> str:
    said = " ".join(str(error.got or "").split())
    return f" ({said[:300]})" if said else ""


def _round(scenario: Scenario, one: Proven, folder: Path, number: int) -> None:
    candidate, record = one.candidate, one.record
    work, home = _made(folder / f"{candidate.tool}-{number}")
    if candidate.import_s is not None:
        record.figure("import", "s", candidate.import_s())
    started = time.perf_counter()
    running = candidate.open(home)
    try:
        one.version = running.adapter.health().version or one.version
        record.figure("start_up", "s", time.perf_counter() - started)
        one.capabilities = running.adapter.capabilities
        if not record.check(
            scenario.needs <= one.capabilities, f"it lacks {', '.join(sorted(scenario.needs - one.capabilities))}"
        ):
            return
        with MemoryWatch(running.pid) as memory:
            scenario.round(running, work, record)
        if memory.peak_bytes:
            record.figure("peak_memory", "MB", memory.peak_bytes / MEGABYTE)
        record.figure("disk", "MB", disk_bytes(home) / MEGABYTE)
        record.figure("load", "processes", load())
    finally:
        running.close()
        shutil.rmtree(work.parent, ignore_errors=True)


def _crash(scenario: Scenario, one: Proven, folder: Path) -> None:
    work, home = _made(folder / f"{one.candidate.tool}-crash")
    opened: list[Running] = []

    def open_(where: Path) -> Running:
        opened.append(one.candidate.open(where))
        return opened[-1]

    try:
        scenario.crash(open_, home, work, one.record)
    finally:
        for running in opened:
            running.close()
        shutil.rmtree(work.parent, ignore_errors=True)


def _made(folder: Path) -> tuple[Path, Path]:
    """A folder for the scenario and one for the candidate, both new and empty."""
    shutil.rmtree(folder, ignore_errors=True)
    work, home = folder / "work", folder / "home"
    work.mkdir(parents=True)
    home.mkdir()
    return work, home
