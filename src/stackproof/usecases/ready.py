"""The three questions: can you reproduce, do you notice, can you trace? Answered with evidence."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import pairwise
from typing import Any

from stackproof.errors import Conflict, NotFound
from stackproof.ledger import Entity
from stackproof.stack.attached import missing_for_reference
from stackproof.stack.deployments import latest_entity
from stackproof.stack.watching import live_beats, position_of
from stackproof.stack.workspace import Workspace
from stackproof.usecases.drills import UNIT_CHANGE
from stackproof.usecases.reproduce import reproduce
from stackproof.usecases.trace import latest_prediction, trace
from stackproof.usecases.trace_attached import run_behind

NOTICE_WITHIN_S = 300.0
BEATS = 500
"""How many of the newest records of watching are looked at."""


@dataclass(frozen=True, slots=True)
class Answer:
    """`yes` rests on `evidence`; otherwise `evidence` says what is missing. `ids`: what to `show`."""

    name: str
    question: str
    yes: bool
    evidence: tuple[str, ...]
    ids: tuple[str, ...]
    next_command: str = ""


QUESTIONS = {
    "reproduce": "Can you reproduce a given training run from three months ago?",
    "notice": "Do you know within five minutes that production behaves differently from validation?",
    "trace": "Can a new engineer trace one production prediction back to the exact training data behind it?",
}


def ready(workspace: Workspace, *, prediction: str | None = None, only: Sequence[str] = ()) -> list[Answer]:
    """Answer the three questions, or those named in `only`.

    *Reproduce* runs the training run behind the newest prediction again; *trace* follows that
    prediction, or the one given. Raises `NotFound` for a prediction that the ledger does not hold.
    """
    if prediction is not None:
        workspace.ledger.predictions.get(prediction)
    asked: dict[str, Callable[[], Answer]] = {
        "reproduce": partial(_reproduce, workspace, prediction),
        "notice": partial(_notice, workspace),
        "trace": partial(_trace, workspace, prediction),
    }
    return [answer() for name, answer in asked.items() if not only or name in only]


def _reproduce(workspace: Workspace, prediction: str | None) -> Answer:
    try:
        run_id = _run_to_reproduce(workspace, prediction)
        result = reproduce(workspace, run_id)
    except (NotFound, Conflict) as missing:
        return _no("reproduce", str(missing), missing.next_command or "stackproof run PIPELINE")
    if result.problem:
        return _no("reproduce", result.problem, f"stackproof show {run_id}", (run_id, result.id))
    same = sum(item.same for item in result.compared)
    evidence = [
        f"{run_id} was run again in {result.run_s:.1f} s, in a new environment built in {result.environment_s:.1f} s",
        f"{same} of {len(result.compared)} compared figures and digests are the same",
        *(f"{item.what}: {item.recorded}" for item in result.compared if item.same and item.what.startswith("model")),
        *(f"{item.what} differs: {item.recorded} became {item.again}" for item in result.compared if not item.same),
    ]
    return Answer(
        "reproduce",
        QUESTIONS["reproduce"],
        result.ok,
        tuple(evidence),
        (run_id, result.id),
        f"stackproof reproduce {run_id}",
    )


def _run_to_reproduce(workspace: Workspace, prediction: str | None) -> str:
    """The run behind the prediction; the newest finished run when nothing was served yet."""
    try:
        served = workspace.ledger.predictions.get(prediction or latest_prediction(workspace))
    except NotFound:
        if prediction is not None:
            raise
        finished = workspace.ledger.find("run", where={"status": "finished"}, limit=1)
        if not finished:
            raise NotFound("No run has finished yet", next_command="stackproof run PIPELINE") from None
        return str(finished[0].id)
    return run_behind(workspace.ledger, workspace.ledger.get(served.model))


def _notice(workspace: Workspace) -> Answer:
    """Yes when all served predictions were looked at in time and an alert shows that a change was noticed in time."""
    names = sorted({str(e.attributes["name"]) for e in workspace.ledger.find("deployment", limit=1000)})
    if not names:
        return _no("notice", "Nothing is deployed, so there is nothing to notice", "stackproof deploy NAME 1=1.0")
    evidence: list[str] = []
    ids: list[str] = []
    ok = True
    for name in names:
        covered, text, identifier = _coverage(workspace, name)
        ok, evidence = ok and covered, [*evidence, text]
        ids += [identifier] if identifier else []
    alert = _timely_alert(workspace, names)
    if alert is None:
        evidence.append(
            "no alert shows that a change was noticed within five minutes: run a drill (stackproof quickstart does)"
        )
        return Answer("notice", QUESTIONS["notice"], False, tuple(evidence), tuple(ids), "stackproof watch NAME")
    facts: Any = alert.attributes
    finding = facts["findings"][0]
    evidence.append(f"{alert.id}: {facts['title']}")
    evidence.append(
        f"{finding['test']} on {finding['column']}: p = {finding['p_value']:.2g}, below {finding['threshold']:.2g};"
        f" first looked-at prediction to alert: {_seconds_to_alert(workspace, alert):.1f} s"
    )
    return Answer("notice", QUESTIONS["notice"], ok, tuple(evidence), (*ids, alert.id), f"stackproof show {alert.id}")


def _coverage(workspace: Workspace, name: str) -> tuple[bool, str, str]:
    """Whether each prediction of the last day was looked at within five minutes, and those since are not late yet."""
    predictions = workspace.ledger.predictions
    beats = live_beats(workspace, name, limit=BEATS)
    if not beats:
        return False, f"{name}: {_unwatched(workspace, name)}", ""
    newest = beats[0]
    worst = max((_wait_s(workspace, name, earlier, later) for later, earlier in pairwise(beats)), default=0.0)
    waiting = predictions.after(position_of(newest), deployment_name=name, limit=1)
    if waiting:
        worst = max(worst, (workspace.clock() - waiting[0][1].at).total_seconds())
    if worst > NOTICE_WITHIN_S:
        return False, f"{name}: a prediction had to wait {worst:.0f} s to be looked at", newest.id
    looked = position_of(newest)
    return (
        True,
        f"{name}: all predictions up to position {looked} were looked at, none later than {worst:.0f} s",
        newest.id,
    )


def _unwatched(workspace: Workspace, name: str) -> str:
    state = latest_entity(workspace, name)
    given: Any = {} if state is None else state.attributes.get("reference", {})
    if state is not None and workspace.ledger.predictions.count(state.id) < given.get("first", 0):
        return f"a monitor waits for {missing_for_reference(workspace, state)}"
    return "no monitor ever watched it"


def _wait_s(workspace: Workspace, name: str, earlier: Entity, later: Entity) -> float:
    """How long the first prediction after one look waited for the next; 0 when there was none, or a day ago."""
    first = workspace.ledger.predictions.after(position_of(earlier), deployment_name=name, limit=1)
    if not first or first[0][0] > position_of(later) or workspace.clock() - later.at > timedelta(days=1):
        return 0.0
    return float((later.at - first[0][1].at).total_seconds())


def _timely_alert(workspace: Workspace, names: Sequence[str]) -> Entity | None:
    """An alert raised within five minutes of the first prediction that it rests on: a drill's, else the newest."""
    drilled = [
        link.target
        for drill in workspace.ledger.find("drill", where={"name": UNIT_CHANGE}, limit=1)
        for link in workspace.ledger.links_from(drill.id)
    ]
    candidates = [workspace.ledger.get(identifier) for identifier in drilled]
    candidates += [
        alert for alert in workspace.ledger.find("alert", limit=200) if alert.attributes["deployment"] in names
    ]
    timely = (alert for alert in candidates if _seconds_to_alert(workspace, alert) <= NOTICE_WITHIN_S)
    return next(timely, None)


