"""How long a decision takes: from the shell, in process, and with full sensitivity, on one core.

    python -m benchmarks.deciding [--quick]

The teams are those of tests/scenarios/teams_*.yaml; with --quick every third of them. Each figure is the median of
five rounds for a team (three with --quick); shown are the median over the teams and the slowest one, as wall time,
and the median of the processor time, which other work on the machine disturbs less. The shell figure is that of
`stackproof decide --answers FILE`, interpreter start included, as a user meets it: with sensitivity, and without.
All of it runs on one core: the process and its children are bound to it.
"""

import argparse
import datetime
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import tomli_w
import yaml  # type: ignore[import-untyped]  # its stubs are a package that the benchmark doesn't need

from stackproof.decide import Answers, decide, parse_answers
from stackproof.facts import load_facts

AS_OF = datetime.date(2026, 11, 21)
SCENARIOS = Path(__file__).parents[1] / "tests" / "scenarios"
SHELL_TEAMS = 5
"""An interpreter is started for each of these only: its start weighs more than the team."""

Team = tuple[str, dict[str, Any]]


def teams() -> list[Team]:
    files = sorted(SCENARIOS.glob("teams_*.yaml"))
    return [(one["name"], one["answers"]) for file in files for one in yaml.safe_load(file.read_text("utf-8"))]


@dataclass(frozen=True, slots=True)
class Taken:
    """Seconds by the clock on the wall and by that of the processor, of this process and its children."""

    wall: float
    processor: float


def _processor_seconds() -> float:
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def seconds(run: Callable[[], object], rounds: int) -> Taken:
    """The medians of some rounds."""
    walls, processor = [], _processor_seconds()
    for _ in range(rounds):
        start = time.perf_counter()
        run()
        walls.append(time.perf_counter() - start)
    return Taken(median(walls), (_processor_seconds() - processor) / rounds)


def in_process(answers: Sequence[Answers], *, sensitivity: bool, rounds: int) -> list[Taken]:
    facts = load_facts()

    def deciding(one: Answers) -> Callable[[], object]:
        return lambda: decide(one, facts, as_of=AS_OF, sensitivity=sensitivity)

    return [seconds(deciding(one), rounds) for one in answers]


def from_the_shell(chosen: Sequence[Team], *options: str, rounds: int) -> list[Taken]:
    with tempfile.TemporaryDirectory() as home:
        taken = []
        for place, (_, document) in enumerate(chosen):
            file = Path(home) / f"{place}.toml"
            file.write_text(tomli_w.dumps(document), "utf-8")
            command = [sys.executable, "-m", "stackproof", "decide", "--answers", str(file), *options]
            taken.append(seconds(partial(_run, command), rounds))
        return taken


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 3):
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}")


def show(what: str, target: str, names: Sequence[str], taken: Sequence[Taken]) -> None:
    slowest = max(range(len(taken)), key=lambda place: taken[place].wall)
    middle = median(one.wall for one in taken)
    processor = median(one.processor for one in taken)
    figures = "".join(f"{figure * 1e3:10.1f} ms" for figure in (middle, taken[slowest].wall, processor))
    print(f"{what:32}{target:>10}{figures}   {names[slowest]}")


def main(every: int, rounds: int) -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    chosen = teams()[::every]
    names = [name for name, _ in chosen]
    facts = load_facts()
    answers = [parse_answers(document, facts) for _, document in chosen]
    few = chosen[:: max(1, len(chosen) // SHELL_TEAMS)]
    print(f"{len(chosen)} teams ({len(few)} from the shell), median of {rounds} rounds each, one core\n")
    print(f"{'':32}{'target':>10}{'median':>13}{'slowest':>13}{'processor':>13}   slowest team")
    few_names = [name for name, _ in few]
    show("shell, with sensitivity", "< 800 ms", few_names, from_the_shell(few, rounds=rounds))
    plain = from_the_shell(few, "--no-sensitivity", rounds=rounds)
    show("shell, without sensitivity", "", few_names, plain)
    show("reading the facts", "", ["all"], [seconds(load_facts, rounds)])
    show("in process, without sensitivity", "< 50 ms", names, in_process(answers, sensitivity=False, rounds=rounds))
    show("in process, with sensitivity", "< 1000 ms", names, in_process(answers, sensitivity=True, rounds=rounds))


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--quick", action="store_true", help="fewer teams and rounds")
    main(*((3, 3) if arguments.parse_args().quick else (1, 5)))
