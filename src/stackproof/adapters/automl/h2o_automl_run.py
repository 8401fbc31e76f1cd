"""One run of H2O's AutoML, begun and watched over its REST API."""

import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from stackproof.roles.automl import Candidate, Problem

if TYPE_CHECKING:
    from stackproof.adapters.automl.h2o_automl_frames import Loaded

POLL_S = 0.5
ALGORITHMS = ("GLM", "DRF", "GBM")
"""Those whose models H2O's API tells whole; of XGBoost's it does not tell what its trees start from."""
RUNNING = ("CREATED", "RUNNING")
BEGUN = re.compile(r"AutoML: starting (\S+) ")
CANCELLED = re.compile(r"(\S+) \[.*\] cancelled$")
PARAMETERS = frozenset({
    *("alpha", "lambda", "ntrees", "max_depth", "min_rows", "learn_rate", "learn_rate_annealing", "sample_rate"),
    *("col_sample_rate", "col_sample_rate_per_tree", "mtries", "histogram_type", "nbins", "link"),
})  # fmt: skip
"""Of a model's many parameters, those that AutoML chooses and that change what it learns."""


class Run:
    """`candidates` by their model's name in H2O, in the order in which they were heard of."""

    def __init__(self, project: str, problem: Problem, hear: Callable[[Candidate], None], note: str) -> None:
        self.candidates: dict[str, Candidate] = {}
        self._project = project
        self._problem = problem
        self._hear = hear
        self._note = note
        self._key = ""

    def run(
        self, loaded: "Loaded", *, seconds: float, most: int, folds: int, seed: int, algorithms: Sequence[str]
    ) -> None:
        """Until H2O has ended it. `seconds` 0: as long as it takes. What it raises: errors of H2O, `OSError`."""
        h2o = import_module("h2o")
        stopping = {"max_runtime_secs": seconds, "max_models": most, "seed": seed}
        asked = {
            "build_control": {"project_name": self._project, "nfolds": folds, "stopping_criteria": stopping},
            "build_models": {"include_algos": list(algorithms)},
            "input_spec": {
                "training_frame": loaded.key,
                "response_column": loaded.target,
                "sort_metric": "AUC" if self._problem is Problem.BINARY else "RMSE",
            },
        }
        job = h2o.api("POST /99/AutoMLBuilder", json=asked)["job"]
        self._key = job["dest"]["name"]
        while job["status"] in RUNNING:
            time.sleep(POLL_S)
            self._look()
            job = h2o.api(f"GET /3/Jobs/{job['key']['name']}")["jobs"][0]
        self._look()
        self._tell_failures()
        if job["status"] == "FAILED":
            raise OSError(str(job["exception"]))

    def _look(self) -> None:
        """Hear of the models that came onto the leaderboard."""
        h2o = import_module("h2o")
        table = h2o.api(f"GET /99/Leaderboards/{self._key}", data={"extensions": ["ALL"]})["table"]
        for values in table.cell_values:
            row = dict(zip(table.col_header, values, strict=True))
            if row.get("model_id") and row["model_id"] not in self.candidates:
                self._add(self._candidate(row))

    def _tell_failures(self) -> None:
        """What H2O's log of the run says about models that were begun and not built."""
        name, log = "", import_module("h2o").api(f"GET /99/AutoML/{self._key}")["event_log_table"]
        for row in log.cell_values:
            level, message = str(row[2]), str(row[4])
            begun = BEGUN.match(message)
            name = begun[1] if begun else name
            cancelled = CANCELLED.match(message)
            if level == "ERROR" and name:
                self._add_failed(name, first_line(message))
            elif cancelled:
                self._add_failed(cancelled[1], "it was not finished: the budget was spent")

    def _candidate(self, row: Mapping[str, Any]) -> Candidate:
        told = import_module("h2o").api(f"GET /3/Models/{row['model_id']}")["models"][0]
        given = {p["name"]: p["actual_value"] for p in told["parameters"] if p["name"] in PARAMETERS}
        params = {name: value for name, value in given.items() if isinstance(value, str | int | float)}
        params |= {name: value[0] for name, value in given.items() if isinstance(value, list) and len(value) == 1}
        score = float(row["auc"]) if self._problem is Problem.BINARY else -float(row["rmse"])
        seconds = float(row["training_time_ms"]) / 1000
        if math.isfinite(score):
            return Candidate(row["model_id"], score, seconds, params, self._note)
        return Candidate(row["model_id"], None, seconds, params, joined("H2O gives it no score", self._note))

    def _add_failed(self, name: str, reason: str) -> None:
        if name not in self.candidates:
            self._add(Candidate(name, None, 0.0, {}, joined(reason, self._note)))

    def _add(self, candidate: Candidate) -> None:
        self.candidates[candidate.name] = candidate
        self._hear(candidate)


def first_line(text: str) -> str:
    return next(iter(text.strip().splitlines()), "it failed")[:300]


def joined(*notes: str) -> str:
    return "; ".join(filter(None, notes))
