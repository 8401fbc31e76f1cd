"""What a quickstart found, step by step."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stackproof.roles.monitoring import Finding, Performance
from stackproof.usecases.data import DatasetState
from stackproof.usecases.drills import Drill, Replay
from stackproof.usecases.ready import Answer
from stackproof.usecases.retrain import Retrained


@dataclass(frozen=True, slots=True)
class StepDone:
    """One step of the quickstart. `line` says what it found; `details` are shown below it."""

    number: int
    name: str
    duration_s: float
    line: str
    details: tuple[str, ...] = ()


@dataclass
class Story:
    """What the quickstart found, for its report."""

    folder: Path
    steps: list[StepDone] = field(default_factory=list)
    decision: Any = None
    differences: list[tuple[str, str, str, str]] = field(default_factory=list)
    data: list[DatasetState] = field(default_factory=list)
    run_ids: list[str] = field(default_factory=list)
    control: Drill | None = None
    change: Drill | None = None
    replay: Replay | None = None
    performance: dict[str, Performance] = field(default_factory=dict)
    drifted: list[Finding] = field(default_factory=list)
    retrained: Retrained | None = None
    prediction: str = ""
    answers: list[Answer] = field(default_factory=list)
    report: Path | None = None


@dataclass
class Told:
    """What a step says of itself, to be filled while it goes on."""

    line: str = ""
    details: tuple[str, ...] = ()


class Teller:
    """Numbers and times the steps."""

    def __init__(self, story: Story, on_step: Callable[[StepDone], None]) -> None:
        self._story = story
        self._on_step = on_step

    @contextmanager
    def step(self, name: str) -> Iterator[Told]:
        started, told = time.perf_counter(), Told()
        yield told
        done = StepDone(len(self._story.steps) + 1, name, time.perf_counter() - started, told.line, told.details)
        self._story.steps.append(done)
        self._on_step(done)
