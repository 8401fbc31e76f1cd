"""A page with values like those of a real quickstart. Not a test; loaded by path."""

import random
from dataclasses import replace
from datetime import UTC, date, datetime

from stackproof.decide.decision import Alternative, Assumed, Reason, Rejected, RoleDecision, Warned
from stackproof.ledger import Entity, Lineage, Link, Relation
from stackproof.roles import ROLES
from stackproof.roles.monitoring import Finding, Performance
from stackproof.usecases.ready import QUESTIONS, Answer
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

AT = datetime(2026, 11, 21, 14, 5, tzinfo=UTC)
RUNS = ("run:01KARX5Q0T3M8N2Y7B4C9D6E1F", "run:01KARX64ZP7W5V3S1R8Q2K9J0H")
PREDICTION = "prediction:01KARX7A2B3C4D5E6F7G8H9J0K"
ALERT = "alert:01KARX8M1N2P3Q4R5S6T7V8W9X"
CODE, ENVIRONMENT = "code:5ad0c1f29e77", "env:90be3c55d1a4"


def sample_page() -> Page:
    return Page(
        project="flights",
        folder="flights-quickstart",
        at=AT,
        prediction=PREDICTION,
        steps=steps(),
        answers=answers(),
        decision=decision(),
        lineage=graph_of(lineage(), PREDICTION),
        training=training(),
        notice=notice(),
        drift=drift(),
        commands=(
            Command(
                f"stackproof trace {PREDICTION}", "The path of this prediction, every piece verified by its digest."
            ),
            Command("stackproof ready", "The three questions, asked again."),
            Command(f"stackproof reproduce {RUNS[1]}", "Runs the training again in a new environment and compares."),
        ),
        versions=(("Stackproof", "0.1.0"), ("Python", "3.11.7, x86_64 Linux"), ("Facts", "sha256:77ab01")),
        ledger_head="sha256:" + "4f" * 32,
    )


def steps() -> tuple[TimelineStep, ...]:
    found = [
        ("Decide", 0.31, "6 roles use a tool, 3 can wait; written to decision/"),
        ("Data", 4.8, "812,403 rows in 6 datasets, 5 real faults found"),
        ("Features", 6.2, "78,431 training and 27,662 validation rows with 17 features as known at each departure"),
        ("Train", 18.4, "model:delay@1 and model:delay@2 registered, AUC 0.713 untuned and 0.728 tuned"),
        ("Serve", 3.1, "deployment:delay@1 answers: version 2 with 90 %, version 1 with 10 %"),
        ("Notice", 9.7, "mph became m/s; noticed after 75 predictions, 33 s at 2.3 predictions a second"),
        (
            "Drift and retrain",
            14.9,
            "41 alerts in 55,368 predictions; log loss 0.452 in April, June 0.611, July 0.634; retrained: 0.571",
        ),
        ("Three questions", 11.2, "reproduce: yes, notice: yes, trace: yes"),
    ]
    return tuple(TimelineStep(n, name, s, line) for n, (name, s, line) in enumerate(found, start=1))


def answers() -> tuple[Answer, ...]:
    way = " → ".join(
        f"{what}: {id}"
        for what, id in [
            ("prediction", PREDICTION),
            ("deployment", "deployment:delay@1"),
            ("model version", "model:delay@2"),
            ("run", RUNS[1]),
            ("code", CODE),
            ("environment", ENVIRONMENT),
            ("feature view", "features:weather_now@1c2d3e4f5a6b"),
            ("dataset version", "data:flights@3fa2b1c09d7e"),
            ("rows", f"examples of {RUNS[1]}"),
            ("ledger", "1,204 batches"),
        ]
    )
    return (
        Answer(
            "reproduce",
            QUESTIONS["reproduce"],
            True,
            (
                f"{RUNS[1]} was run again in a new environment (built in 3.9 s, run in 7.1 s)",
                "8 of 8 compared figures and digests are the same",
                "metric auc: 0.7281934412",
                "model delay: sha256:" + "9a3c" * 16,
            ),
            (RUNS[1],),
            f"stackproof reproduce {RUNS[1]}",
        ),
        Answer(
            "notice",
            QUESTIONS["notice"],
            True,
            (
                "delay: all predictions up to position 62,101 were looked at",
                f"{ALERT}: delay: wind_speed and 1 more differ from the reference (median 10.4 -> 4.6)",
                "two-sample Kolmogorov-Smirnov test on wind_speed: p = 3.1e-15, below 2.1e-08",
            ),
            (ALERT,),
            f"stackproof show {ALERT}",
        ),
        Answer(
            "trace",
            QUESTIONS["trace"],
            True,
            (way, "the exact training data: 106,093 rows of examples"),
            (PREDICTION,),
            f"stackproof trace {PREDICTION}",
        ),
    )


