"""AutoML with H2O: its own search on its own server; the leader's trees or coefficients written as ONNX."""

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, ClassVar
from uuid import uuid4

from stackproof.adapters.automl.h2o_automl_run import ALGORITHMS, Run, first_line, joined
from stackproof.adapters.automl.h2o_automl_server import Server, java_program
from stackproof.adapters.automl.onnx_forms import NotConvertible
from stackproof.adapters.automl.package_folder import write_package
from stackproof.adapters.automl.request import best_first, check_request, seed_of_31_bits
from stackproof.adapters.option_values import check_names, some_of, whole
from stackproof.adapters.tool_modules import imported
from stackproof.errors import NotCapable, StackproofError, Unavailable
from stackproof.roles.adapter import Health, Option, Setting
from stackproof.roles.automl import Candidate, Leaderboard, Problem
from stackproof.roles.table import Table

_client = threading.Lock()
"""H2O's library holds one connection for the whole process."""


class H2oAutoml:
    """Capability "search". Scores are those of H2O's leaderboard: of cross-validation in five parts.

    H2O tries linear models, random forests (DRF and XRT) and gradient boosting (GBM): its API tells their coefficients
    and trees. XGBoost, deep learning and stacked ensembles are left out: nothing but a MOJO holds them whole, and the
    open release of H2O writes none. The first search starts the server, which takes seconds; the budget begins when the
    table is in H2O. A budget in which H2O finishes no model gives the first model of its plan. The table, the run and
    its models stay in the server, shown by its UI, until the next search or `close`; the leader stays below the home,
    for `h2o.load_model`.

    Beyond what the contract says, `search` raises `RefusedInput` for a budget that is no time, `NotFound` without Java,
    `Unavailable` when the server does not start or ends, and `NotCapable` when H2O fits no model that can be served.
    """

    tool: ClassVar[str] = "h2o-automl"
    capabilities: ClassVar[frozenset[str]] = frozenset({"search"})
    options: ClassVar[Mapping[str, Option]] = {
        "threads": Option("integer", "threads of the server; 0: one for each core", 0),
        "memory_gb": Option("integer", "memory of the server's Java; 0: a quarter of the machine's", 0),
        "most_models": Option("integer", "models tried at most; 0: as many as the budget holds", 0),
        "folds": Option("integer", "parts of the cross-validation, 2 or more", 5),
        "algorithms": Option("string", f"those that H2O tries, of {', '.join(ALGORITHMS)}", ", ".join(ALGORITHMS)),
    }
    deviations: ClassVar[Mapping[str, str]] = {}

    def __init__(self, setting: Setting) -> None:
        given = setting.options
        check_names("h2o-automl", given, self.options)
        self._home = setting.home
        self._most, self._folds = whole(given, self.options, "most_models", 0), whole(given, self.options, "folds", 2)
        self._algorithms = tuple(some_of(given, self.options, "algorithms", ALGORITHMS))
        threads, memory_gb = whole(given, self.options, "threads", 0), whole(given, self.options, "memory_gb", 0)
        self._server = Server(setting.home, threads=threads, memory_gb=memory_gb)

    def health(self) -> Health:
        """Whether H2O and Java are there; a server is started by the first search."""
        try:
            release, java = version("h2o"), java_program()
        except PackageNotFoundError:
            return Health(False, "", "H2O is not installed in this environment")
        except StackproofError as missing:
            return Health(False, version("h2o"), str(missing))
        return Health(True, release, f"its server is {self._server.url or f'started by a search, with {java}'}")

    def close(self) -> None:
        self._server.end()

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
        with _client, self._connected():
            search = _Search(self._home, problem, examples, on_candidate or (lambda candidate: None))
            search.load(target)
            folds = min(self._folds, len(examples.target))
            rules = {"folds": folds, "seed": seed_of_31_bits(seed), "algorithms": self._algorithms}
            search.run(seconds=budget_s, most=self._most, **rules)
            return search.written(into)

    @contextmanager
    def _connected(self) -> Iterator[None]:
        """H2O's library, connected to our server; what goes wrong there, as one of our errors.

        A search that is given up takes the server with it: nothing else stops H2O at once.
        """
        os.environ["DO_NOT_TRACK"] = "1"  # as its documentation says: no statistics about its use
        h2o = _module("h2o")
        url = self._server.ensure()
        try:
            with _told(self._server):
                h2o.connect(url=url, verbose=False, strict_version_check=False, telemetry=False)
                h2o.no_progress()
                h2o.remove_all()
                yield
        except BaseException:
            self._server.end()
            raise


@contextmanager
def _told(server: Server) -> Iterator[None]:
    """What goes wrong in H2O, as one of our errors."""
    problems = _module("h2o.exceptions")
    try:
        yield
    except (problems.H2OConnectionError, problems.H2OServerError, problems.H2OResponseError, OSError) as failed:
        if not server.url:
            raise Unavailable("H2O's server ended during the search", got=server.last_words()) from failed
        raise NotCapable("H2O could not run this search", got=first_line(str(failed))) from failed


class _Search:
    """One table in H2O, and the runs over it."""

    def __init__(self, home: Path, problem: Problem, examples: Any, hear: Callable[[Candidate], None]) -> None:
        self._home = home
        self._problem = problem
        self._examples = examples
        self._hear = hear
        self._name = f"stackproof_{uuid4().hex[:12]}"
        self._candidates: dict[str, Candidate] = {}

    def load(self, target: str) -> None:
        frames = import_module("stackproof.adapters.automl.h2o_automl_frames")
        self._loaded = frames.load(self._examples, target, self._problem, self._home, f"{self._name}_table")

    def run(self, *, seconds: float, most: int, **rules: Any) -> None:
        """Until the budget is spent; then, where no model came of it, until there is one."""
        for number, (limit_s, limit) in enumerate(((seconds, most), (0.0, 1))):
            if limit_s == 0 and limit != 1:
                continue
            run = Run(f"{self._name}_{number}", self._problem, self._hear, self._examples.left_out_note)
            run.run(self._loaded, seconds=limit_s, most=limit, **rules)
            self._candidates |= run.candidates
            if any(candidate.score is not None for candidate in self._candidates.values()):
                return

    def written(self, into: Path) -> Leaderboard:
        """The package of the best model that can be served, and all candidates."""
        ranked = best_first(self._candidates.values())
        for position, candidate in enumerate(ranked):
            if candidate.score is None:
                break
            reason = self._write(candidate.name, into)
            if not reason:
                return Leaderboard(self._problem, tuple(ranked), into)
            ranked[position] = replace(candidate, note=joined(candidate.note, f"not served: {reason}"))
        reasons = "; ".join(f"{c.name}: {c.note}" for c in ranked if c.note)
        raise NotCapable("H2O fitted no model that can be served", got=reasons or "no model at all")

    def _write(self, model: str, into: Path) -> str:
        """Write its package, and keep the model itself below the home. Returns why it can't be served, or ""."""
        h2o = import_module("h2o")
        to_onnx = import_module("stackproof.adapters.automl.h2o_automl_onnx").to_onnx
        told = h2o.api(f"GET /3/Models/{model}")["models"][0]
        try:
            content = to_onnx(told, self._problem, self._loaded, self._examples.matrix)
        except NotConvertible as reason:
            return str(reason)
        h2o.save_model(h2o.get_model(model), path=str(self._home / "models"))
        write_package(into, self._problem, content, self._examples.features)
        return ""


def _module(name: str) -> Any:
    return imported(name, "H2O", "h2o")
