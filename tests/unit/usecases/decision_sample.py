"""A made-up decision with every part in it, and others that are harder to show. Not a test; loaded by path."""

from dataclasses import replace
from datetime import date
from typing import Any

from stackproof.decide.decision import (
    Alternative,
    Assumed,
    Assumption,
    ConflictFound,
    Cost,
    CriterionScore,
    Decision,
    Decisive,
    Flip,
    Migration,
    Ranking,
    Readiness,
    Reason,
    Rejected,
    RoleDecision,
    Scored,
    StackOption,
    Step,
    Warned,
)
from stackproof.facts.model import Pair

TODAY = date(2026, 11, 21)
FIRST = "000_1ff43e1cb122fd45.txt: Experiment Tracking, Detailed Criteria Matrix, {} (undated)"
GUIDE = "002_0127a875f217fc52.txt: Open-Source Stack vs. Managed Platform: The Real Tradeoff (undated)"
FACTS = "facts of {}: https://example.org/{}/pricing ; the package index, 2026-11-21"
CAUTION = 0.4

NAMES = {
    "mlflow": "MLflow", "wandb": "Weights & Biases", "comet": "Comet", "neptune": "Neptune", "aim": "Aim",
    "tensorboard": "TensorBoard", "feast": "Feast", "tecton": "Tecton", "bentoml": "BentoML", "kserve": "KServe",
    "seldon-core": "Seldon Core", "torchserve": "TorchServe", "prefect": "Prefect", "dagster": "Dagster",
    "airflow": "Airflow", "optuna": "Optuna", "ray-tune": "Ray Tune", "prometheus": "Prometheus",
    "grafana": "Grafana", "evidently": "Evidently", "nannyml": "NannyML", "pandera": "Pandera",
    "great-expectations": "Great Expectations", "dvc": "DVC", "lakefs": "lakeFS",
    "vertex-platform": "Gemini Enterprise Agent Platform",
}  # fmt: skip

PAIRS = (
    Pair(
        ("prometheus", "grafana"),
        "integrates",
        "Grafana draws what Prometheus stores",
        "001_16cd06cd880302fb.txt: Monitoring (undated)",
        None,
        "high",
    ),
    Pair(
        ("optuna", "mlflow"),
        "integrates",
        "A callback of Optuna logs each trial as a run of MLflow",
        FACTS.format("optuna", "optuna"),
        TODAY,
        "high",
    ),
    Pair(
        ("bentoml", "mlflow"),
        "integrates",
        "BentoML imports a registered model of MLflow",
        FACTS.format("bentoml", "bentoml"),
        TODAY,
        "high",
    ),
    Pair(
        ("prometheus", "bentoml"),
        "integrates",
        "BentoML exposes metrics that Prometheus scrapes",
        FACTS.format("bentoml", "bentoml"),
        TODAY,
        "medium",
    ),
    Pair(("prefect", "pandera"), "integrates", "A flow runs the checks as a task", GUIDE, None, "medium"),
    Pair(
        ("dvc", "mlflow"),
        "duplicates",
        "Both can record metrics of experiments: let one of them do it",
        FACTS.format("dvc", "dvc"),
        TODAY,
        "medium",
    ),
    Pair(("airflow", "kserve"), "integrates", "Neither of them is chosen", GUIDE, None, "medium"),
)

CRITERIA = (
    ("documents", "Support of the documents", 8.0, ""),
    ("cost", "Cost", 7.0, "the budget is below $1,000 a year"),
    ("collaboration", "Collaboration", 4.0, ""),
    ("operation", "Ease of operating", 6.0, "nobody runs servers"),
    ("visualization", "Visualization", 3.0, ""),
    ("audit", "Audit and access control", 0.0, "no audit is asked for"),
    ("openness", "Openness of the licence", 5.0, "lock-in is to be avoided"),
    ("scale", "Speed with many runs", 2.0, ""),
)


def scored(tool: str, ratings: dict[str, tuple[float, float, str]]) -> Scored:
    """A tool on all criteria; a criterion that is not given is unknown."""
    criteria = []
    for key, name, weight, because in CRITERIA:
        low, high, word = ratings.get(key, (0.0, 1.0, "unknown"))
        criteria.append(
            CriterionScore(
                key,
                name,
                weight,
                because,
                (low, high),
                word,
                FIRST.format(name) if key in ratings else "",
                TODAY if key == "cost" else None,
                known=key in ratings,
                measured=word.startswith("measured"),
            )
        )
    weights = sum(one.weight for one in criteria)
    low = sum(one.weight * one.rating[0] for one in criteria) / weights
    high = sum(one.weight * one.rating[1] for one in criteria) / weights
    return Scored(tool, round(low + CAUTION * (high - low), 4), (round(low, 4), round(high, 4)), tuple(criteria))


