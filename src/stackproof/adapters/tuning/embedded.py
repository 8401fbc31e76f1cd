"""Tuning with Optuna: a seeded TPE sampler, a median pruner, and one journal file per study.

A study is resumed exactly: the sampler is seeded anew for each trial from the seed and the trial's
number, and a trial that its process did not finish is run again under the same number. A study that
was killed and resumed therefore has the trials of one that ran through.
"""

import hashlib
import math
import os
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, TrialState

from stackproof.adapters.tuning.outcomes import Outcome, call_objective, study_of
from stackproof.adapters.tuning.spaces import check_request
from stackproof.adapters.tuning.study_file import check_same, described, file_of, held, storage_errors, unreadable
from stackproof.roles.adapter import Health, Option, Setting
from stackproof.roles.tuning import (
    Choice,
    Direction,
    FinishedTrial,
    FloatRange,
    IntRange,
    ParamValue,
    Space,
    Study,
    Trial,
    TrialStatus,
)

ERROR = "error"
SPACE = "space"
STATES = {
    TrialStatus.COMPLETE: TrialState.COMPLETE,
    TrialStatus.PRUNED: TrialState.PRUNED,
    TrialStatus.FAILED: TrialState.FAIL,
}
STATUSES = {state: status for status, state in STATES.items()}


