"""Ray on this machine and what Ray Tune is given: the search, the rule that ends trials early, and what a trial does.

A trial's process asks this one what happened next in its objective, which runs here. It knows nothing of Stackproof,
so what it runs is made in a function, which Ray sends by value.
"""

import hashlib
import math
import os
import queue
import secrets
import shutil
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from importlib import import_module
from multiprocessing.managers import BaseManager
from typing import Any

from stackproof.adapters.tool_modules import imported
from stackproof.adapters.tuning.ray_tune_journal import Kept
from stackproof.errors import Unavailable
from stackproof.roles.tuning import Choice, Direction, FloatRange, IntRange, ParamValue, Space, TrialStatus

LOCALHOST = "127.0.0.1"
VALUE, STEP = "value", "training_iteration"
LONGEST = 10**9
SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


def module(name: str) -> Any:
    """A module of Ray, imported without statistics about its use, by its documented setting. Raises `NotFound`."""
    os.environ.update(SETTINGS)
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))  # else it makes one in the person's home folder
    return imported(name, "Ray", "'ray[tune]'")


class Cluster:
    """Ray's processes, started when they are first needed and ended with `end`.

    They are started by a thread that lives as long as they do: Linux ends them when the thread that started them ends.
    """

    def __init__(self) -> None:
        self._thread: ThreadPoolExecutor | None = None
        self._sockets = ""
        self._lock = threading.Lock()

    def submit(self, task: Callable[[], Any]) -> Any:
        """A future of the task, which runs in Ray's thread once Ray runs. Raises `Unavailable`."""
        with self._lock:
            if self._thread is None:
                self._thread = ThreadPoolExecutor(1, "ray")
                self._sockets = tempfile.mkdtemp(prefix="r-")  # a socket's path may have 107 characters at most
                try:
                    self._thread.submit(self._start).result()
                except (OSError, RuntimeError, ValueError) as failed:
                    self._end()
                    raise Unavailable("Ray did not start", got=str(failed).strip()[:500]) from failed
            return self._thread.submit(task)

    def end(self) -> None:
        """Idempotent."""
        with self._lock:
            self._end()

    def _end(self) -> None:
        if self._thread is not None:
            self._thread.submit(module("ray").shutdown).result()
            self._thread.shutdown()
            shutil.rmtree(self._sockets, ignore_errors=True)
        self._thread = None

    def _start(self) -> None:
        module("ray").init(
            address="local",
            num_cpus=1,
            num_gpus=0,
            object_store_memory=80 * 2**20,
            include_dashboard=False,
            log_to_driver=False,
            configure_logging=False,
            _node_ip_address=LOCALHOST,
            _temp_dir=self._sockets,
        )


class Mail:
    """What happens in the objective of each trial, for the trial's process, which asks for it over loopback."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._boxes: dict[str, queue.SimpleQueue[tuple[str, Any]]] = {}
        self._lock = threading.Lock()
        manager: Any = type("Told", (BaseManager,), {})
        manager.register("take", callable=self._take)
        self._server: Any = manager((LOCALHOST, 0), self._key).get_server()
        threading.Thread(target=self._serve, name="ray-mail", daemon=True).start()

    @property
    def address(self) -> tuple[str, int, bytes]:
        host, port = self._server.address
        return host, port, self._key

    def put(self, trial: str, kind: str, value: Any) -> None:
        self._box(trial).put((kind, value))

    def close(self) -> None:
        self._server.stop_event.set()
        self._server.listener.close()

    def _take(self, trial: str) -> list[Any]:
        return list(self._box(trial).get())

    def _box(self, trial: str) -> "queue.SimpleQueue[tuple[str, Any]]":
        with self._lock:
            return self._boxes.setdefault(trial, queue.SimpleQueue())

    def _serve(self) -> None:
        with suppress(SystemExit, OSError):
            self._server.serve_forever()


def trainable(address: tuple[str, int, bytes]) -> Any:
    """The class whose `step` answers with the next thing that happens in the objective."""
    host, port, key = address

    class Objective(module("ray.tune").Trainable):  # type: ignore[misc]  # Ray is not installed here
        def setup(self, config: dict[str, Any]) -> None:
            from multiprocessing.managers import BaseManager

            told: Any = type("Told", (BaseManager,), {})
            told.register("take")
            self._mail = told((host, port), key)
            self._mail.connect()

        def reset_config(self, new_config: dict[str, Any]) -> bool:
            return True

        def step(self) -> dict[str, Any]:
            kind, value = self._mail.take(self.trial_id)._getvalue()
            if kind == "failed":
                raise RuntimeError(value)
            return {"value": value, "done": kind == "ended"}

        def save_checkpoint(self, checkpoint_dir: str) -> None:
            pass

        def load_checkpoint(self, checkpoint: Any) -> None:
            pass

    return Objective


def searcher(suggest: Callable[[str], Any], is_over: Callable[[str, bool], None]) -> Any:
    """A search of Ray Tune that asks `suggest` for the parameters of a trial, None for none yet.

    `is_over` hears of each trial that Ray has ended, and whether by an error.
    """
    base = module("ray.tune.search").Searcher

    class Drawn(base):  # type: ignore[misc, valid-type]  # Ray is not installed here
        def suggest(self, trial_id: str) -> Any:
            found = suggest(trial_id)
            return base.FINISHED if found is False else found

        def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:
            is_over(trial_id, error)

        def __reduce__(self) -> tuple[Any, ...]:
            return base, (VALUE, "min")  # Ray writes it to its files, where it stands for nothing

        def save(self, checkpoint_path: str) -> None:
            """Nothing: the study's journal says what was drawn."""

        def restore(self, checkpoint_path: str) -> None:
            """Nothing."""

    return Drawn(metric=VALUE, mode="min")


