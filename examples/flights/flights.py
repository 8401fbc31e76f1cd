"""Will this flight arrive more than 15 minutes late? Asked at its scheduled departure."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl
import xgboost as xgb
from sklearn.metrics import log_loss, precision_recall_curve, roc_auc_score, roc_curve
from sources import landed, read, read_flights, read_weather

import stackproof as sp

project = sp.Project("flights", __file__)

# ---------------------------------------------------------------- data: what comes in, and what we expect of it


@project.dataset()
def airports() -> pl.DataFrame:
    return read("airports")


@project.dataset(
    expect=[
        sp.Unique(columns=("tailnum",)),
        sp.Between(column="seats", low=1, high=500),
        sp.Missing(column="plane_year", severity=sp.Severity.WARNING),
    ]
)
def planes() -> pl.DataFrame:
    registry_date = datetime(2013, 1, 1, tzinfo=UTC)
    return read("planes").rename({"year": "plane_year"}).with_columns(pl.lit(registry_date).alias("known_at"))


@project.dataset(
    expect=[
        sp.Unique(columns=("flight_id",)),
        sp.RowCount(at_least=300_000),
        sp.HasColumn(column="scheduled_departure", type=sp.ColumnType.INSTANT),
        sp.OneOf(column="origin", values=("EWR", "JFK", "LGA")),
        sp.Between(column="arr_delay", low=-120, high=1440),
        sp.Missing(column="arr_delay", at_most=0.03),
        sp.Between(column="distance", low=50, high=5000, severity=sp.Severity.WARNING),
        sp.Missing(column="tailnum", severity=sp.Severity.WARNING),
        sp.References(column="tailnum", table="planes", other_column="tailnum", severity=sp.Severity.WARNING),
        sp.References(column="dest", table="airports", other_column="faa", severity=sp.Severity.WARNING),
    ]
)
def flights() -> pl.DataFrame:
    return read_flights()


@project.dataset(
    expect=[
        sp.Unique(columns=("origin", "observed_at")),
        sp.Between(column="humid", low=0, high=100),
        sp.Between(column="visib", low=0, high=10),
        sp.Between(column="wind_speed", low=0, high=120, severity=sp.Severity.WARNING),
        sp.Missing(column="pressure", at_most=0.05, severity=sp.Severity.WARNING),
        sp.RowCount(at_least=3 * 365 * 24, severity=sp.Severity.WARNING),
    ]
)
def weather() -> pl.DataFrame:
    return read_weather()


@project.dataset()
def weather_reports(weather: pl.DataFrame) -> pl.DataFrame:
    """An hour's weather is known at its end; a wind that no instrument measures is missing."""
    wind = pl.when(pl.col("wind_speed") <= 120).then(pl.col("wind_speed"))
    return weather.with_columns(
        (pl.col("observed_at") + pl.duration(hours=1)).alias("known_at"), wind.alias("wind_speed")
    )


@project.dataset()
def landings(flights: pl.DataFrame, airports: pl.DataFrame) -> pl.DataFrame:
    return landed(flights, airports)


# ---------------------------------------------------------------- features: as they were known at the departure

WEATHER = ["temp", "dewp", "humid", "wind_speed", "wind_gust", "precip", "pressure", "visib"]

VIEWS = [
    project.feature_view(
        "weather_now",
        source=weather_reports,
        entity="origin",
        known_at="known_at",
        max_age="3h",
        features=WEATHER,
    ),
    project.feature_view(
        "plane",
        source=planes,
        entity="tailnum",
        known_at="known_at",
        features=["plane_year", "seats", "engines"],
    ),
    project.feature_view(
        "carrier_delays",
        source=landings,
        entity="carrier",
        known_at="landed_at",
        window="24h",
        features={
            "carrier_delay_24h": sp.mean("arr_delay"),
            "carrier_late_24h": sp.mean("late"),
            "carrier_landings_24h": sp.count("late"),
        },
    ),
    project.feature_view(
        "origin_delays",
        source=landings,
        entity="origin",
        known_at="landed_at",
        window="24h",
        features={
            "origin_delay_24h": sp.mean("arr_delay"),
            "origin_late_24h": sp.mean("late"),
            "origin_landings_24h": sp.count("late"),
        },
    ),
]

ASKED = ["carrier", "origin", "departure_hour", "weekday", "distance"]
INPUTS = [*ASKED, *(feature.name for view in VIEWS for feature in view.features)]

# ---------------------------------------------------------------- training


@project.step(views=VIEWS)
def examples(
    flights: pl.DataFrame,
    features: sp.Features,
    *,
    train_from: str = "2013-01-01",
    validate_from: str = "2013-04-01",
    until: str = "2013-05-01",
) -> pl.DataFrame:
    """Flights whose outcome is known, with their features; the latest part is for validation."""
    departure = pl.col("scheduled_departure")
    chosen = flights.filter(
        pl.col("late").is_not_null(), departure >= _day(train_from), departure < _day(until)
    ).select("flight_id", "scheduled_departure", "tailnum", *ASKED, "late")
    return features.join(chosen, as_of="scheduled_departure").with_columns(
        (departure >= _day(validate_from)).alias("validation")
    )


