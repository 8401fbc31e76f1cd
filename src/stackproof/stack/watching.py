"""Watch a deployment: compare what it is asked with what its model was fitted on, and alert."""

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from typing import Any

from stackproof.errors import NotFound
from stackproof.ledger import Entity, Link, Relation
from stackproof.roles.monitoring import Alert, Finding, Policy
from stackproof.roles.serving import LoggedPrediction, Signature
from stackproof.roles.table import Table
from stackproof.stack.attached import is_attached, missing_for_reference, reference_of
from stackproof.stack.deployments import current_deployment, latest_entity
from stackproof.stack.models import Model, column_kinds
from stackproof.stack.workspace import Workspace
from stackproof.store import new_id

POLL_S = 0.2
BATCH = 500
HEARTBEAT_S = 15.0


@dataclass(frozen=True, slots=True)
class WatchState:
    """Where a watcher is: the ledger position of the last prediction that it looked at."""

    position: int
    rows: int
    alerts: int


class Watcher:
    """Follows the predictions of one deployment. `sinks` as in the contract of alert sinks.

    Every `heartbeat_s` the ledger is told how far it has looked, when it has looked at anything new.
    """

    def __init__(
        self,
        workspace: Workspace,
        name: str,
        *,
        sinks: Sequence[str] = (),
        policy: Policy | None = None,
        heartbeat_s: float = HEARTBEAT_S,
    ) -> None:
        self._workspace = workspace
        self._name = name
        self._sinks = tuple(sinks)
        self._policy = policy or Policy()
        self._monitor = workspace.live.adapter("monitoring", "drift")
        self._ids: deque[str] = deque(maxlen=BATCH + self._policy.window)
        self._reference = ""
        self._columns: list[str] = []
        self._heartbeat_s = heartbeat_s
        self._beat = float("-inf")
        self._told = -1
        self._replay = False
        self._after = 0
        self.state = WatchState(0, 0, 0)
        self._last_alert = 0.0

    @property
    def waits_for(self) -> str:
        """What an attached deployment lacks before it can be compared with anything; "" when it lacks nothing."""
        deployment = None if self._reference else latest_entity(self._workspace, self._name)
        return "" if deployment is None else missing_for_reference(self._workspace, deployment)

    def start(self, *, position: int | None = None) -> None:
        """Begin after the ledger position `position`; when None, where the last watcher of this deployment
        stopped, so that no prediction is left out, and at the first when there was none.

        A given position is a replay of the past: its records don't count as watching. Alerts that were
        recorded and not sent, because a watcher was killed in between, are sent first.

        Raises `NotFound` when the deployment or its model's reference does not exist.
        """
        self._begin()
        self._send(unsent_alerts(self._workspace, self._name))
        self._replay = position is not None
        begun = self._last_position() if position is None else position
        self.state = WatchState(max(begun, self._after), 0, 0)

    def _last_position(self) -> int:
        return max((position_of(beat) for beat in live_beats(self._workspace, self._name)), default=0)

    def _begin(self) -> None:
        """Take what the deployment is compared with; for an attached one that may not be there yet."""
        deployment = latest_entity(self._workspace, self._name)
        if deployment is None or not is_attached(deployment):
            self._compare_with_main_model()
            return
        found = reference_of(self._workspace, deployment)
        self._reference = "" if found is None else deployment.id
        if found is not None:
            self._monitor.start(self._name, found.table, found.kinds, self._policy)
            self._columns, self._after = list(found.kinds), found.position
            self._ids.clear()
            self.state = replace(self.state, position=max(self.state.position, self._after))

    def _compare_with_main_model(self) -> None:
        """Take the reference of the model version with the largest weight."""
        deployment = current_deployment(self._workspace, self._name)
        main = max(deployment.routes, key=lambda route: route.weight)
        model = Model(main.package, Signature.read(main.package))
        reference = model.reference()
        if reference is None:
            raise NotFound(
                f"{main.model_id} carries no reference to compare production with",
                allowed="a model package made with reference=…",
            )
        kinds = column_kinds(model.signature)
        self._columns, self._reference = list(kinds), main.model_id
        self._monitor.start(self._name, reference, kinds, self._policy)
        self._ids.clear()

    def follow(self, stop: Callable[[], bool], on_alert: Callable[[Alert], None] | None = None) -> None:
        """Look at new predictions until `stop` says so; when it does, what is there is still looked at."""
        while True:
            stopping = stop()
            for alert in self.look():
                if on_alert is not None:
                    on_alert(alert)
            self._heartbeat(force=stopping)
            if stopping:
                return
            time.sleep(POLL_S)

    def metrics(self) -> Mapping[str, float]:
        """What is told of the watching, for a page of metrics: rows, alerts, how far behind, the last alert."""
        waiting = self._workspace.ledger.predictions.after(self.state.position, deployment_name=self._name, limit=1)
        lag = (self._workspace.clock() - waiting[0][1].at).total_seconds() if waiting else 0.0
        return {
            "watch_rows": self.state.rows,
            "watch_alerts": self.state.alerts,
            "watch_lag_seconds": max(0.0, lag),
            "watch_last_alert_time_seconds": self._last_alert,
        }

    def look(self) -> list[Alert]:
        """Take the predictions that are new, test them, record and send what is found."""
        alerts: list[Alert] = []
        predictions = self._workspace.ledger.predictions
        if not self._reference:
            self._begin()
        while self._reference:
            rows = predictions.after(self.state.position, deployment_name=self._name, limit=BATCH)
            if not rows:
                break
            found = self._observe([prediction for _, prediction in rows])
            self._send(found)
            alerts += found
            self.state = WatchState(rows[-1][0], self.state.rows + len(rows), self.state.alerts + len(found))
            self._heartbeat()
            self._follow_model()
        return alerts

    def _observe(self, rows: list[LoggedPrediction]) -> list[Alert]:
        """The monitor may be slow and far away: the store is not held while it looks."""
        self._ids.extend(row.id for row in rows)
        findings: list[Finding] = self._monitor.observe(self._name, feature_table(rows, self._columns))
        end = self._monitor.position(self._name)
        looks = groupby(findings, key=lambda finding: finding.last)
        with self._workspace.store.database.transaction():
            return [self._alert(list(found), end) for _, found in looks]

    def _alert(self, findings: list[Finding], end: int) -> Alert:
        findings.sort(key=lambda finding: finding.p_value)
        first, last = min(f.first for f in findings), findings[0].last
        alert = Alert(
            id=new_id("alert", now=self._workspace.clock()),
            deployment=self._name,
            at=self._workspace.clock(),
            title=_title(self._name, findings),
            findings=tuple(findings),
            first_prediction=self._prediction(first, end),
            last_prediction=self._prediction(last, end),
        )
        self._record(alert)
        self._last_alert = alert.at.timestamp()
        return alert

    def _send(self, alerts: Sequence[Alert]) -> None:
        """Tell the sinks, after the alerts are in the ledger. What a sink said is kept with the alert."""
        sender = self._workspace.live.adapter("monitoring", "alerts")
        for alert in alerts:
            sent = sender.send(alert, self._sinks)
            self._workspace.ledger.record(Entity(alert.id, "alert", alert.at, {"sent": dict(sent)}))

    def _prediction(self, position: int, end: int) -> str:
        """The identifier of the row at a monitor's position; the oldest that is still known if it is older."""
        return self._ids[max(0, len(self._ids) - (end - position))]

    def _record(self, alert: Alert) -> None:
        deployment = latest_entity(self._workspace, self._name)
        attributes: dict[str, Any] = {
            "deployment": self._name, "title": alert.title, "reference": self._reference,
            "findings": [asdict(finding) for finding in alert.findings],
            "first_prediction": alert.first_prediction, "last_prediction": alert.last_prediction,
            "sinks": list(self._sinks),
        }  # fmt: skip
        links = [] if deployment is None else [Link(alert.id, Relation.USED, deployment.id)]
        self._workspace.ledger.record(Entity(alert.id, "alert", alert.at, attributes), *links)

    def _heartbeat(self, *, force: bool = False) -> None:
        """Record how far the watcher has looked: the evidence that production is being watched."""
        if not self._reference:
            return
        now = time.monotonic()
        due = self.state.position != self._told and now - self._beat >= self._heartbeat_s
        if not due and not force:
            return
        self._beat, self._told = now, self.state.position
        at = self._workspace.clock()
        self._workspace.ledger.record(
            Entity(new_id("monitor", now=at), "monitor", at, {
                "deployment": self._name, "position": self.state.position, "rows": self.state.rows,
                "replay": self._replay, "reference": self._reference,
            })
        )  # fmt: skip

    def _follow_model(self) -> None:
        """Begin anew when another model version became the main one: its reference counts now."""
        deployment = latest_entity(self._workspace, self._name)
        if deployment is None:
            return
        if is_attached(deployment):
            if deployment.id != self._reference:
                self._begin()
            return
        routes: Any = deployment.attributes["routes"]
        model, version, *_ = max(routes, key=lambda route: float(route[3]))
        if f"model:{model}@{version}" != self._reference:
            self._compare_with_main_model()


