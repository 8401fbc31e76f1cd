"""The report gathered from a real ledger and real runs, and written."""

import json
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from stackproof.decide.decision import Cost, Decision, Readiness, Reason, RoleDecision
from stackproof.ledger import Entity, Link, Relation
from stackproof.roles.monitoring import Performance
from stackproof.roles.serving import Deployment, LoggedPrediction, Route
from stackproof.roles.tracking import Metric, RunStatus
from stackproof.stack.pipeline import PipelineRun
from stackproof.stack.project import Project
from stackproof.stack.workspace import Workspace, open_workspace
from stackproof.usecases.drills import Drill, Replay
from stackproof.usecases.quickstart_story import StepDone, Story
from stackproof.usecases.ready import QUESTIONS, Answer
from stackproof.usecases.report import page_of, period, write_report
from stackproof.usecases.retrain import Retrained

NOW = datetime(2026, 11, 21, 14, 5, tzinfo=UTC)
HOSTILE = '<script>alert("1")</script>'


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    project = Project("flights", str(tmp_path / "flights.py"))
    with open_workspace(project, home=tmp_path / "home", clock=lambda: NOW) as workspace:
        yield workspace


def finish_run(workspace: Workspace, run_id: str, *, trials: int, month: int, log_loss: float) -> str:
    """A finished run with metrics, a curve and a registered model; returns the model's identifier."""
    writer = workspace.live.adapter("tracking", "write-runs")
    params = {"trials": trials, "validate_from": f"2013-{month:02}-01", "until": f"2013-{month + 1:02}-01"}
    workspace.ledger.record(
        Entity(run_id, "run", NOW, {"pipeline": "train", "params": params, "environment": "sha256:e"})
    )
    writer.start_run("flights", run_id=run_id, name="train")
    writer.log_params(run_id, params)
    points = [Metric("log_loss", log_loss, 0, NOW), Metric("auc", 0.7, 0, NOW)]
    points += [Metric("tune.trial", 0.5 - n / 100, n, NOW) for n in range(0, trials, 2)]
    writer.log_metrics(run_id, points)
    curve = workspace.home / "roc.json"
    curve.write_text(json.dumps({"name": "roc", "points": [[0, 0], [0.5, 0.8], [1, 1]], "x": "fpr", "y": "tpr"}))
    writer.log_artifact(run_id, "curves/roc.json", curve)
    package = workspace.home / run_id.replace(":", "-")
    package.mkdir()
    (package / "model.json").write_text(run_id)
    version = workspace.live.adapter("tracking", "registry").register_model("delay", package, run_id=run_id)
    writer.end_run(run_id, RunStatus.FINISHED)
    workspace.ledger.record(
        Entity(version.id, "model", NOW, {"name": "delay", "version": version.version, "digest": version.digest}),
        Link(version.id, Relation.REGISTERED_FROM, run_id),
    )
    return version.id


def serve(workspace: Workspace, values: Sequence[float | str | None], model: str = "model:delay@1") -> list[str]:
    """Log one prediction for each value of wind_speed; returns their identifiers."""
    first = workspace.ledger.predictions.latest_position() + 1
    made = [
        LoggedPrediction(
            id=f"prediction:{first + n:06}", request_id="r", deployment="deployment:delay@1", model=model,
            at=NOW + timedelta(seconds=n), event_time=None, entity={}, features={"wind_speed": value}, sources={},
            output={"probability": 0.25},
        )
        for n, value in enumerate(values)
    ]  # fmt: skip
    problems: list[BaseException | None] = []
    workspace.ledger.predictions.append(made, problems.append)
    workspace.store.database.flush()
    assert problems == [None]
    return [prediction.id for prediction in made]


def alert(workspace: Workspace, number: int, *columns: str) -> str:
    findings = [
        {"column": column, "test": "Kolmogorov-Smirnov", "statistic": 0.4, "p_value": 3e-15, "threshold": 2e-8,
         "effect": "median 10.4 -> 4.6", "first": 0, "last": 9, "hint": "mph became m/s?"}
        for column in columns
    ]  # fmt: skip
    entity = Entity(f"alert:{number}", "alert", NOW, {"deployment": "delay", "findings": findings})
    workspace.ledger.record(entity)
    return entity.id


def drill(workspace: Workspace, name: str, ids: Sequence[str], alerts: Sequence[str], to_alert: int | None) -> Drill:
    made = Drill(f"drill:{name}", name, len(ids), to_alert, 10.0 if to_alert else None, tuple(alerts), ids[0], ids[-1])
    workspace.ledger.record(Entity(made.id, "drill", NOW, {"deployment": "delay", "name": name}))
    return made