@project.step
def tune(examples: pl.DataFrame, run: sp.Run, *, trials: int = 25, seed: int = 2013) -> dict[str, sp.ParamValue]:
    """The parameters with the lowest validation loss; bad trials are ended early."""
    if trials == 0:
        return {}
    train, validation = _matrices(examples)

    def loss(trial: sp.Trial) -> float:
        report = _Report(trial)
        booster = _boost(train, validation, dict(trial.params), seed, callbacks=[report])
        return float(booster.best_score)

    space: sp.Space = {
        "max_depth": sp.IntRange(3, 8),
        "learning_rate": sp.FloatRange(0.05, 0.4, log=True),
        "min_child_weight": sp.FloatRange(1, 100, log=True),
        "subsample": sp.FloatRange(0.6, 1.0),
        "colsample_bytree": sp.FloatRange(0.4, 1.0),
    }
    best = run.tune(space, loss, trials=trials, seed=seed).best
    return dict(best.params) if best else {}


@project.step
def fit(examples: pl.DataFrame, tune: dict[str, sp.ParamValue], *, seed: int = 2013) -> sp.Model:
    """Gradient-boosted trees, with a sample of what they were fitted on to watch production against."""
    train, validation = _matrices(examples)
    booster = _boost(train, validation, tune, seed)
    return sp.package_model(
        booster[: booster.best_iteration + 1].save_model,
        inputs=_inputs(examples),
        views=VIEWS,
        reference=examples.filter(~pl.col("validation")).sample(20_000, seed=seed),
    )


@project.step
def evaluate(examples: pl.DataFrame, fit: sp.Model, run: sp.Run) -> dict[str, float]:
    """Metrics and curves on the validation part; the model is registered."""
    part = examples.filter("validation")
    late = part["late"].to_numpy()
    booster = xgb.Booster(model_file=str(fit.package / fit.signature.file))
    probability = booster.inplace_predict(sp.matrix(part, fit.signature.inputs))

    metrics = {
        "auc": float(roc_auc_score(late, probability)),
        "log_loss": float(log_loss(late, probability)),
        "base_rate": float(late.mean()),
    }
    run.log_metrics(metrics)
    false_positive, true_positive, _ = roc_curve(late, probability)
    run.log_curve(
        "roc",
        *_thin(false_positive, true_positive),
        x_label="false positive rate",
        y_label="true positive rate",
    )
    precision, recall, _ = precision_recall_curve(late, probability)
    run.log_curve("precision-recall", *_thin(recall, precision), x_label="recall", y_label="precision")
    run.log_curve("calibration", *_calibration(late, probability), x_label="predicted", y_label="observed")
    run.register("delay", fit, alias="candidate")
    return metrics


join = project.pipeline("join", [examples])
train = project.pipeline("train", [examples, tune, fit, evaluate])

# ---------------------------------------------------------------- how the steps above do it


class _Report(xgb.callback.TrainingCallback):
    """Reports the validation loss each tenth round, and stops a bad trial."""

    def __init__(self, trial: sp.Trial) -> None:
        super().__init__()
        self._trial = trial

    def after_iteration(self, model: xgb.Booster, epoch: int, evals_log: Any) -> bool:
        if epoch % 10 == 9 and self._trial.report(epoch, evals_log["validation"]["logloss"][-1]):
            raise sp.PrunedTrial
        return False


def _boost(
    train: xgb.DMatrix,
    validation: xgb.DMatrix,
    params: dict[str, sp.ParamValue],
    seed: int,
    callbacks: list[_Report] | None = None,
) -> xgb.Booster:
    settings = {"objective": "binary:logistic", "eval_metric": "logloss", "seed": seed, "nthread": 1}
    return xgb.train(
        {"learning_rate": 0.2, **params, **settings},
        train,
        num_boost_round=200,
        evals=[(validation, "validation")],
        early_stopping_rounds=15,
        verbose_eval=False,
        callbacks=callbacks,
    )


def _inputs(examples: pl.DataFrame) -> tuple[sp.TensorSpec, ...]:
    return sp.model_inputs(examples, INPUTS)


def _matrices(examples: pl.DataFrame) -> tuple[xgb.DMatrix, xgb.DMatrix]:
    inputs = _inputs(examples)
    parts = (examples.filter(~pl.col("validation")), examples.filter("validation"))
    train, validation = (xgb.DMatrix(sp.matrix(part, inputs), part["late"].to_numpy()) for part in parts)
    return train, validation


def _calibration(late: np.ndarray, probability: np.ndarray) -> tuple[list[float], list[float]]:
    """Mean prediction and share late in ten groups of equal size."""
    order = np.argsort(probability, kind="stable")
    groups = np.array_split(order, 10)
    return [float(probability[g].mean()) for g in groups], [float(late[g].mean()) for g in groups]


def _thin(x: np.ndarray, y: np.ndarray, points: int = 200) -> tuple[list[float], list[float]]:
    chosen = np.unique(np.linspace(0, len(x) - 1, points).astype(int))
    return x[chosen].tolist(), y[chosen].tolist()


def _day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