GOOD = scored(
    "mlflow",
    {
        "documents": (0.86, 0.86, "11 of 13 votes"),
        "cost": (1.0, 1.0, "free"),
        "collaboration": (0.3, 0.5, "basic"),
        "operation": (0.5, 0.74, "2 to 6 h a month"),
        "visualization": (0.65, 0.85, "good"),
        "audit": (0.0, 0.0, "no"),
        "openness": (1.0, 1.0, "permissive"),
        "scale": (0.71, 0.71, "measured: 4,100 writes a second"),
    },
)
PAID = scored(
    "wandb",
    {
        "documents": (0.6, 0.6, "6 of 13 votes"),
        "cost": (0.05, 0.2, "$24,000 a year"),
        "collaboration": (0.9, 1.0, "excellent"),
        "operation": (0.9, 1.0, "under 1 h a month"),
        "visualization": (0.9, 1.0, "excellent"),
        "audit": (1.0, 1.0, "yes"),
        "openness": (0.1, 0.2, "proprietary"),
    },
)
NEW = scored("aim", {"cost": (1.0, 1.0, "free"), "openness": (1.0, 1.0, "permissive"), "operation": (0.5, 0.7, "")})


def ranking(aspect: str, best: Scored, *others: Scored) -> Ranking:
    return Ranking(aspect, (best, *others), best.tool)


def like(one: Scored, tool: str, less: float) -> Scored:
    """The same ratings a little lower, for another tool."""
    criteria = tuple(
        replace(c, rating=(max(0.0, c.rating[0] - less), max(0.0, c.rating[1] - less / 2))) for c in one.criteria
    )
    low, high = (max(0.0, bound - less) for bound in one.interval)
    return Scored(tool, round(low + CAUTION * (high - low), 4), (low, high), criteria)


def use(tool: str, why: str, options: tuple[Scored, ...], **more: Any) -> RoleDecision:
    best = options[0]
    return RoleDecision(
        "use",
        tool,
        (
            Reason(why, "table", GUIDE),
            Reason(
                f"{NAMES[tool]} is active; newest release 3.18.0 (2026-11-03)", "fact", FACTS.format(tool, tool), TODAY
            ),
        ),
        environment=more.pop("environment", "own"),
        score=best.score,
        interval=best.interval,
        rankings=more.pop("rankings", (ranking("", *options),)),
        alternatives=tuple(
            Alternative(other.tool, f"It scores {best.score - other.score:.2f} less", other.score)
            for other in options[1:]
        ),
        **more,
    )


def wait(until: str, why: str, flips: tuple[Flip, ...], **more: Any) -> RoleDecision:
    return RoleDecision("defer", "embedded", (Reason(why, "gate", GUIDE),), until=until, flips=flips, **more)


def tracking() -> RoleDecision:
    return use(
        "mlflow",
        "Startup: MLflow, alternatively Weights & Biases (2 votes)",
        (GOOD, NEW, PAID, like(PAID, "comet", 0.1)),
        stability=0.934,
        hours_per_month=(2, 6),
        warnings=(
            Warned(
                "Its server has no access control of its own before version 2.5", FIRST.format("Enterprise Features")
            ),
        ),
        rejected=(
            Rejected(
                "neptune",
                "It is discontinued since 2026-03-05: bought, and the service was shut down",
                "lifecycle",
                "facts of neptune: https://example.org/neptune/transition (2025-12-03)",
                date(2025, 12, 3),
            ),
            Rejected(
                "tensorboard",
                "It supports tensorflow and pytorch only, and you use sklearn",
                "framework",
                "001_16cd06cd880302fb.txt: TensorBoard (undated)",
            ),
        ),
        flips=(
            Flip("needs.collaboration", "some", "central", "wandb", "use"),
            Flip("infrastructure.hosting", "either", "managed-only", "wandb", "use"),
            Flip("use_case.stage", "production", "research", None, "skip"),
        ),
        migration=Migration(
            "tensorboard",
            (
                "Start a tracking server of MLflow",
                "Replace each SummaryWriter by mlflow.log_metric",
                "Keep the old event files: nothing imports them",
            ),
            (2, 5),
        ),
        path=(
            Step("A model is trained: the role is needed", "gate", True, GUIDE),
            Step(
                "Tools struck out",
                "constraint",
                None,
                below=(
                    Step(
                        "neptune: discontinued",
                        "lifecycle",
                        False,
                        FACTS.format("neptune", "neptune"),
                        date(2025, 12, 3),
                    ),
                ),
            ),
            Step(
                "Is open source a priority?",
                "tree",
                True,
                FIRST.format("tree"),
                below=(Step("MLflow, 2 votes", "tree", True, FIRST.format("tree")),),
            ),
        ),
        decisive=Decisive(
            "wandb",
            "cost",
            "If Weights & Biases were free, it would be picked",
            "wandb",
            True,
            FACTS.format("wandb", "wandb"),
            TODAY,
        ),
    )