def decision() -> DecisionPart:
    tools = {
        "tracking": "mlflow",
        "features": "feast",
        "serving": "bentoml",
        "tuning": "optuna",
        "monitoring": "evidently",
        "validation": "deepchecks",
    }
    rejected = (
        Rejected("neptune", "discontinued", "lifecycle", "facts of neptune", date(2026, 3, 5)),
        Rejected(
            "comet",
            "no self-hosting within the budget",
            "budget",
            "facts of comet: https://raw.example.com/" + 12 * "long_name_without_a_space_",
            date(2026, 5, 2),
        ),
    )
    rows = []
    for role in ROLES:
        main = Reason(
            "open source first, and nobody to run a platform: one person can run it beside other work",
            "tree",
            "Experiment tracking guide, section 3",
            None,
        )
        if role in tools:
            choice = RoleDecision(
                "use",
                tools[role],
                (main, Reason("a stated priority of this team", "tree", "answers.toml")),
                beside=("prometheus",) if role == "monitoring" else (),
                warnings=(Warned("the licence of the server changed", "facts of bentoml", date(2025, 6, 1)),)
                if role == "serving"
                else (),
                alternatives=(Alternative("wandb", "a managed service beyond the budget"),),
                rejected=rejected,
            )
            rows.append(
                RoleRow(role, choice, "embedded", f"this version of Stackproof has no adapter for {tools[role]} yet")
            )
        else:
            choice = waiting(role, main)
            rows.append(RoleRow(role, choice, "embedded"))
    assumed = (Assumed("use_case.latency_ms", 100, ("serving",)), Assumed("needs.audit", False, ()))
    return DecisionPart(date(2026, 11, 21), tuple(rows), assumed)


def waiting(role: str, main: Reason) -> RoleDecision:
    """One role for each verdict beside use."""
    if role == "automl":
        return RoleDecision("skip", None, (main,))
    if role == "versioning":
        return RoleDecision("none", None, (main,), because=("hosting and budget together leave no tool",))
    return RoleDecision("defer", "embedded", (main,), until="more than five pipelines run on a schedule")


def lineage() -> Lineage:
    def entity(id: str, **attributes: object) -> Entity:
        return Entity(id, id.partition(":")[0], AT, attributes)  # type: ignore[arg-type]

    data = {
        name: f"data:{name}@{digest}"
        for name, digest in [
            ("airports", "77c1a2b3d4e5"),
            ("planes", "18aa93be01fc"),
            ("flights", "3fa2b1c09d7e"),
            ("weather", "be11ac0ffe42"),
            ("weather_reports", "c0dec0ffee11"),
            ("landings", "0ddba11cafe5"),
        ]
    }
    views = {
        "weather_now": "weather_reports",
        "plane": "planes",
        "carrier_delays": "landings",
        "origin_delays": "landings",
    }
    features = {name: f"features:{name}@1c2d3e4f5a6b" for name in views}
    models = ("model:delay@1", "model:delay@2")
    entities = [
        entity(PREDICTION, output={"probability": 0.2134}),
        entity("deployment:delay@1", name="delay", routes=[["delay", 2, "x", 0.9], ["delay", 1, "y", 0.1]]),
        *(
            entity(model, name="delay", version=n + 1, digest="sha256:" + f"{n}c" * 32)
            for n, model in enumerate(models)
        ),
        *(entity(run, pipeline="train", steps=["examples", "tune", "fit", "evaluate"]) for run in RUNS),
        *(entity(id, name=name, rows=336_776) for name, id in data.items()),
        *(
            entity(id, name=name, definition={"source": views[name], "features": [1, 2, 3]})
            for name, id in features.items()
        ),
        entity(CODE, files=3),
        entity(ENVIRONMENT, python="3.11.7", system="x86_64 Linux"),
        entity("step:01KARX60000000000000000000", name="examples"),
        entity("step:01KARX60000000000000000001", name="tune"),
    ]
    used = [
        CODE,
        ENVIRONMENT,
        *features.values(),
        data["flights"],
        data["weather_reports"],
        data["planes"],
        data["landings"],
    ]
    links = [
        Link(PREDICTION, Relation.PREDICTED_BY, "deployment:delay@1"),
        Link(PREDICTION, Relation.PREDICTED_BY, models[1]),
        Link(PREDICTION, Relation.USED, data["weather_reports"]),
        Link(PREDICTION, Relation.USED, data["planes"]),
        *(Link("deployment:delay@1", Relation.DEPLOYED_AS, model) for model in models),
        *(Link(model, Relation.REGISTERED_FROM, run) for model, run in zip(models, RUNS, strict=True)),
        *(Link(run, Relation.USED, target) for run in RUNS for target in used),
        Link(RUNS[1], Relation.USED, "step:01KARX60000000000000000000"),
        Link(RUNS[1], Relation.USED, "step:01KARX60000000000000000001"),
        Link(data["weather_reports"], Relation.DERIVED_FROM, data["weather"]),
        Link(data["landings"], Relation.DERIVED_FROM, data["flights"]),
        Link(data["landings"], Relation.DERIVED_FROM, data["airports"]),
    ]
    return Lineage(tuple(entities), tuple(links))


