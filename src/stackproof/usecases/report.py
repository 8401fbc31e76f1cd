"""The report of a quickstart: gathered from its story and the ledger, written as one page without network."""

import json
import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stackproof import __version__
from stackproof.decide import Decision
from stackproof.roles.features import Value
from stackproof.roles.monitoring import Finding
from stackproof.roles.serving import LoggedPrediction
from stackproof.roles.tracking import ModelVersion, Run
from stackproof.stack.run import CURVES
from stackproof.stack.workspace import Workspace
from stackproof.usecases.drills import Drill, Replay
from stackproof.usecases.report_page.lineage import graph_of
from stackproof.usecases.report_page.page import (
    Command,
    Curve,
    DecisionPart,
    Drift,
    Drifted,
    Line,
    ModelRow,
    MonthRow,
    Notice,
    Page,
    Retraining,
    RoleRow,
    TimelineStep,
    Training,
    Trials,
)
from stackproof.usecases.report_page.rendering import render
from stackproof.usecases.retrain import Retrained

if TYPE_CHECKING:
    from stackproof.usecases.quickstart_story import Story

LOSS = "log_loss"
_TRIAL = ".trial"
_PAGE_ROWS = 5000
_CURVE_ORDER = ("roc", "precision-recall", "calibration")
_STACK_SAYS = "stack.toml says so"


def write_report(workspace: Workspace, story: "Story", path: Path) -> Path:
    """Write the report of a story to `path` and return it; parts that the story did not reach are left out.

    The page is one file that loads nothing and runs no script. Raises `NotFound` when the story
    names what the ledger does not hold.
    """
    path.write_text(render(page_of(workspace, story)), encoding="utf-8")
    return path


def page_of(workspace: Workspace, story: "Story") -> Page:
    """Everything that the report shows. Raises `NotFound` as above."""
    decision: Decision | None = story.decision
    steps = tuple(TimelineStep(step.number, step.name, step.duration_s, step.line) for step in story.steps)
    return Page(
        project=workspace.project.name,
        folder=story.folder.name,
        at=workspace.clock(),
        prediction=story.prediction,
        steps=steps,
        answers=tuple(story.answers),
        decision=None if decision is None else _decision(decision, story.differences),
        lineage=graph_of(workspace.ledger.lineage(story.prediction), story.prediction) if story.prediction else None,
        training=_training(workspace, story) if story.run_ids else None,
        notice=_notice(workspace, story.control, story.change) if story.change else None,
        drift=_drift(workspace, story, story.replay) if story.replay else None,
        commands=tuple(_commands(story)),
        versions=tuple(_versions(workspace, story)),
        ledger_head=workspace.ledger.head(),
    )


def _decision(decision: Decision, differences: Sequence[tuple[str, str, str, str]]) -> DecisionPart:
    running = {role: (decided, runs, because) for role, decided, runs, because in differences}
    rows = []
    for role, choice in decision.roles.items():
        decided, runs, because = running.get(role, ("", "", ""))
        why = (because or _STACK_SAYS) if decided != runs else ""
        rows.append(RoleRow(role, choice, runs, why))
    return DecisionPart(decision.as_of, tuple(rows), decision.assumed)


# ------------------------------------------------------------ training


def _training(workspace: Workspace, story: "Story") -> Training:
    reader = workspace.live.adapter("tracking", "read-runs")
    runs: list[Run] = [reader.get_run(run_id) for run_id in _all_runs(story)]
    models = _models(workspace, runs, story)
    labels = {model.run_id: f"{_short(model.id)}, {model.made_for}" for model in models}
    trained = [run for run in runs if run.id in story.run_ids]
    searched = [trials for run in trained if (trials := _trials(reader, run)) is not None]
    return Training(_curves(reader, trained, labels), searched[-1] if searched else None, models)


def _all_runs(story: "Story") -> list[str]:
    retrained = [story.retrained.run.run_id] if story.retrained else []
    return [*story.run_ids, *retrained]