def live_beats(workspace: Workspace, name: str, *, limit: int = 50) -> list[Entity]:
    """The newest records of watching a deployment, newest first, without those of replays."""
    beats: list[Entity] = workspace.ledger.find("monitor", where={"deployment": name, "replay": False}, limit=limit)
    return beats


def unsent_alerts(workspace: Workspace, name: str, *, limit: int = 100) -> list[Alert]:
    """The newest alerts of a deployment of which no sink was told, oldest first."""
    recorded = workspace.ledger.find("alert", where={"deployment": name}, limit=limit)
    return [_alert_of(entity) for entity in reversed(recorded) if "sent" not in entity.attributes]


def _alert_of(entity: Entity) -> Alert:
    facts: Any = entity.attributes
    return Alert(
        id=entity.id,
        deployment=facts["deployment"],
        at=entity.at,
        title=facts["title"],
        findings=tuple(Finding(**finding) for finding in facts["findings"]),
        first_prediction=facts["first_prediction"],
        last_prediction=facts["last_prediction"],
    )


def position_of(beat: Entity) -> int:
    """The ledger position up to which a record of watching has looked."""
    position: Any = beat.attributes["position"]
    return int(position)


def feature_table(predictions: Sequence[LoggedPrediction], columns: Sequence[str]) -> Table:
    """The features as they were used: one row per prediction, in order; null where one was missing."""
    import polars as pl

    return pl.DataFrame({name: [row.features.get(name) for row in predictions] for name in columns}, strict=False)


def _title(name: str, findings: list[Finding]) -> str:
    strongest = findings[0]
    others = f" and {len(findings) - 1} more" if len(findings) > 1 else ""
    return f"{name}: {strongest.column}{others} differ from the reference ({strongest.effect})"
