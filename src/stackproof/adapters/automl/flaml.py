"""AutoML with FLAML: its own search over trees; the best model's trees written as ONNX."""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar
from uuid import uuid4

from stackproof.adapters.automl.onnx_forms import NotConvertible
from stackproof.adapters.automl.package_folder import write_package
from stackproof.adapters.automl.request import best_first, check_request, seed_of_31_bits
from stackproof.adapters.installed import installed
from stackproof.adapters.option_values import check_names, choice, some_of, whole, wrong
from stackproof.errors import NotCapable, NotFound, not_written
from stackproof.roles.adapter import Health, Option, Setting
from stackproof.roles.automl import Candidate, Leaderboard, Problem
from stackproof.roles.table import Table

ESTIMATORS = ("lgbm", "rf", "xgboost", "extra_tree", "xgb_limitdepth")
"""Those that FLAML tries by itself but catboost, no part of its extra, and sgd, which takes no missing values."""
SELECTORS = ("sample", "roundrobin")
MOST_ROWS_OF_FOLDS = 10_000
FEWEST_OF_A_CLASS_HELD_OUT = 200
SHARE_HELD_OUT = 0.1
SHARE_TO_SEARCH = 0.9
SHORTEST_S = 0.001
FEWEST_TRIALS = 2
"""FLAML takes one trial as an order to fit without a score."""
LARGEST_MODEL_BYTES = 32 << 20
"""By FLAML's own estimate; as ONNX it is about as large."""
ALWAYS: Mapping[str, Any] = {
    "auto_augment": False,  # it repeats the rows of a rare class, also those that are scored
    "append_log": True,
    "log_type": "all",
    "mem_thres": LARGEST_MODEL_BYTES,
    "mlflow_logging": False,
    "retrain_full": True,
    "verbose": 0,
}


class Flaml:
    """Capability "search". Scores are FLAML's: up to 10,000 rows, and for a class of few rows, of cross-validation in
    five parts; beyond, on a tenth of the rows that is held out. The seed draws the parts and steers the search.

    FLAML tries LightGBM, XGBoost, random forests and extra trees on the package's own inputs: strings as codes, missing
    values as they are. Left out are CatBoost, which is no part of FLAML's extra "automl", and linear models, nearest
    neighbours and stacks of models, which take no missing values. The budget begins when FLAML is imported. Nine tenths
    of it are for the search; then the best is fitted on all rows, which FLAML does without a limit. A budget in which
    nothing was fitted gives the first two trials. The same seed gives the same trials with `learner_selector`
    "roundrobin" and a budget that holds `most_trials`: FLAML's default goes by measured times. Each search leaves
    FLAML's log of its trials below the home, for `get_output_from_log` and `AutoML.retrain_from_log` of FLAML.

    Beyond what the contract says, `search` raises `RefusedInput` for a budget that is no time, `NotFound` when FLAML
    can't be imported and `NotCapable` when it fits no model, as with two rows of a regression.
    """

    tool: ClassVar[str] = "flaml"
    capabilities: ClassVar[frozenset[str]] = frozenset({"search"})
    options: ClassVar[Mapping[str, Option]] = {
        "threads": Option("integer", "threads that fit one model; -1: one for each core", 1),
        "most_trials": Option("integer", "models tried at most, 2 or more", 1_000),
        "folds": Option("integer", "parts of the cross-validation, 2 or more", 5),
        "estimators": Option("string", f"those that FLAML tries, of {', '.join(ESTIMATORS)}", ", ".join(ESTIMATORS)),
        "learner_selector": Option("string", "by which of its rules FLAML says who is tried next", "sample", SELECTORS),
    }
    deviations: ClassVar[Mapping[str, str]] = {}

    def __init__(self, setting: Setting) -> None:
        given = setting.options
        check_names("flaml", given, self.options)
        self._logs = setting.home / "logs"
        self._folds = whole(given, self.options, "folds", 2)
        self._rules = {
            "n_jobs": _threads(given),
            "max_iter": whole(given, self.options, "most_trials", FEWEST_TRIALS),
            "estimator_list": some_of(given, self.options, "estimators", ESTIMATORS),
            "learner_selector": choice(given, self.options, "learner_selector"),
        }

    def health(self) -> Health:
        return installed("flaml", "FLAML", f"the logs of its trials are in {self._logs}")

    def close(self) -> None:
        """Nothing is held between two searches."""

    def search(
        self,
        table: Table,
        *,
        target: str,
        problem: Problem,
        budget_s: float,
        seed: int,
        into: Path,
        on_candidate: Callable[[Candidate], None] | None = None,
    ) -> Leaderboard:
        check_request(budget_s, into)
        examples = import_module("stackproof.adapters.automl.columns").read_examples(table, target, problem)
        with _log_errors(self._logs):
            self._logs.mkdir(exist_ok=True)
        log = self._logs / f"{into.name[:50]}-{uuid4().hex[:8]}.log"
        rules = {**self._rules, **_evaluation(examples.target, problem, self._folds), "log_file_name": str(log)}
        trials = _Trials(problem, examples, rules, on_candidate or (lambda candidate: None))
        model = trials.run(budget_s, seed_of_31_bits(seed))
        to_onnx = import_module("stackproof.adapters.automl.flaml_onnx").to_onnx
        try:
            content = to_onnx(model, problem, examples.matrix)
        except NotConvertible as reason:
            raise NotCapable("FLAML's best model cannot be served", got=str(reason)) from reason
        write_package(into, problem, content, examples.features)
        return Leaderboard(problem, tuple(best_first(trials.candidates)), into)


