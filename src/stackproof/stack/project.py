"""A project: what a user's file declares, and the stack that runs it."""

import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol, TypeVar, overload

from stackproof.errors import Conflict, NotFound, RefusedInput, StackproofError, StepFailed
from stackproof.roles.features import FeatureView
from stackproof.roles.validation import Expectation
from stackproof.stack.definitions import Aggregation, Dataset, Pipeline, Step, pipeline_of, view_of

HOME = ".stackproof"
STACK_FILE = "stack.toml"


class _Named(Protocol):
    @property
    def name(self) -> str: ...


T = TypeVar("T", bound=_Named)


class Project:
    """Datasets, feature views, steps and pipelines, declared in one file. Declaring runs nothing.

    `file` is the project file's `__file__`: its folder holds stack.toml and, once something ran,
    the folder `.stackproof` with the ledger.
    """

    def __init__(self, name: str, file: str) -> None:
        self.name = name
        self.file = Path(file).resolve()
        self.datasets: dict[str, Dataset] = {}
        self.views: dict[str, FeatureView] = {}
        self.steps: dict[str, Step] = {}
        self.pipelines: dict[str, Pipeline] = {}

    @property
    def folder(self) -> Path:
        return self.file.parent

    @overload
    def dataset(self, function: Callable[..., Any], /) -> Dataset: ...
    @overload
    def dataset(self, /, *, expect: Sequence[Expectation] = ()) -> Callable[[Callable[..., Any]], Dataset]: ...
    def dataset(
        self, function: Callable[..., Any] | None = None, /, *, expect: Sequence[Expectation] = ()
    ) -> Dataset | Callable[[Callable[..., Any]], Dataset]:
        """Declare the decorated function as a dataset of its name.

        It returns a table. Its parameters name the datasets that it is derived from.
        """
        if function is not None:
            return self._add(self.datasets, Dataset(function.__name__, function, ()))
        return lambda decorated: self._add(self.datasets, Dataset(decorated.__name__, decorated, tuple(expect)))

    def feature_view(
        self,
        name: str,
        *,
        source: Dataset,
        entity: str | Sequence[str],
        known_at: str,
        features: Sequence[str] | Mapping[str, str | Aggregation],
        window: str | timedelta | None = None,
        max_age: str | timedelta | None = None,
    ) -> FeatureView:
        """Declare features of an entity, from rows that are known from the instant in `known_at` on.

        `features`: columns as they are, or {feature: mean("column")} over the last `window`
        ("24h"). A column's value older than `max_age` counts as missing.
        """
        return self._add(self.views, view_of(name, source, entity, known_at, features, window, max_age))

    @overload
    def step(self, function: Callable[..., Any], /) -> Step: ...
    @overload
    def step(self, /, *, views: Sequence[FeatureView] = ()) -> Callable[[Callable[..., Any]], Step]: ...
    def step(
        self, function: Callable[..., Any] | None = None, /, *, views: Sequence[FeatureView] = ()
    ) -> Step | Callable[[Callable[..., Any]], Step]:
        """Declare the decorated function as a step.

        Its parameters name datasets and other steps; `run` and `features` are given; keyword-only
        ones are parameters of the pipeline. It returns a table, a `Model`, or plain JSON values, and
        runs only when its code, its inputs, its parameters or the environment changed.
        """
        if function is not None:
            return self._add(self.steps, Step(function.__name__, function))
        return lambda decorated: self._add(self.steps, Step(decorated.__name__, decorated, tuple(views)))

    def pipeline(self, name: str, steps: Sequence[Step]) -> Pipeline:
        """Declare a pipeline. Raises `RefusedInput` for an unknown input or a cycle."""
        return self._add(self.pipelines, pipeline_of(name, steps, self.datasets))

    def _add(self, known: dict[str, T], item: T) -> T:
        if item.name in known:
            raise Conflict(f"The project {self.name!r} declares {item.name!r} twice", got=type(item).__name__)
        known[item.name] = item
        return item


def load_project(path: Path) -> Project:
    """Import a project file (or the one project file in a folder) and return its project.

    Raises `NotFound` when there is none, `RefusedInput` when there are several, `Conflict` when
    the file declares no project.
    """
    file = project_file(path)
    module_name = f"stackproof_project_{file.stem}"
    spec = importlib.util.spec_from_file_location(module_name, file)
    if spec is None or spec.loader is None:
        raise NotFound("A project file cannot be imported", got=str(file))
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    if str(file.parent) not in sys.path:
        sys.path.insert(0, str(file.parent))
    try:
        spec.loader.exec_module(module)
    except StackproofError:
        raise
    except Exception as error:
        raise StepFailed(
            f"The project file {file.name} cannot be imported",
            got=f"{type(error).__name__}: {error}",
            next_command=f"python {file.name}",
        ) from error
    projects = [value for value in vars(module).values() if isinstance(value, Project)]
    if len(projects) != 1:
        raise Conflict(
            "A project file must declare one project", got=f"{len(projects)} in {file.name}",
            allowed='project = stackproof.Project("name", __file__)',
        )  # fmt: skip
    return projects[0]


def project_file(path: Path) -> Path:
    """The one file at or in `path` that declares a project. Raises `NotFound`, `RefusedInput`."""
    if path.is_file():
        return path.resolve()
    declared = [
        file for file in sorted(path.glob("*.py")) if "Project(" in file.read_text(encoding="utf-8", errors="replace")
    ]
    if not declared:
        raise NotFound(
            "There is no project here", got=str(path), allowed="a folder with a file that declares a Project",
            next_command="stackproof quickstart",
        )  # fmt: skip
    if len(declared) > 1:
        raise RefusedInput(
            "Several files here declare a project",
            got=", ".join(file.name for file in declared),
            next_command=f"stackproof … --project {declared[0].name}",
        )
    return declared[0].resolve()
