"""AutoML over scikit-learn's models, written as ONNX."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar

import sklearn

from stackproof.adapters.automl.columns import Examples, read_examples
from stackproof.adapters.automl.onnx_forms import SAMPLE_ROWS, NotConvertible
from stackproof.adapters.automl.package_folder import write_package
from stackproof.adapters.automl.packages import to_onnx
from stackproof.adapters.automl.race import Entry, Race, ranked
from stackproof.adapters.automl.recipes import Task
from stackproof.adapters.automl.request import check_request, seed_of_31_bits
from stackproof.adapters.option_values import whole
from stackproof.errors import NotCapable
from stackproof.roles.adapter import Health, Option, Setting
from stackproof.roles.automl import Candidate, Leaderboard, Problem
from stackproof.roles.table import Table


class SklearnSearch:
    """Capability "search". Scores are taken on a quarter of the rows (at most 10,000), kept apart by the seed.

    The best model is then fitted on all rows where the budget holds that; its note says so where it
    did not. A model whose ONNX form predicts differently is not written, with the reason in its note.
    Timestamps, lists, columns without a value and strings of more than 1,000 categories are left out,
    as the notes say. `on_candidate` hears of a candidate when its score is final; the leaderboard's
    notes may say more. Raises `RefusedInput` for a budget that is no time.
    """

    tool: ClassVar[str] = "embedded"
    capabilities: ClassVar[frozenset[str]] = frozenset({"search"})
    options: ClassVar[Mapping[str, Option]] = {
        "threads": Option("integer", "threads that fit one model; more gain little beside other work", 1),
        "most_candidates": Option("integer", "models tried at most, however long the budget", 100),
    }

    def __init__(self, setting: Setting, *, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` gives seconds that never go back; the budget is measured with it."""
        self._threads = whole(setting.options, self.options, "threads", 1)
        self._most = whole(setting.options, self.options, "most_candidates", 1)
        self._clock = clock

    def health(self) -> Health:
        return Health(True, sklearn.__version__, "scikit-learn; models are written as ONNX")

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
        started = self._clock()
        examples = read_examples(table, target, problem)
        task = Task(problem, examples.features, seed_of_31_bits(seed), self._threads)
        race = Race(examples, task, clock=self._clock, started=started, budget_s=budget_s, most=self._most)
        left_out = examples.left_out_note

        def hear(entry: Entry) -> None:
            if on_candidate is not None:
                on_candidate(entry.candidate(left_out))

        race.run(hear)
        entries = ranked(race.entries)
        notes = _write_best(race, entries, examples, problem, into)
        candidates = tuple(entry.candidate(left_out, note) for entry, note in zip(entries, notes, strict=True))
        return Leaderboard(problem, candidates, into)


def _write_best(race: Race, entries: list[Entry], examples: Examples, problem: Problem, into: Path) -> list[str]:
    """Write the package of the best entry that can be served. Returns what to note on each entry."""
    notes = [""] * len(entries)
    sample = examples.matrix[:SAMPLE_ROWS]
    for position, entry in enumerate(entries):
        if entry.model is None:
            continue
        refitted = race.refit(entry)
        try:
            content = to_onnx(problem, entry.model if refitted is None else refitted, sample)
        except NotConvertible as reason:
            notes[position] = f"not served: {reason}"
            continue
        write_package(into, problem, content, examples.features)
        if refitted is None:
            notes[position] = f"served as fitted on {entry.rows:,} rows: the budget did not hold all"
        return notes
    raise NotCapable("None of the fitted models can be written as ONNX", got="; ".join(filter(None, notes)))