def decision(text: str = "one person can run it") -> Decision:
    roles = {
        "tracking": RoleDecision("use", "mlflow", (Reason(text, "tree", "Tracking guide", None),)),
        "automl": RoleDecision("defer", "embedded", (Reason("no model yet", "gate", "Guide", date(2024, 1, 2)),)),
    }
    return Decision(
        "0.1.0", date(2026, 11, 21), "sha256:f", {}, (), roles, Cost((0, 0), ()), Readiness(None, (), ()), ()
    )


@pytest.fixture
def story(workspace: Workspace, tmp_path: Path) -> Story:
    """What a whole quickstart leaves behind, small."""
    story = Story(tmp_path / "my-flights")
    story.steps = [StepDone(1, "Decide", 0.4, "1 role uses a tool"), StepDone(2, "Data", 3.0, "9 rows")]
    story.decision = decision()
    story.differences = [("tracking", "mlflow", "embedded", "no adapter yet"), ("automl", "embedded", "embedded", "")]
    story.run_ids = ["run:A", "run:B"]
    finish_run(workspace, "run:A", trials=0, month=4, log_loss=0.46)
    finish_run(workspace, "run:B", trials=6, month=4, log_loss=0.45)
    workspace.ledger.record(
        Entity("env:1", "env", NOW, {"digest": "sha256:e", "python": "3.11.7", "system": "x86_64 Linux"}),
        Entity("deployment:delay@1", "deployment", NOW, {"name": "delay", "routes": [["delay", 1, "d", 1.0]]}),
        Link("deployment:delay@1", Relation.DEPLOYED_AS, "model:delay@1"),
    )
    serve(workspace, [1.0])
    control = serve(workspace, [10.0, None, 12.0, 11.0])
    serve(workspace, [77.0])
    change = serve(workspace, [4.0, 5.0, None])
    story.control = drill(workspace, "control", control, [], None)
    story.change = drill(workspace, "change", change, [alert(workspace, 1, "wind_speed", "wind_gust")], 2)
    later = serve(workspace, [9.0, 9.0])
    alerts = [alert(workspace, 2, "temp"), alert(workspace, 3, "dewp", "temp")]
    story.replay = Replay(drill(workspace, "replay", later, alerts, None), {}, {})
    story.performance = {"June": Performance(2, 0.61, 0.2, None, 0.3, 0.2)}
    finish_run(workspace, "run:C", trials=6, month=7, log_loss=0.57)
    model = workspace.live.adapter("tracking", "registry").get_model("delay", 3)
    routes = (Route("delay", 2, tmp_path, 0.9), Route("delay", 3, tmp_path, 0.1))
    run = PipelineRun("run:C", {}, {}, (), (model,))
    story.retrained = Retrained("alert:2", run, Deployment("deployment:delay@2", "delay", routes))
    story.prediction = change[0]
    story.answers = [Answer("trace", QUESTIONS["trace"], True, ("a → b",), ())]
    return story


def test_a_story_that_reached_nothing_gives_a_page_that_says_so(workspace: Workspace, tmp_path: Path) -> None:
    file = write_report(workspace, Story(tmp_path / "my-flights"), tmp_path / "report.html")

    page = file.read_text(encoding="utf-8")
    assert "The three questions were not asked yet" in page
    assert "No model was trained yet." in page
    assert page.count("<section") == 7


def test_a_whole_story_gives_every_part_of_the_page(workspace: Workspace, story: Story, tmp_path: Path) -> None:
    file = write_report(workspace, story, tmp_path / "report.html")

    page = file.read_text(encoding="utf-8")
    for text in ("mlflow", "model:delay@3", "alert:1", "stackproof reproduce run:B", workspace.ledger.head()):
        assert text in page
    for picture in ("lineage", "curve-roc", "trials", "histograms", "strip-wide", "months"):
        assert f'id="{picture}-title"' in page
    assert file.stat().st_size < 400_000


@pytest.mark.parametrize(
    "part", ["steps", "decision", "differences", "run_ids", "control", "change", "replay", "performance", "retrained",
             "prediction", "answers"],
)  # fmt: skip
def test_a_story_that_lacks_one_part_still_gives_a_page(
    workspace: Workspace, story: Story, tmp_path: Path, part: str
) -> None:
    setattr(story, part, getattr(Story(tmp_path), part))

    assert write_report(workspace, story, tmp_path / "report.html").stat().st_size > 10_000