def monitoring() -> RoleDecision:
    drift = (like(GOOD, "evidently", 0.05), like(GOOD, "nannyml", 0.3))
    performance = (like(GOOD, "prometheus", 0.02), like(NEW, "grafana", 0.02))
    return use(
        "evidently",
        "Drift on tables: Evidently (3 votes)",
        drift,
        beside=("prometheus", "grafana"),
        stability=0.81,
        hours_per_month=(3, 8),
        rankings=(ranking("drift", *drift), ranking("performance", *performance)),
        warnings=(
            Warned(
                "The code of the documents does not run since version 0.7",
                FACTS.format("evidently", "evidently"),
                TODAY,
            ),
            Warned(
                "The price was read 240 days ago: read it again",
                FACTS.format("evidently", "evidently"),
                date(2026, 3, 26),
            ),
        ),
        flips=(
            Flip("needs.drift", "some", "none", None, "skip"),
            Flip("needs.collaboration", "some", "central", "grafana", "use"),
        ),
    )


def roles() -> dict[str, RoleDecision]:
    waiting = (
        Flip("use_case.models_in_production", 3, 12, "feast", "use"),
        Flip("use_case.models_in_production", 3, 60, "feast", "use"),
        Flip("needs.training_serving_skew", False, True, "feast", "use"),
    )
    return {
        "tracking": tracking(),
        "features": wait(
            "10 models are in production, several teams share features, or training and serving differ",
            "Below 10 models in production, without shared features, database tables do",
            waiting,
            rejected=(
                Rejected(
                    "tecton",
                    "Its managed form costs at least $200,000 a year, and the budget is $0",
                    "budget",
                    FIRST.format("Cost"),
                ),
            ),
        ),
        "serving": use(
            "bentoml",
            "Minimal stack: BentoML (2 votes)",
            (like(GOOD, "bentoml", 0.04), like(GOOD, "kserve", 0.2)),
            stability=0.99,
            hours_per_month=(2, 5),
            rejected=(
                Rejected(
                    "torchserve",
                    "It is archived since 2025-08-07",
                    "lifecycle",
                    FACTS.format("torchserve", "torchserve"),
                    date(2025, 8, 7),
                ),
            ),
            flips=(
                Flip("infrastructure.kubernetes", "none", "at-scale", "kserve", "use"),
                Flip("use_case.workloads", ("batch", "realtime"), ("batch",), "embedded", "defer"),
            ),
        ),
        "orchestration": use(
            "prefect",
            "Prefect or Dagster is the better default than Airflow (2 votes)",
            (like(GOOD, "prefect", 0.06), like(GOOD, "dagster", 0.07), like(GOOD, "airflow", 0.2)),
            stability=0.58,
            hours_per_month=(4, 10),
            warnings=(Warned("One weighting in two picks Dagster instead", "the weights of this decision"),),
            flips=(Flip("infrastructure.kubernetes", "none", "at-scale", "airflow", "use"),),
        ),
        "tuning": use(
            "optuna",
            "Optuna is the default search (3 votes)",
            (like(GOOD, "optuna", 0.01), like(GOOD, "ray-tune", 0.2)),
            stability=1.0,
            hours_per_month=(0, 0),
            environment="shared",
            flips=(Flip("needs.distributed_tuning", False, True, "ray-tune", "use"),),
        ),
        "monitoring": monitoring(),
        "validation": use(
            "pandera",
            "Tests of data in pipelines: Pandera (1 vote)",
            (like(GOOD, "pandera", 0.05), like(GOOD, "great-expectations", 0.15)),
            stability=0.88,
            hours_per_month=(0, 1),
            environment="shared",
        ),
        "versioning": wait(
            "data are files or a lake",
            "Tables with a digest are versioned by the ledger",
            (
                Flip("use_case.data", "tables", "files", "dvc", "use"),
                Flip("use_case.data", "tables", "data-lake", "lakefs", "use"),
            ),
        ),
        "automl": RoleDecision(
            "skip",
            None,
            (Reason("Nobody asked for models that are found by themselves", "gate", GUIDE),),
            flips=(Flip("needs.automl", False, True, "vertex-platform", "use"),),
        ),
    }