class OptunaTuner:
    """Capabilities "search", "prune" and "resume". One process at a time runs a study.

    `on_trial` hears of the trials that this call runs, in their order, each when it is durable; not
    of those that an earlier call ran. A timeout ends a study between two trials. Beyond what the
    contract says, `optimize` raises `Unavailable` while another process or thread runs the same
    study, `Corrupted` for a journal that cannot be read, `StorageFailed` for one that cannot be written.
    """

    tool: ClassVar[str] = "embedded"
    capabilities: ClassVar[frozenset[str]] = frozenset({"search", "prune", "resume"})
    options: ClassVar[Mapping[str, Option]] = {
        "startup_trials": Option(
            "integer", "trials drawn at random before the sampler learns from the finished ones", 10
        ),
        "prune_after_trials": Option("integer", "finished trials needed before one is ended early", 5),
        "prune_after_steps": Option("integer", "reported steps during which no trial is ended early", 0),
    }

    def __init__(self, setting: Setting, *, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` gives seconds that never go back; a timeout is measured with it."""
        self._home = setting.home
        self._clock = clock
        self._startup_trials = _whole(setting, "startup_trials")
        self._pruner = optuna.pruners.MedianPruner(
            n_startup_trials=_whole(setting, "prune_after_trials"),
            n_warmup_steps=_whole(setting, "prune_after_steps"),
        )
        optuna.logging.set_verbosity(optuna.logging.ERROR)  # a library prints nothing

    def health(self) -> Health:
        ok = self._home.is_dir() and os.access(self._home, os.W_OK)
        state = "studies are journals in" if ok else "cannot write to"
        return Health(ok, optuna.__version__, f"Optuna; {state} {self._home}")

    def close(self) -> None:
        """Nothing is held between two calls."""

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
        check_request(space, trials, timeout_s)
        deadline = math.inf if timeout_s is None else self._clock() + timeout_s
        journal = file_of(self._home, name)
        with held(journal, name):
            study = self._open(journal, name, space, direction)
            finished = _counted(study)
            while len(finished) < trials and self._clock() < deadline:
                finished.append(self._run_trial(study, space, objective, seed, len(finished)))
                if on_trial is not None:
                    on_trial(finished[-1])
        return study_of(name, direction, finished)

    def _open(self, journal: Path, name: str, space: Space, direction: Direction) -> optuna.Study:
        with storage_errors(name):
            _drop_torn_line(journal)
            study = optuna.create_study(
                study_name=name,
                storage=_storage(journal, name),
                direction=direction.value,
                pruner=self._pruner,
                load_if_exists=True,
            )
            _check_same(study, name, space, direction)
            for left in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
                study.tell(left.number, state=TrialState.FAIL)
        return study

    def _run_trial(
        self,
        study: optuna.Study,
        space: Space,
        objective: Callable[[Trial], float],
        seed: int,
        number: int,
    ) -> FinishedTrial:
        study.sampler = optuna.samplers.TPESampler(
            seed=_seed_of_trial(seed, number), n_startup_trials=self._startup_trials
        )
        with storage_errors(study.study_name):
            asked = study.ask({name: _distribution(space[name]) for name in sorted(space)})
        params: dict[str, ParamValue] = {name: asked.params[name] for name in space}
        running = _RunningTrial(number, dict(params), asked)
        outcome = call_objective(objective, running, lambda: running.told_to_stop)
        _tell(study, asked, outcome)
        return FinishedTrial(number, params, outcome.value, outcome.status, outcome.error)


class _RunningTrial:
    """What an objective is given: Optuna's trial behind the contract's."""

    def __init__(self, number: int, params: Mapping[str, ParamValue], asked: optuna.Trial) -> None:
        self.number = number
        self.params = params
        self.told_to_stop = False
        self._asked = asked

    def report(self, step: int, value: float) -> bool:
        with warnings.catch_warnings():
            # Optuna warns when a step is reported twice; the first value stands, as it says.
            warnings.simplefilter("ignore", UserWarning)
            self._asked.report(value, step)
        self.told_to_stop = self.told_to_stop or self._asked.should_prune()
        return self.told_to_stop


def _tell(study: optuna.Study, asked: optuna.Trial, outcome: Outcome) -> None:
    # A trial that failed has its error; one that its process left behind has none, and is not counted.
    with storage_errors(study.study_name):
        if outcome.error is not None:
            asked.set_user_attr(ERROR, outcome.error)
        study.tell(asked, outcome.value, STATES[outcome.status])


def _counted(study: optuna.Study) -> list[FinishedTrial]:
    """The finished trials, numbered without those that a process left behind."""
    trials = [trial for trial in study.get_trials(deepcopy=False) if _counts(trial)]
    return [
        FinishedTrial(
            number=number,
            params=dict(trial.params),
            value=trial.value if trial.state is TrialState.COMPLETE else None,
            status=STATUSES[trial.state],
            error=trial.user_attrs.get(ERROR),
        )
        for number, trial in enumerate(trials)
    ]


def _counts(trial: FrozenTrial) -> bool:
    return trial.state is not TrialState.FAIL or ERROR in trial.user_attrs


def _check_same(study: optuna.Study, name: str, space: Space, direction: Direction) -> None:
    stored = study.user_attrs.get(SPACE)
    if stored is None:
        study.set_user_attr(SPACE, described(space))
    else:
        check_same(name, "space", asked=described(space), known=stored)
    check_same(name, "direction", asked=direction.value, known=study.direction.name.lower())


def _distribution(domain: FloatRange | IntRange | Choice) -> BaseDistribution:
    if isinstance(domain, Choice):
        return CategoricalDistribution(domain.values)
    if isinstance(domain, IntRange):
        return IntDistribution(domain.low, domain.high, log=domain.log)
    return FloatDistribution(domain.low, domain.high, log=domain.log)


def _seed_of_trial(seed: int, number: int) -> int:
    """32 bits that depend on the study's seed and the trial's number alone."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{number}".encode()).digest()[:4], "big")


def _whole(setting: Setting, option: str) -> int:
    value = setting.options.get(option, OptunaTuner.options[option].default)
    return int(str(value))


def _storage(journal: Path, name: str) -> JournalStorage:
    try:
        return JournalStorage(JournalFileBackend(str(journal), lock_obj=_AlreadyLocked(str(journal))))
    except (ValueError, KeyError, TypeError) as broken:
        raise unreadable(name, journal) from broken


class _AlreadyLocked(JournalFileOpenLock):
    """`study_file.held` holds the journal. Optuna's own lock file would outlive a kill by half a minute."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        pass


def _drop_torn_line(journal: Path) -> None:
    """A write cut short leaves a line without its end, which was never acknowledged."""
    content = journal.read_bytes()
    if content and not content.endswith(b"\n"):
        with journal.open("r+b") as file:
            file.truncate(content.rfind(b"\n") + 1)
            os.fsync(file.fileno())