def test_the_drill_shows_the_feature_of_the_alert_as_it_was_used_before_and_after(
    workspace: Workspace, story: Story
) -> None:
    notice = page_of(workspace, story).notice

    assert notice is not None
    assert notice.finding is not None
    assert notice.finding.column == "wind_speed"
    assert notice.before == (10.0, None, 12.0, 11.0)
    assert notice.after == (4.0, 5.0, None)
    assert [other.column for other in notice.others] == ["wind_gust"]
    assert (notice.to_alert, notice.false_alarms) == (2, 0)


def test_a_change_that_nothing_noticed_is_shown_as_not_noticed(
    workspace: Workspace, story: Story, tmp_path: Path
) -> None:
    story.change = drill(workspace, "quiet", serve(workspace, [1.0, 2.0]), [], None)

    page = write_report(workspace, story, tmp_path / "report.html").read_text(encoding="utf-8")

    assert "2 predictions after the change raised no alert" in page
    assert 'id="histograms-title"' not in page


def test_training_shows_a_curve_of_each_trained_run_and_the_trials_of_the_search(
    workspace: Workspace, story: Story
) -> None:
    training = page_of(workspace, story).training

    assert training is not None
    assert [line.label for line in training.curves[0].lines] == [
        "delay@1, without a search",
        "delay@2, tuned, 6 trials",
    ]
    assert training.trials is not None
    assert training.trials.values == ((0, 0.5), (2, 0.48), (4, 0.46))
    assert [model.made_for for model in training.models][-1] == "retrained after an alert"
    assert [model.validated_on for model in training.models] == ["April 2013", "April 2013", "July 2013"]
    assert all(set(model.metrics) == {"auc", "log_loss"} for model in training.models)


def test_the_error_by_month_stands_between_both_validations(workspace: Workspace, story: Story) -> None:
    drift = page_of(workspace, story).drift

    assert drift is not None
    assert [(month.label, month.log_loss) for month in drift.months] == [
        ("April 2013, the deployed model", 0.45), ("June, served", 0.61), ("July 2013, retrained", 0.57),
    ]  # fmt: skip
    assert [(item.column, item.alerts) for item in drift.features] == [("temp", 2), ("dewp", 1)]
    assert drift.retraining is not None
    assert drift.retraining.routes == (("delay@2", 0.9), ("delay@3", 0.1))


def test_what_runs_is_explained_only_where_it_differs_from_the_decision(workspace: Workspace, story: Story) -> None:
    decided = page_of(workspace, story).decision

    assert decided is not None
    assert [(row.runs, row.runs_because) for row in decided.roles] == [("embedded", "no adapter yet"), ("embedded", "")]


def test_no_text_can_become_markup(workspace: Workspace, story: Story, tmp_path: Path) -> None:
    story.decision = decision(HOSTILE)
    story.steps = [StepDone(1, HOSTILE, 0.1, HOSTILE)]
    story.answers = [Answer(HOSTILE, HOSTILE, False, (HOSTILE, f"{HOSTILE} → b", HOSTILE * 20), ())]
    story.change = drill(workspace, "odd", serve(workspace, [HOSTILE, None]), [alert(workspace, 9, HOSTILE)], 1)
    workspace.ledger.record(Entity(f"data:{HOSTILE}@1", "data", NOW, {"name": HOSTILE, "rows": 3}))
    workspace.ledger.record(Link("deployment:delay@1", Relation.USED, f"data:{HOSTILE}@1"))

    page = write_report(workspace, story, tmp_path / "report.html").read_text(encoding="utf-8")

    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 8


def test_the_page_needs_nothing_from_elsewhere(workspace: Workspace, story: Story, tmp_path: Path) -> None:
    page = write_report(workspace, story, tmp_path / "report.html").read_text(encoding="utf-8")

    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:" in page
    assert re.findall(r'(?:src|href|action)="(?!#|data:)[^"]*"', page) == []
    assert not re.search(r"https?://|url\(|@import", page)
    assert str(tmp_path) not in page


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"validate_from": "2013-04-01", "until": "2013-05-01"}, "April 2013"),
        ({"validate_from": "2013-12-01", "until": "2014-01-01"}, "December 2013"),
        ({"validate_from": "2013-04-01", "until": "2013-06-01"}, "2013-04-01 to 2013-06-01"),
        ({"validate_from": "soon", "until": "2013-06-01"}, ""),
        ({}, ""),
    ],
)
def test_what_a_run_was_validated_on_is_named_by_its_month(params: dict[str, str], expected: str) -> None:
    assert period(params) == expected