def _models(workspace: Workspace, runs: Sequence[Run], story: "Story") -> tuple[ModelRow, ...]:
    registry = workspace.live.adapter("tracking", "registry")
    versions: list[ModelVersion] = registry.list_models()
    by_id = {run.id: run for run in runs}
    because = story.retrained.run.run_id if story.retrained else ""
    return tuple(
        ModelRow(
            id=version.id,
            run_id=version.run_id,
            digest=version.digest,
            made_for="retrained after an alert" if version.run_id == because else _made_for(by_id[version.run_id]),
            validated_on=period(by_id[version.run_id].params),
            metrics={n: v for n, v in by_id[version.run_id].metrics.items() if not n.endswith(_TRIAL)},
            aliases=version.aliases,
        )
        for version in versions
        if version.run_id in by_id
    )


def _made_for(run: Run) -> str:
    trials = run.params.get("trials")
    if not isinstance(trials, int):
        return run.name or "training"
    return f"tuned, {trials} trials" if trials else "without a search"


def period(params: Mapping[str, object]) -> str:
    """What a run was validated on, from its parameters: "April 2013", or first day and end; "" when unknown."""
    try:
        first, end = (date.fromisoformat(str(params[name])) for name in ("validate_from", "until"))
    except (KeyError, ValueError):
        return ""
    whole_month = first.day == end.day == 1 and (end.year - first.year) * 12 + end.month - first.month == 1
    return first.strftime("%B %Y") if whole_month else f"{first} to {end}"


def _curves(reader: Any, runs: Sequence[Run], labels: Mapping[str, str]) -> tuple[Curve, ...]:
    found: dict[str, list[tuple[str, Mapping[str, Any]]]] = {}
    for run in runs:
        for curve in _kept_curves(reader, run.id):
            found.setdefault(curve["name"], []).append((labels.get(run.id, run.id), curve))
    known = [name for name in _CURVE_ORDER if name in found]
    return tuple(
        Curve(name, found[name][-1][1]["x"], found[name][-1][1]["y"], tuple(_line(*kept) for kept in found[name]))
        for name in [*known, *sorted(set(found) - set(known))]
    )


def _line(label: str, curve: Mapping[str, Any]) -> Line:
    return Line(label, tuple((float(x), float(y)) for x, y in curve["points"]))


