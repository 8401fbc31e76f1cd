"""Drills: send known streams through a live deployment, and see whether the watcher notices."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stackproof.errors import Unavailable
from stackproof.ledger import Entity, Link, Relation
from stackproof.roles.monitoring import Finding, Policy
from stackproof.roles.serving import Signature
from stackproof.stack.models import Model, column_kinds
from stackproof.stack.watching import feature_table, live_beats, position_of
from stackproof.stack.workspace import Workspace
from stackproof.store import new_id
from stackproof.usecases.traffic import Client, send

if TYPE_CHECKING:
    import polars as pl

BATCH = 10
REPLAY_BATCH = 200
LIMIT = 3000
OVERVIEW = 4000
UNIT_CHANGE = "unit change"
WATCH_STALLED_S = 120.0


@dataclass(frozen=True, slots=True)
class Drill:
    """One drill. `sent`: predictions in all. `to_alert`: predictions from the change to the look that alarmed,
    None when nothing was noticed. `first`, `last`: prediction identifiers. `alerts`: alert identifiers.
    """

    id: str
    name: str
    sent: int
    to_alert: int | None
    seconds_at_rate: float | None
    alerts: tuple[str, ...]
    first: str
    last: str


@dataclass(frozen=True, slots=True)
class Replay:
    """A stream sent in its own order. `predicted`: probability by row key, in order."""

    drill: Drill
    prediction_ids: Mapping[str, str]
    predicted: Mapping[str, float]


def control_stream(workspace: Workspace, client: Client, deployment: str, rows: "pl.DataFrame", as_of: str) -> Drill:
    """Send rows like the reference. Every alert is a false one."""
    before = _alert_ids(workspace, deployment)
    ids: list[str] = []
    for sent, answer in send(client, rows, as_of=as_of, batch=REPLAY_BATCH):
        ids += answer.prediction_ids
        workspace.progress("control stream", sent, rows.height)
    wait_until_watched(workspace, deployment)
    alerts = _alert_ids(workspace, deployment) - before
    return _record(workspace, deployment, "control", ids, None, None, alerts)


def unit_change(
    workspace: Workspace, client: Client, deployment: str, rows: "pl.DataFrame", as_of: str, per_second: float
) -> Drill:
    """Send rows after a change that the watcher was not told of, until it alerts or `LIMIT` were sent."""
    before = _alert_ids(workspace, deployment)
    ids: list[str] = []
    for sent, answer in send(client, rows.head(LIMIT), as_of=as_of, batch=BATCH):
        ids += answer.prediction_ids
        workspace.progress("after the change", sent, None)
        if _alert_ids(workspace, deployment) - before:
            break
    wait_until_watched(workspace, deployment)
    alerts = _alert_ids(workspace, deployment) - before
    to_alert = min((_predictions_to(workspace, alert, ids) for alert in alerts), default=None)
    seconds = None if to_alert is None else to_alert / per_second
    return _record(workspace, deployment, UNIT_CHANGE, ids, to_alert, seconds, alerts)


def replay_in_order(
    workspace: Workspace, client: Client, deployment: str, rows: "pl.DataFrame", keys: list[str], as_of: str
) -> Replay:
    """Send rows in their own order, `keys` naming them. What the watcher finds is a drift that is real."""
    before = _alert_ids(workspace, deployment)
    ids: list[str] = []
    values: list[float] = []
    for sent, answer in send(client, rows, as_of=as_of, batch=REPLAY_BATCH):
        ids += answer.prediction_ids
        values += answer.values
        workspace.progress("June and July", sent, rows.height)
    wait_until_watched(workspace, deployment)
    alerts = _alert_ids(workspace, deployment) - before
    drill = _record(workspace, deployment, "replay", ids, None, None, alerts)
    return Replay(drill, dict(zip(keys, ids, strict=True)), dict(zip(keys, values, strict=True)))


def drift_over_all(workspace: Workspace, package: Path, ids: Sequence[str]) -> list[Finding]:
    """What differs from the model's reference over a whole stream, the largest difference first.

    One look at `OVERVIEW` predictions spread evenly over the stream: unlike the looks at a few hundred
    neighbours, it does not mistake the order of the hours and days for a change.
    """
    model = Model(package, Signature.read(package))
    reference = model.reference()
    if reference is None:
        return []
    chosen = ids[:: max(1, len(ids) // OVERVIEW)]
    kinds = column_kinds(model.signature)
    rows = feature_table([workspace.ledger.predictions.get(identifier) for identifier in chosen], list(kinds))
    monitor = workspace.live.adapter("monitoring", "drift")
    monitor.start("overview", reference, kinds, Policy(window=len(chosen), every=len(chosen)))
    found: list[Finding] = monitor.observe("overview", rows)
    return sorted(found, key=lambda finding: -finding.statistic)


def wait_until_watched(workspace: Workspace, deployment: str) -> None:
    """Return once the watcher has looked at every prediction. Raises `Unavailable` when it stands still."""
    target = workspace.ledger.predictions.latest_position(deployment_name=deployment)
    looked, since = -1, time.monotonic()
    while time.monotonic() - since < WATCH_STALLED_S:
        position = max((position_of(beat) for beat in live_beats(workspace, deployment, limit=1)), default=-1)
        if position >= target:
            return
        if position > looked:
            looked, since = position, time.monotonic()
        time.sleep(0.05)
    raise Unavailable(
        f"The watcher of {deployment!r} has not looked at all predictions", got=f"position {looked} of {target}",
        next_command=f"stackproof watch {deployment} --once",
    )  # fmt: skip


def _alert_ids(workspace: Workspace, deployment: str) -> set[str]:
    return {alert.id for alert in workspace.ledger.find("alert", where={"deployment": deployment}, limit=10_000)}


def _predictions_to(workspace: Workspace, alert_id: str, ids: list[str]) -> int:
    """How many of `ids` had been served at the look that raised the alert."""
    last = workspace.ledger.get(alert_id).attributes["last_prediction"]
    return ids.index(str(last)) + 1 if last in ids else 0


def _record(
    workspace: Workspace, deployment: str, name: str, ids: list[str], to_alert: int | None,
    seconds: float | None, alerts: set[str],
) -> Drill:  # fmt: skip
    at = workspace.clock()
    drill = Drill(new_id("drill", now=at), name, len(ids), to_alert, seconds, tuple(sorted(alerts)), ids[0], ids[-1])
    attributes: dict[str, Any] = {
        "deployment": deployment, "name": name, "sent": drill.sent, "to_alert": to_alert,
        "seconds_at_rate": seconds, "first": drill.first, "last": drill.last,
    }  # fmt: skip
    links = [Link(drill.id, Relation.USED, alert) for alert in drill.alerts]
    workspace.ledger.record(Entity(drill.id, "drill", at, attributes), *links)
    return drill