class _Trials:
    """One search of FLAML. `candidates`: in the order in which they were tried."""

    def __init__(
        self, problem: Problem, examples: Any, rules: Mapping[str, Any], hear: Callable[[Candidate], None]
    ) -> None:
        self.candidates: list[Candidate] = []
        self._problem = problem
        self._examples = examples
        self._rules = rules
        self._hear = hear
        self._is_telling = False

    def run(self, budget_s: float, seed: int) -> Any:
        """The best model, fitted on all rows: as its own library has it."""
        search_s = -1 if math.isinf(budget_s) else max(budget_s * SHARE_TO_SEARCH, SHORTEST_S)
        for limits in ({"time_budget": search_s}, {"time_budget": -1, "max_iter": FEWEST_TRIALS}):
            automl = self._fitted({**self._rules, **limits}, seed)
            if automl.model is not None:
                return automl.model.estimator
        reasons = "; ".join(f"{candidate.name}: {candidate.note}" for candidate in self.candidates)
        raise NotCapable("FLAML fitted no model", got=reasons or "no trial at all")

    def _fitted(self, rules: Mapping[str, Any], seed: int) -> Any:
        automl = self._listened(_automl()())
        order = import_module("numpy").random.default_rng(seed).permutation(len(self._examples.target))
        matrix, target = self._examples.matrix[order], self._examples.target[order]
        task = {"task": "regression", "metric": "rmse"}
        if self._problem is Problem.BINARY:
            task, target = {"task": "classification", "metric": "roc_auc"}, target.astype("int64")
        try:
            automl.fit(matrix, target, seed=seed, **task, **rules, **ALWAYS)
        except (ValueError, ArithmeticError, AssertionError, MemoryError, _lightgbm_error()) as failed:
            if self._is_telling:  # it is the listener's error
                raise
            said = str(failed).splitlines() or [type(failed).__name__]
            raise NotCapable("FLAML could not run this search", got=said[0]) from failed
        except OSError:
            if self._is_telling:
                raise
            with _log_errors(rules["log_file_name"]):
                raise
        return automl

    def _listened(self, automl: Any) -> Any:
        """FLAML calls no listener: this goes by its method that puts each trial into the log."""
        log_trial = automl._log_trial

        def log_and_tell(state: Any, learner: str) -> None:
            log_trial(state, learner)
            self._tell(self._candidate(state, learner))

        automl._log_trial = log_and_tell
        return automl

    def _tell(self, candidate: Candidate) -> None:
        self.candidates.append(candidate)
        self._is_telling = True
        self._hear(candidate)
        self._is_telling = False

    def _candidate(self, state: Any, learner: str) -> Candidate:
        """`state`: what FLAML knows of its last trial of this learner."""
        loss, notes = float(state.val_loss), [self._examples.left_out_note]
        score: float | None = 1.0 - loss if self._problem is Problem.BINARY else -loss
        if not math.isfinite(loss):
            notes, score = ["FLAML gives it no score", *notes], None
        return Candidate(learner, score, float(state.trial_time), dict(state.config), "; ".join(filter(None, notes)))


def _evaluation(target: Any, problem: Problem, folds: int) -> dict[str, Any]:
    """How FLAML is to score."""
    rarest = len(target)
    if problem is Problem.BINARY:
        positive = int(target.sum())
        rarest = min(positive, rarest - positive)
    if len(target) <= MOST_ROWS_OF_FOLDS or rarest < FEWEST_OF_A_CLASS_HELD_OUT:
        return {"eval_method": "cv", "n_splits": min(folds, rarest)}
    return {"eval_method": "holdout", "split_ratio": SHARE_HELD_OUT}


@contextmanager
def _log_errors(log: object) -> Iterator[None]:
    """Raises `StorageFull`, `StorageFailed`."""
    try:
        yield
    except OSError as error:
        told = f"{log}: {error.strerror}"
        raise not_written("FLAML's log of its trials could not be written", error, got=told) from error


def _automl() -> Any:
    try:
        return import_module("flaml.automl").AutoML
    except (ImportError, AttributeError) as missing:  # without what its extra needs, the module lacks the class
        raise NotFound(
            f"FLAML can't be imported: {missing}", next_command="uv pip install flaml lightgbm scikit-learn pandas"
        ) from missing


def _lightgbm_error() -> type[Exception]:
    error: type[Exception] = import_module("lightgbm.basic").LightGBMError
    return error


def _threads(given: Mapping[str, object]) -> int:
    threads = whole(given, Flaml.options, "threads", -1)
    if threads == 0:
        raise wrong("threads", 0, "-1, or a whole number from 1 on")
    return threads