def priced(licences: float, servers: float, people: float) -> Cost:
    total = (licences + servers + people, licences * 1.5 + servers * 4 + people * 2.4)
    return Cost(
        licences=(licences, licences * 1.5),
        infrastructure=(servers, servers * 4),
        people=(people, people * 2.4),
        total=total,
        three_years=(3 * total[0], 3 * total[1]),
        assumptions=(
            Assumption("A single server costs 50 to 200 dollars a month, confidence low", "stackproof: an assumption"),
            Assumption(
                "An hour of an engineer costs 90 dollars, as answered", "answers: organization.engineer_usd_per_hour"
            ),
            Assumption("The documents claim $0 for this stack: they leave servers and people out", GUIDE),
        ),
    )


def stacks() -> tuple[StackOption, ...]:
    base = {
        "tracking": ("mlflow",),
        "serving": ("bentoml",),
        "orchestration": ("prefect",),
        "tuning": ("optuna",),
        "monitoring": ("evidently", "prometheus", "grafana"),
        "validation": ("pandera",),
    }
    return (
        StackOption(
            "Cheapest",
            "cheapest",
            base | {"monitoring": ("evidently",)},
            0.7,
            priced(0, 300, 7200),
            (6, 16),
            "It leaves the metrics server out",
        ),
        StackOption(
            "Fewest things to operate",
            "fewest-to-operate",
            base | {"orchestration": ("dagster",), "tracking": ("aim",)},
            0.66,
            priced(0, 300, 5400),
            (5, 12),
            "One tool runs steps and keeps their assets",
        ),
        StackOption(
            "Most managed",
            "most-managed",
            base | {"tracking": ("wandb",), "orchestration": ("vertex-platform",)},
            0.61,
            priced(24000, 0, 2160),
            (2, 5),
            "Somebody else runs what would be a server",
        ),
    )


INSTALLED = {
    "mlflow": {"requirement": "mlflow>=3.1", "version": "3.18.0", "environment": "shared"},
    "optuna": {"requirement": "optuna>=5", "version": None, "environment": "own"},
}
APART = {"tools": ["mlflow", "optuna"], "because": "mlflow needs numpy<3 and optuna numpy>=3"}
RESOLUTION = {"python": "3.12", "together": False, "conflict": APART, "tools": INSTALLED, "unasked": ["grafana"]}


def sample_decision() -> Decision:
    """Seven kinds of content, six roles in use, two that wait, one that is left out."""
    return Decision(
        stackproof="0.1.0",
        as_of=TODAY,
        facts_digest="sha256:" + "77ab01cd" * 8,
        answers={
            "organization": {"people": 12, "budget_usd_per_year": 0, "compliance": []},
            "use_case": {"models_in_production": 3, "workloads": ["batch", "realtime"]},
            "needs": {"collaboration": "some", "training_serving_skew": False},
            "current": {"tracking": "tensorboard"},
        },
        assumed=(
            Assumed("use_case.latency_ms", 100, ("serving",)),
            Assumed("infrastructure.hosting", "either", ("tracking", "orchestration")),
            Assumed("needs.bias", False, ()),
            Assumed("organization.academic", False, ()),
        ),
        roles=roles(),
        cost=priced(0, 600, 10800),
        readiness=Readiness(
            "trace",
            ("versioning", "tracking", "features", "serving"),
            (
                Reason(
                    "If not all three can be answered with yes, start with the weakest answer: trace", "tree", GUIDE
                ),
                Reason(
                    "Tracing a prediction needs lineage from end to end: data, run, features, deployment", "tree", GUIDE
                ),
            ),
        ),
        conflicts=(
            ConflictFound(
                "tracking: one place prices Weights & Biases at $200 a seat and month, another at $167",
                (FIRST.format("Cost"), FACTS.format("wandb", "wandb")),
                "the price read on 2026-11-21",
            ),
            ConflictFound(
                "orchestration: two documents recommend Airflow to startups, a third Prefect or Dagster",
                ("000_1ff43e1cb122fd45.txt: Orchestration (undated)", GUIDE),
                "the third, which argues it",
            ),
        ),
        alternative_stacks=stacks(),
        hours_per_month=(11, 30),
        hours_available=48,
        resolution=RESOLUTION,
    )
