"""Tuning with Ray Tune: it draws the trials, runs each as one of its own, and ends bad ones early.

The objective runs in this process, since it is the user's own function. Ray's process of the trial hears of each value
that it reports and hands it to Ray Tune, whose scheduler says whether the trial shall stop.
"""

import math
import queue
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, wait
from pathlib import Path
from typing import Any, ClassVar, Literal

from stackproof.adapters.installed import installed
from stackproof.adapters.option_values import check_names, choice, whole
from stackproof.adapters.tuning.outcomes import Outcome, call_objective, study_of
from stackproof.adapters.tuning.ray_tune_journal import Journal, held
from stackproof.adapters.tuning.ray_tune_library import (
    Cluster,
    Mail,
    drawn,
    last_value,
    module,
    remember,
    rule,
    searcher,
    trainable,
)
from stackproof.adapters.tuning.spaces import check_request
from stackproof.adapters.tuning.study_file import key_of
from stackproof.errors import Conflict, Unavailable
from stackproof.roles.adapter import Health, Option, Setting
from stackproof.roles.tuning import Direction, FinishedTrial, ParamValue, Space, Study, Trial, TrialStatus

BEGUN, VERDICT, COMPLETE, OVER = "begun", "verdict", "complete", "over"


class RayTuner:
    """Capabilities "search", "prune" and "resume". Trials are drawn at random from Ray Tune's own domains.

    That is what Ray Tune does by itself; its other searches are libraries of their own. Each report counts as one step,
    whatever number it has. Ray is started by the first trial, on this machine alone, and ended by `close`. Each call
    that runs trials leaves an experiment of Ray Tune below the home in `ray_results`, for `ray.tune.ExperimentAnalysis`
    to read; what a study goes on from is a journal of ours, as Ray Tune's own state is not durable trial by trial.

    Beyond what the contract says, `optimize` raises `Unavailable` when Ray does not start or ends, or while another
    process or thread runs the same study, `Corrupted` for a journal that can't be read, `StorageFailed`.
    """

    tool: ClassVar[str] = "ray-tune"
    capabilities: ClassVar[frozenset[str]] = frozenset({"search", "prune", "resume"})
    options: ClassVar[Mapping[str, Option]] = {
        "scheduler": Option("string", "what ends bad trials early", "median", ("median", "asha")),
        "prune_after_trials": Option("integer", "median: trials needed before one is ended early", 5),
        "prune_after_steps": Option("integer", "reports during which no trial is ended early", 0),
    }
    deviations: ClassVar[Mapping[str, str]] = {}

    def __init__(self, setting: Setting, *, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` gives seconds that never go back; a timeout is measured with it."""
        check_names("ray-tune", setting.options, self.options)
        self._home = setting.home
        self._clock = clock
        self._kind = choice(setting.options, self.options, "scheduler")
        self._after_trials = whole(setting.options, self.options, "prune_after_trials")
        self._after_steps = whole(setting.options, self.options, "prune_after_steps")
        self._cluster = Cluster()
        self._closed = False

    def health(self) -> Health:
        """Whether Ray is there; it is started by the first trial."""
        return installed("ray", "Ray", f"its experiments are in {self._home / 'ray_results'}")

    def close(self) -> None:
        self._closed = True
        self._cluster.end()

    def optimize(
        self,
        name: str,
        space: Space,
        objective: Callable[[Trial], float],
        *,
        direction: Direction,
        trials: int,
        seed: int,
        timeout_s: float | None = None,
        on_trial: Callable[[FinishedTrial], None] | None = None,
    ) -> Study:
        if self._closed:
            raise Conflict("This tuner was closed", allowed="making a new one")
        check_request(space, trials, timeout_s)
        deadline = math.inf if timeout_s is None else self._clock() + timeout_s
        with held(self._home, name) as journal:
            journal.open(space, direction)
            if len(journal.kept) < trials and self._clock() < deadline:
                run = _Run(self._home / "ray_results", name, space, direction, seed, journal)
                run.scheduler = rule(
                    self._kind, direction, after_trials=self._after_trials, after_steps=self._after_steps, hear=run.hear
                )
                run.until(
                    lambda: len(journal.kept) < trials and self._clock() < deadline, objective, on_trial, self._cluster
                )
            return study_of(name, direction, [kept.trial for kept in journal.kept])


class _Run:
    """One experiment of Ray Tune, in which the trials of one call run one after the other."""

    scheduler: Any
    _running: Future[None]

    def __init__(
        self, folder: Path, name: str, space: Space, direction: Direction, seed: int, journal: Journal
    ) -> None:
        self._folder = folder
        self._name = name
        self._space = space
        self._direction = direction
        self._seed = seed
        self._journal = journal
        self._heard: queue.SimpleQueue[tuple[str, str, bool]] = queue.SimpleQueue()
        self._wanted = threading.Event()
        self._ended = threading.Event()
        self._mail = Mail()
        self._numbers: dict[str, int] = {}
        self._next: dict[str, ParamValue] = {}
        self._trial = ""
        self._is_lost = False

    def until(
        self,
        goes_on: Callable[[], bool],
        objective: Callable[[Trial], float],
        on_trial: Callable[[FinishedTrial], None] | None,
        cluster: Cluster,
    ) -> None:
        """Run trials while `goes_on`, and end the experiment in whatever way this ends."""
        remember(self.scheduler, self._journal.kept)
        self._heard = queue.SimpleQueue()  # without the verdicts on what is past
        self._running = cluster.submit(self._experiment)
        self._running.add_done_callback(lambda done: self._heard.put(("", OVER, True)))
        try:
            while goes_on():
                finished, reports = self._run_trial(objective)
                self._journal.add(finished, reports)
                if on_trial is not None:
                    on_trial(finished)
        finally:
            self._ended.set()
            wait([self._running])
            self._mail.close()

    def hear(self, trial: str, shall_stop: bool) -> None:
        """Ray Tune's scheduler has decided on a report."""
        self._heard.put((trial, VERDICT, shall_stop))

    def ask(self, trial: str, value: float) -> bool:
        """Report a value of a trial; whether Ray Tune stops it."""
        self._mail.put(trial, "reported", value)
        return self._wait(VERDICT, trial)

    def _run_trial(self, objective: Callable[[Trial], float]) -> tuple[FinishedTrial, list[float]]:
        number = len(self._journal.kept)
        params = drawn(self._space, self._seed, number)
        self._next = dict(params)
        self._wanted.set()
        self._wait(BEGUN)
        running = _RunningTrial(number, dict(params), self._trial, self)
        try:
            outcome = call_objective(objective, running, lambda: running.told_to_stop)
            self._check_alive()
            if not running.told_to_stop:
                self._mail.put(self._trial, *_last_word(outcome, running.reports))
            self._wait(COMPLETE, self._trial)
        except BaseException:
            self._mail.put(self._trial, "failed", "the study was given up")
            raise
        return FinishedTrial(number, params, outcome.value, outcome.status, outcome.error), running.reports

    def _check_alive(self) -> None:
        if self._is_lost:
            failed = self._running.exception() if self._running.done() else None
            said = f"{type(failed).__name__}: {failed}"[:500] if failed else "its process of the trial ended"
            raise Unavailable(f"Ray ended in the middle of the study {self._name!r}", got=said) from failed

    def _experiment(self) -> None:
        """Runs in Ray's thread until `_suggest` says that it is over."""
        name, first = re.sub(r"[^\w.-]+", "_", self._name, flags=re.ASCII)[:40], len(self._journal.kept)
        numbers = self._numbers  # Ray writes these two functions to its files
        module("ray.tune").run(
            trainable(self._mail.address),
            name=f"{name}-{key_of(self._name)[:8]}-{first:05d}",
            storage_path=str(self._folder),
            search_alg=searcher(self._suggest, lambda trial, failed: self._heard.put((trial, COMPLETE, failed))),
            scheduler=self.scheduler,
            num_samples=-1,
            resources_per_trial={"cpu": 1},
            trial_name_creator=lambda trial: f"trial_{numbers[trial.trial_id]:05d}",
            trial_dirname_creator=lambda trial: f"trial_{numbers[trial.trial_id]:05d}_{trial.trial_id}",
            reuse_actors=True,
            raise_on_failed_trial=False,
            verbose=0,
        )

    def _suggest(self, trial: str) -> Mapping[str, ParamValue] | Literal[False] | None:
        """None: nothing yet. False: nothing any more."""
        if self._ended.is_set():
            return False
        if not self._wanted.is_set():
            return None
        self._wanted.clear()
        self._numbers[trial] = len(self._journal.kept)
        self._trial = trial
        self._heard.put((trial, BEGUN, True))
        return self._next

    def _wait(self, kind: str, trial: str | None = None) -> bool:
        """What was heard of this kind. Raises `Unavailable` when the trial's process or the experiment has ended."""
        while True:
            try:
                about, heard, told = self._heard.get(timeout=1)  # so that an interrupt is noticed
            except queue.Empty:
                continue
            if heard == OVER or (heard == COMPLETE and kind == VERDICT and about == trial):
                self._is_lost = True
            self._check_alive()
            if heard == kind and trial in (None, about):
                return told


class _RunningTrial:
    """What an objective is given."""

    def __init__(self, number: int, params: Mapping[str, ParamValue], trial: str, run: _Run) -> None:
        self.number = number
        self.params = params
        self.told_to_stop = False
        self.reports: list[float] = []
        self._trial = trial
        self._run = run

    def report(self, step: int, value: float) -> bool:
        if not self.told_to_stop:
            self.reports.append(float(value))
            self.told_to_stop = self._run.ask(self._trial, float(value))
        return self.told_to_stop


def _last_word(outcome: Outcome, reports: Sequence[float]) -> tuple[str, object]:
    """How Ray Tune is told of a trial's end; it needs a value for each that did not fail."""
    if outcome.status is TrialStatus.FAILED:
        return "failed", outcome.error
    return "ended", last_value(outcome.value, reports)