def rule(
    kind: str, direction: Direction, *, after_trials: int, after_steps: int, hear: Callable[[str, bool], None]
) -> Any:
    """The scheduler of Ray Tune that ends trials early. `hear` is told for each report whether the trial shall stop."""
    schedulers = module("ray.tune.schedulers")
    told: dict[str, Any] = {
        "time_attr": STEP,
        "metric": VALUE,
        "mode": "min" if direction is Direction.MINIMIZE else "max",
    }
    if kind == "asha":
        base = schedulers.ASHAScheduler
        told |= {"max_t": LONGEST, "grace_period": max(1, after_steps)}
    else:
        base = schedulers.MedianStoppingRule
        told |= {"grace_period": after_steps, "min_samples_required": max(1, after_trials)}

    class Heard(base):  # type: ignore[misc, valid-type]  # Ray is not installed here
        def on_trial_result(self, controller: Any, trial: Any, result: Mapping[str, Any]) -> Any:
            verdict = super().on_trial_result(controller, trial, result)
            hear(trial.trial_id, verdict == base.STOP)
            return verdict

        def __reduce__(self) -> tuple[Any, ...]:
            return partial(base, **told), ()

    return Heard(**told)


class _Past:
    """Stands for a trial of an earlier call, and for the controller of its run."""

    def __init__(self, number: int) -> None:
        self.trial_id = f"past-{number}"

    def get_live_trials(self) -> list[Any]:
        return []


def remember(scheduler: Any, kept: Sequence[Kept]) -> None:
    """Tell the scheduler of the trials that earlier calls ran, so that it goes on as if it had run them."""
    for earlier in kept:
        past, results = _Past(earlier.trial.number), [*earlier.reports]
        scheduler.on_trial_add(past, past)
        verdicts = [
            scheduler.on_trial_result(past, past, {STEP: step, VALUE: value})
            for step, value in enumerate(results, start=1)
        ]
        if earlier.trial.status is not TrialStatus.FAILED and scheduler.STOP not in verdicts:
            last = last_value(earlier.trial.value, results)
            scheduler.on_trial_complete(past, past, {STEP: len(results) + 1, VALUE: last})


def last_value(value: float | None, reports: Sequence[float]) -> float:
    """What a trial that did not fail ends with: its value, or what it reported last, or NaN."""
    if value is not None:
        return value
    return reports[-1] if reports else math.nan


def drawn(space: Space, seed: int, number: int) -> dict[str, ParamValue]:
    """The parameters of one trial, each by the domain of Ray Tune; they follow from the seed and the number alone."""
    # One stream for each parameter: the order in which a space names its parameters does not matter.
    return {name: _drawn(domain, f"{seed}:{number}:{name}") for name, domain in space.items()}


def _drawn(domain: FloatRange | IntRange | Choice, stream: str) -> ParamValue:
    tune, source = module("ray.tune"), _source(stream)
    if isinstance(domain, Choice):
        return domain.values[int(tune.randint(0, len(domain.values)).sample(random_state=source))]
    if domain.low == domain.high:
        return domain.low if isinstance(domain, IntRange) else float(domain.low)
    if isinstance(domain, IntRange):
        ints = tune.lograndint if domain.log else tune.randint
        whole = int(ints(domain.low, domain.high + 1).sample(random_state=source))
        return min(max(whole, domain.low), domain.high)
    floats = tune.loguniform if domain.log else tune.uniform
    value = float(floats(domain.low, domain.high).sample(random_state=source))
    return min(max(value, float(domain.low)), float(domain.high))


def _source(stream: str) -> Any:
    numpy = import_module("numpy")
    return numpy.random.RandomState(int.from_bytes(hashlib.sha256(stream.encode()).digest()[:4], "big"))
