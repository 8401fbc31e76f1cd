"""What a step is given to speak with: its run, and the project's features."""

import json
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stackproof.errors import RefusedInput
from stackproof.roles.features import FeatureView
from stackproof.roles.tracking import Metric, ModelVersion
from stackproof.roles.tuning import Direction, FinishedTrial, Space, Study, Trial
from stackproof.stack.models import Model
from stackproof.stack.tracked import registry_for
from stackproof.stack.workspace import Workspace
from stackproof.store.tables import to_frame

if TYPE_CHECKING:
    import polars as pl

CURVES = "curves"


class Run:
    """The run as one step sees it.

    What is logged here is kept with the step's result, so that a step taken from the cache logs the
    same again.
    """

    def __init__(self, workspace: Workspace, run_id: str, step: str, study: str) -> None:
        self.id = run_id
        self.log: list[dict[str, Any]] = []
        self._workspace = workspace
        self._step = step
        self._study = study
        self._lock = threading.Lock()

    def log_metrics(self, values: Mapping[str, float], *, step: int = 0) -> None:
        """Log one point for each metric. NaN and infinities are kept."""
        points = {name: float(value) for name, value in values.items()}
        self._do({"what": "metrics", "values": points, "step": step})

    def log_curve(self, name: str, x: Sequence[float], y: Sequence[float], *, x_label: str, y_label: str) -> None:
        """Keep a curve, such as precision over recall, to be shown in reports. `x` and `y` are of one length."""
        if len(x) != len(y):
            raise RefusedInput(f"The curve {name!r} has two lengths", got=f"{len(x)} and {len(y)}")
        points = [[float(a), float(b)] for a, b in zip(x, y, strict=True)]
        self._do({"what": "curve", "name": name, "points": points, "x": x_label, "y": y_label})

    def log_artifact(self, name: str, path: str | Path) -> None:
        """Keep a file or folder with the run."""
        tree = self._workspace.store.blobs.put_tree(Path(path))
        self._do({"what": "artifact", "name": name, "tree": tree.digest})

    def register(self, name: str, model: Model, *, alias: str | None = None) -> None:
        """Register the model under `name`, and point `alias` at the new version.

        The same bytes from the same run are the same version.
        """
        tree = self._workspace.store.blobs.put_tree(model.package)
        self._do({"what": "register", "name": name, "tree": tree.digest, "alias": alias})

    def tune(
        self,
        space: Space,
        objective: Callable[[Trial], float],
        *,
        trials: int,
        seed: int,
        maximize: bool = False,
        timeout_s: float | None = None,
    ) -> Study:
        """Search the space. Bad trials end early when the objective reports; a killed search goes on."""
        finished: list[FinishedTrial] = []

        def heard(trial: FinishedTrial) -> None:
            finished.append(trial)
            self._workspace.progress(f"{self._step}: trials", len(finished), trials)
            if trial.value is not None:
                self.log_metrics({f"{self._step}.trial": trial.value}, step=trial.number)

        tuner = self._workspace.live.adapter("tuning", "search")
        study: Study = tuner.optimize(
            self._study, space, objective,
            direction=Direction.MAXIMIZE if maximize else Direction.MINIMIZE,
            trials=trials, seed=seed, timeout_s=timeout_s, on_trial=heard,
        )  # fmt: skip
        return study

    def _do(self, entry: dict[str, Any]) -> None:
        with self._lock:
            self.log.append(entry)
        replay(self._workspace, self.id, entry)


def replay(workspace: Workspace, run_id: str, entry: Mapping[str, Any]) -> ModelVersion | None:
    """Do one logged thing for a run. Returns the model version when it was a registration."""
    tracking = workspace.live.adapter("tracking", "write-runs")
    match entry["what"]:
        case "metrics":
            at = workspace.clock()
            tracking.log_metrics(run_id, [Metric(n, v, entry["step"], at) for n, v in entry["values"].items()])
        case "curve":
            with tempfile.TemporaryDirectory() as scratch:
                file = Path(scratch) / f"{entry['name']}.json"
                file.write_text(json.dumps({key: entry[key] for key in ("name", "points", "x", "y")}))
                tracking.log_artifact(run_id, f"{CURVES}/{entry['name']}.json", file)
        case "artifact":
            with _restored(workspace, entry["tree"]) as path:
                tracking.log_artifact(run_id, entry["name"], path)
        case "register":
            with _restored(workspace, entry["tree"]) as path:
                registry = registry_for(workspace, run_id)
                version: ModelVersion = registry.register_model(entry["name"], path, run_id=run_id)
                if entry["alias"] is not None:
                    registry.set_alias(entry["name"], entry["alias"], version.version)
                return version
    return None


@contextmanager
def _restored(workspace: Workspace, tree: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=workspace.cache("scratch")) as scratch:
        yield workspace.store.blobs.restore_tree(tree, Path(scratch) / "content")


class Features:
    """The feature views of one step, ready to be joined."""

    def __init__(self, workspace: Workspace, views: Sequence[tuple[FeatureView, "pl.DataFrame"]]) -> None:
        self._workspace = workspace
        self._views = views

    def join(self, rows: Any, *, as_of: str) -> "pl.DataFrame":
        """`rows`, in their order, with each view's features as they were known at the instant in `as_of`."""
        historical = self._workspace.live.adapter("features", "historical")
        return to_frame(historical.point_in_time_join(rows, self._views, as_of=as_of))
