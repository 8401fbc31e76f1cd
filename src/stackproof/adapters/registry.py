"""Which adapter fills which role: one line each. The only place that knows a concrete adapter."""

from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points

from stackproof.errors import NotFound, UnknownName
from stackproof.roles.adapter import Adapter

ENTRY_POINTS = "stackproof.adapters"


@dataclass(frozen=True, slots=True)
class Entry:
    """`path` is "module:Class", imported only when used. `extra`: what to install for it beside Stackproof, "" for
    nothing and for a tool that lives in an environment of its own, whose lock names what it needs.
    """

    role: str
    tool: str
    path: str
    extra: str = "embedded"


ADAPTERS = (
    Entry("tracking", "embedded", "stackproof.adapters.tracking.embedded:EmbeddedTracking", ""),
    Entry("tracking", "jsonl", "stackproof.adapters.tracking.jsonl:JsonLinesTracking", ""),
    Entry("features", "embedded", "stackproof.adapters.features.embedded:EmbeddedFeatures"),
    Entry("serving", "embedded", "stackproof.adapters.serving.embedded:EmbeddedServer"),
    Entry("orchestration", "embedded", "stackproof.adapters.orchestration.embedded:LocalRunner", ""),
    Entry("tuning", "embedded", "stackproof.adapters.tuning.embedded:OptunaTuner"),
    Entry("tuning", "random", "stackproof.adapters.tuning.random_search:RandomSearch", ""),
    Entry("monitoring", "embedded", "stackproof.adapters.monitoring.embedded:EmbeddedMonitoring"),
    Entry("validation", "embedded", "stackproof.adapters.validation.embedded:PanderaValidator"),
    Entry("versioning", "embedded", "stackproof.adapters.versioning.embedded:EmbeddedSnapshots", ""),
    Entry("tuning", "optuna", "stackproof.adapters.tuning.embedded:OptunaTuner"),
    Entry("validation", "pandera", "stackproof.adapters.validation.embedded:PanderaValidator"),
    Entry("automl", "embedded", "stackproof.adapters.automl.embedded:SklearnSearch"),
    Entry("tracking", "mlflow", "stackproof.adapters.tracking.mlflow:MlflowTracking", ""),
    Entry("tracking", "tensorboard", "stackproof.adapters.tracking.tensorboard:TensorBoardTracking", ""),
    Entry("tracking", "wandb", "stackproof.adapters.tracking.wandb:WandbTracking", ""),
    Entry("orchestration", "prefect", "stackproof.adapters.orchestration.prefect:PrefectRunner", ""),
    Entry("orchestration", "dagster", "stackproof.adapters.orchestration.dagster:DagsterRunner", ""),
    Entry("orchestration", "metaflow", "stackproof.adapters.orchestration.metaflow:MetaflowRunner", ""),
    Entry("monitoring", "evidently", "stackproof.adapters.monitoring.evidently:EvidentlyMonitoring", ""),
    Entry("monitoring", "nannyml", "stackproof.adapters.monitoring.nannyml:NannymlMonitoring", ""),
    Entry("monitoring", "prometheus", "stackproof.adapters.monitoring.prometheus:PrometheusMonitoring", ""),
    Entry(
        "validation", "great-expectations", "stackproof.adapters.validation.great_expectations:GreatExpectations", ""
    ),
    Entry("features", "feast", "stackproof.adapters.features.feast:FeastFeatures", ""),
    Entry("validation", "deepchecks", "stackproof.adapters.validation.deepchecks:Deepchecks", ""),
    Entry("tuning", "ray-tune", "stackproof.adapters.tuning.ray_tune:RayTuner", ""),
    Entry("automl", "h2o-automl", "stackproof.adapters.automl.h2o_automl:H2oAutoml", ""),
    Entry("automl", "flaml", "stackproof.adapters.automl.flaml:Flaml", ""),
    Entry("serving", "bentoml", "stackproof.adapters.serving.bentoml:BentoServer", ""),
    Entry("serving", "mlserver", "stackproof.adapters.serving.mlserver:MLServer", ""),
    Entry("versioning", "dvc", "stackproof.adapters.versioning.dvc:DvcSnapshots", ""),
)


def entries() -> tuple[Entry, ...]:
    """Our own adapters, then those of installed packages (entry points named "role.tool")."""
    found = [(point.name.partition("."), point.value) for point in entry_points(group=ENTRY_POINTS)]
    return (*ADAPTERS, *(Entry(role, tool, path, "") for (role, _, tool), path in found))


def find(role: str, tool: str) -> Entry:
    """Raises `UnknownName` when no adapter of this tool fills the role."""
    candidates = {entry.tool: entry for entry in entries() if entry.role == role}
    if tool not in candidates:
        raise UnknownName(f"adapter for the role {role}", tool, candidates)
    return candidates[tool]


def load(entry: Entry) -> type[Adapter]:
    """Import the adapter's class. Raises `NotFound`, with what to install, when its tool is missing."""
    module_name, class_name = entry.path.split(":")
    try:
        loaded: type[Adapter] = getattr(import_module(module_name), class_name)
    except ModuleNotFoundError as missing:
        package = f"stackproof[{entry.extra}]" if entry.extra else str(missing.name)
        raise NotFound(
            f"The adapter {entry.role}.{entry.tool} needs the module {missing.name!r}, which is not installed",
            next_command=f"pip install '{package}'",
        ) from missing
    return loaded