def _kept_curves(reader: Any, run_id: str) -> Iterator[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as scratch:
        for artifact in reader.list_artifacts(run_id):
            if artifact.name.startswith(f"{CURVES}/"):
                file: Path = reader.fetch_artifact(run_id, artifact.name, Path(scratch))
                yield json.loads(file.read_text(encoding="utf-8"))


def _trials(reader: Any, run: Run) -> Trials | None:
    names = sorted(name for name in run.metrics if name.endswith(_TRIAL))
    history = reader.metric_history(run.id, names[0]) if names else []
    values = tuple((point.step, point.value) for point in history if math.isfinite(point.value))
    planned = run.params.get("trials")
    return Trials(run.id, values, planned if isinstance(planned, int) else None) if values else None


# ------------------------------------------------------------ the drill


def _notice(workspace: Workspace, control: Drill | None, change: Drill) -> Notice:
    drill = Notice(
        sent=change.sent,
        control_sent=control.sent if control else 0,
        false_alarms=len(control.alerts) if control else 0,
        to_alert=change.to_alert,
        seconds=change.seconds_at_rate,
    )
    if not change.alerts:
        return drill
    first, *others = _findings(workspace, change.alerts[0])
    drills = [drill for drill in (control, change) if drill is not None]
    values = feature_values(workspace, first.column, drills)
    return Notice(
        drill.sent, drill.control_sent, drill.false_alarms, drill.to_alert, drill.seconds,
        alert_id=change.alerts[0], finding=first, others=tuple(others),
        before=values[control.id] if control else (), after=values[change.id],
    )  # fmt: skip


def _findings(workspace: Workspace, alert_id: str) -> list[Finding]:
    """The findings of an alert, the strongest first."""
    findings: Any = workspace.ledger.get(alert_id).attributes["findings"]
    return [Finding(**finding) for finding in findings]


def feature_values(workspace: Workspace, column: str, drills: Sequence[Drill]) -> dict[str, tuple[Value, ...]]:
    """For each drill the values of a feature as they were used, in the order of its predictions."""
    starts, values = {drill.first: drill for drill in drills}, {drill.id: list[Value]() for drill in drills}
    deployments = {str(workspace.ledger.get(drill.id).attributes["deployment"]) for drill in drills}
    for deployment in sorted(deployments):
        current: Drill | None = None
        for prediction in _served(workspace, deployment):
            current = starts.pop(prediction.id, current)
            if current is not None:
                values[current.id].append(prediction.features.get(column))
                current = None if prediction.id == current.last else current
            if current is None and not starts:
                break
    return {id: tuple(found) for id, found in values.items()}


def _served(workspace: Workspace, deployment: str) -> Iterator[LoggedPrediction]:
    position = 0
    while rows := workspace.ledger.predictions.after(position, deployment_name=deployment, limit=_PAGE_ROWS):
        position = rows[-1][0]
        yield from (prediction for _, prediction in rows)


# ------------------------------------------------------------ the later months


def _drift(workspace: Workspace, story: "Story", replay: Replay) -> Drift:
    return Drift(
        sent=replay.drill.sent,
        alerts=len(replay.drill.alerts),
        months=tuple(_months(workspace, story)),
        features=_drifted(workspace, replay.drill.alerts),
        retraining=_retraining(story.retrained) if story.retrained else None,
    )


def _months(workspace: Workspace, story: "Story") -> Iterator[MonthRow]:
    """The month of the run that was deployed, the months served, and the month of the run that followed."""
    if story.run_ids:
        yield from _validation(workspace, story.run_ids[-1], "the deployed model")
    for month, performance in story.performance.items():
        yield MonthRow(f"{month}, served", performance.log_loss, True, performance)
    if story.retrained:
        yield from _validation(workspace, story.retrained.run.run_id, "retrained")


def _validation(workspace: Workspace, run_id: str, what: str) -> Iterator[MonthRow]:
    run: Run = workspace.live.adapter("tracking", "read-runs").get_run(run_id)
    if LOSS in run.metrics:
        yield MonthRow(f"{period(run.params) or 'Validation'}, {what}", run.metrics[LOSS], False)


def _drifted(workspace: Workspace, alerts: Sequence[str]) -> tuple[Drifted, ...]:
    """By column, the one that most alerts name first; test and effect are those first found."""
    found: dict[str, list[Finding]] = {}
    for alert in alerts:
        for finding in _findings(workspace, alert):
            found.setdefault(finding.column, []).append(finding)
    rows = [Drifted(column, same[0].test, same[0].effect, len(same)) for column, same in found.items()]
    return tuple(sorted(rows, key=lambda row: (-row.alerts, row.column)))


def _retraining(retrained: Retrained) -> Retraining:
    routes = retrained.deployment.routes
    total = sum(route.weight for route in routes)
    models = retrained.run.models
    return Retraining(
        retrained.alert_id, retrained.run.run_id, models[-1].id if models else "no model", retrained.deployment.id,
        tuple((_short(route.model_id), route.weight / total) for route in routes),
    )  # fmt: skip


# ------------------------------------------------------------ how to go on


def _commands(story: "Story") -> Iterator[Command]:
    if story.prediction:
        yield Command(
            f"stackproof trace {story.prediction} --rows training-rows",
            "The path of this prediction, every piece verified; writes the exact training rows as Parquet files.",
        )
    yield Command("stackproof ready", "The three questions, asked again: exit code 0 when all are answered yes.")
    if story.run_ids:
        yield Command(
            f"stackproof reproduce {story.run_ids[-1]}",
            "Runs this training again in a new environment built from its lock, and compares metrics and digests.",
        )
    if story.change and story.change.alerts:
        yield Command(f"stackproof show {story.change.alerts[0]}", "The alert with its evidence, and what led to it.")
    yield Command("stackproof runs", "Every run with its metrics.")


def _versions(workspace: Workspace, story: "Story") -> Iterator[tuple[str, str]]:
    yield "Stackproof", __version__
    if story.run_ids:
        run: Any = workspace.ledger.get(story.run_ids[-1]).attributes
        for environment in workspace.ledger.find("env", where={"digest": run.get("environment")}, limit=1):
            facts = environment.attributes
            yield "Environment", f"{environment.id}, Python {facts.get('python')}, {facts.get('system')}"
    if story.decision is not None:
        yield "Facts", f"{story.decision.facts_digest}, as of {story.decision.as_of}"


def _short(identifier: str) -> str:
    return identifier.partition(":")[2] or identifier