def _seconds_to_alert(workspace: Workspace, alert: Entity) -> float:
    first = workspace.ledger.predictions.get(str(alert.attributes["first_prediction"]))
    at: datetime = alert.at
    return (at - first.at).total_seconds()


def _trace(workspace: Workspace, prediction: str | None) -> Answer:
    try:
        found = trace(workspace, prediction or latest_prediction(workspace))
    except NotFound as missing:
        return _no("trace", str(missing), missing.next_command or "stackproof serve NAME")
    rows = ", ".join(f"{table.rows:,} rows of {table.name}" for table in found.tables)
    told = tuple(
        f"training data that {it.by} recorded, not verified: {it.id}, {it.detail}" for it in found.recorded_data
    )
    unknown = tuple(f"not known: {gap}" for gap in found.gaps)
    whole = [f"{piece.what}: {piece.id}" for piece in found.path if piece.ok]
    broken = [f"{piece.what} {piece.id} is damaged or missing: {piece.detail}" for piece in found.path if not piece.ok]
    evidence = (
        (*broken, " → ".join(whole), f"the exact training data: {rows}") if rows else (*broken, " → ".join(whole))
    )
    return Answer(
        "trace", QUESTIONS["trace"], found.ok and bool(found.tables or told), (*evidence, *told, *unknown),
        (found.prediction.id,),
        f"stackproof trace {found.prediction.id}",
    )  # fmt: skip


def _no(name: str, why: str, next_command: str, ids: tuple[str, ...] = ()) -> Answer:
    return Answer(name, QUESTIONS[name], False, (why,), ids, next_command)