def training() -> Training:
    xs = [i / 120 for i in range(121)]
    curves = (
        Curve(
            "roc",
            "false positive rate",
            "true positive rate",
            tuple(
                Line(label, tuple((x, x**power) for x in xs))
                for label, power in [("delay@1, untuned", 0.43), ("delay@2, tuned", 0.38)]
            ),
        ),
        Curve(
            "precision-recall",
            "recall",
            "precision",
            tuple(
                Line(label, tuple((x, 0.19 + 0.6 * (1 - x) ** power) for x in xs))
                for label, power in [("delay@1, untuned", 1.9), ("delay@2, tuned", 1.6)]
            ),
        ),
        Curve(
            "calibration",
            "predicted",
            "observed",
            tuple(
                Line(label, tuple((x / 20, x / 20 + wave * (-1) ** x) for x in range(1, 11)))
                for label, wave in [("delay@1, untuned", 0.02), ("delay@2, tuned", 0.008)]
            ),
        ),
    )
    rng = random.Random(2013)
    trials = tuple((n, 0.47 - 0.004 * min(n, 5) + rng.random() * 0.02) for n in (0, 1, 2, 3, 4, 6, 9))
    models = tuple(
        ModelRow(
            f"model:delay@{n}",
            run,
            f"sha256:{n}{'ab' * 31}0",
            made,
            validated,
            {"auc": auc, "log_loss": loss, "base_rate": 0.229},
            ("latest",) if n == 3 else (),
        )
        for n, (run, made, validated, auc, loss) in enumerate(
            [
                (RUNS[0], "first fit, no search", "April 2013", 0.7131, 0.4591),
                (RUNS[1], "tuned, 12 trials", "April 2013", 0.7282, 0.4523),
                ("run:01KARX9F1E6D9C4B7Y2N8M3T0Q", "retrained after an alert", "July 2013", 0.7411, 0.5710),
            ],
            start=1,
        )
    )
    return Training(curves, Trials(RUNS[1], trials, 12), models)


def notice() -> Notice:
    rng = random.Random(7)
    before = tuple(
        None if rng.random() < 0.01 else round(rng.gammavariate(4.2, 2.6) / 1.15) * 1.15 for _ in range(4000)
    )
    after = tuple(
        None if rng.random() < 0.01 else round(rng.gammavariate(4.2, 2.6) / 1.15) * 1.15 * 0.44704 for _ in range(80)
    )
    finding = Finding(
        "wind_speed",
        "two-sample Kolmogorov-Smirnov",
        0.41,
        3.1e-15,
        2.1e-8,
        "median 10.4 -> 4.6",
        3675,
        4075,
        "values are 0.447 times what they were: mph became m/s?",
    )
    other = replace(finding, column="wind_gust", p_value=4.4e-9, effect="median 24.2 -> 10.8")
    return Notice(80, 4000, 0, 75, 32.6, ALERT, finding, (other,), before, after)


def drift() -> Drift:
    months = (
        MonthRow("April 2013, version 2 on its validation part", 0.4523, False),
        MonthRow("June 2013, served", 0.6112, True, Performance(27_075, 0.6112, 0.2071, 0.684, 0.301, 0.213)),
        MonthRow("July 2013, served", 0.6340, True, Performance(28_293, 0.6340, 0.2155, 0.677, 0.318, 0.221)),
        MonthRow("July 2013, version 3 on its validation part", 0.5710, False),
    )
    features = (
        Drifted("temp", "two-sample Kolmogorov-Smirnov", "median 39.0 -> 73.9", 3),
        Drifted("dewp", "two-sample Kolmogorov-Smirnov", "median 24.1 -> 63.0", 3),
        Drifted("carrier_delay_24h", "two-sample Kolmogorov-Smirnov", "median 3.2 -> 14.8", 12),
        Drifted("origin_late_24h", "two-sample Kolmogorov-Smirnov", "median 0.18 -> 0.31", 9),
    )
    retraining = Retraining(
        "alert:01KARX9A0000000000000000AA",
        "run:01KARX9F1E6D9C4B7Y2N8M3T0Q",
        "model:delay@3",
        "deployment:delay@2",
        (("delay@2", 0.81), ("delay@1", 0.09), ("delay@3", 0.1)),
    )
    return Drift(55_368, 41, months, features, retraining)
