"""What the report shows, as values: gathered once, then drawn without asking anything again."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

from stackproof.decide.decision import Assumed, RoleDecision
from stackproof.roles.features import Value
from stackproof.roles.monitoring import Finding, Performance
from stackproof.usecases.ready import Answer


@dataclass(frozen=True, slots=True)
class TimelineStep:
    """One step of the thread, and what it found in one line."""

    number: int
    name: str
    duration_s: float
    line: str


@dataclass(frozen=True, slots=True)
class RoleRow:
    """One role: what was decided, and beside it what runs now, "" when that is not known."""

    role: str
    choice: RoleDecision
    runs: str = ""
    runs_because: str = ""


@dataclass(frozen=True, slots=True)
class DecisionPart:
    """The roles, and the day whose facts they rest on."""

    as_of: date
    roles: tuple[RoleRow, ...]
    assumed: tuple[Assumed, ...] = ()

    @property
    def tools(self) -> tuple[str, ...]:
        """The external tools that fill a role now, each once, in the order of the roles."""
        return tuple(dict.fromkeys(row.runs for row in self.roles if row.runs not in ("", "embedded")))


@dataclass(frozen=True, slots=True)
class Node:
    """One thing that a prediction rests on. `on_path`: it led to this very prediction.

    A thing is off the path when only another model version of the same deployment rests on it.
    """

    id: str
    kind: str
    name: str
    detail: str
    column: int
    on_path: bool = True
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Edge:
    """`downstream` rests on `upstream`; both are node identifiers."""

    upstream: str
    downstream: str
    on_path: bool = True


@dataclass(frozen=True, slots=True)
class Graph:
    """Columns from left (upstream) to right; nodes name their column by index. `elsewhere`: how many
    further things of each kind lie upstream that are not drawn."""

    columns: tuple[str, ...]
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    elsewhere: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Line:
    """A named line: x and y of each point, in the order of drawing."""

    label: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Curve:
    """One kind of curve, with a line for each run that has it; the last run's line is the main one."""

    name: str
    x_label: str
    y_label: str
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Trials:
    """The finished trials of a search, as (number, value). `planned`: how many it was given, if known."""

    run_id: str
    values: tuple[tuple[int, float], ...]
    planned: int | None


@dataclass(frozen=True, slots=True)
class ModelRow:
    """A registered model version and the metrics of its run."""

    id: str
    run_id: str
    digest: str
    made_for: str
    validated_on: str
    metrics: Mapping[str, float]
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Training:
    """Curves, trials and model versions; each may be empty."""

    curves: tuple[Curve, ...]
    trials: Trials | None
    models: tuple[ModelRow, ...]


@dataclass(frozen=True, slots=True)
class Notice:
    """The drill. `before` and `after`: the alarming feature's values on the control stream and after
    the change, in order, missing ones as None. `finding` None: nothing was noticed."""

    sent: int
    control_sent: int
    false_alarms: int
    to_alert: int | None
    seconds: float | None
    alert_id: str = ""
    finding: Finding | None = None
    others: tuple[Finding, ...] = ()
    before: tuple[Value, ...] = ()
    after: tuple[Value, ...] = ()


@dataclass(frozen=True, slots=True)
class MonthRow:
    """The error of one month. `live`: of served predictions; else of a run's validation part."""

    label: str
    log_loss: float
    live: bool
    performance: Performance | None = None


@dataclass(frozen=True, slots=True)
class Drifted:
    """A feature in which the replayed months differ. `alerts`: how many alerts name it."""

    column: str
    test: str
    effect: str
    alerts: int


@dataclass(frozen=True, slots=True)
class Retraining:
    """What an alert started. `routes`: model version and its share of the deployment."""

    alert_id: str
    run_id: str
    model_id: str
    deployment_id: str
    routes: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Drift:
    """The replayed months, and what came of them."""

    sent: int
    alerts: int
    months: tuple[MonthRow, ...]
    features: tuple[Drifted, ...]
    retraining: Retraining | None


@dataclass(frozen=True, slots=True)
class Command:
    """A command that the reader can paste, and what it tells."""

    line: str
    tells: str


@dataclass(frozen=True, slots=True)
class Page:
    """The whole report. A part that was not reached is None or empty and is left out, saying so."""

    project: str
    folder: str
    at: datetime
    prediction: str = ""
    steps: tuple[TimelineStep, ...] = ()
    answers: tuple[Answer, ...] = ()
    decision: DecisionPart | None = None
    lineage: Graph | None = None
    training: Training | None = None
    notice: Notice | None = None
    drift: Drift | None = None
    commands: tuple[Command, ...] = ()
    versions: tuple[tuple[str, str], ...] = ()
    ledger_head: str = ""
