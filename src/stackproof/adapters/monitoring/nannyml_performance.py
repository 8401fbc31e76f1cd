"""NannyML's realised and estimated performance of probabilities."""

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from stackproof.errors import InvalidTable, RefusedInput
from stackproof.roles.monitoring import Estimate, Performance

FEWEST_KNOWN = 20
CHANCE, SAID, TRUTH = "y_pred_proba", "y_pred", "y_true"
"""The columns' names in NannyML's own examples."""


def realised(predictions: Sequence[float], labels: Sequence[bool]) -> Performance:
    """NannyML gives the area under the curve; of log loss and Brier score, which it does not know, scikit-learn."""
    _check_pairs(predictions, labels, fewest=1)
    metrics = import_module("sklearn.metrics")
    truth, chances = [bool(label) for label in labels], [float(value) for value in predictions]
    return Performance(
        rows=len(truth),
        log_loss=float(metrics.log_loss(truth, chances, labels=[False, True])),
        brier=math.fsum((chance - t) ** 2 for chance, t in zip(chances, truth, strict=True)) / len(truth),
        auc=_auc(chances, truth) if len(set(truth)) == 2 else None,
        base_rate=sum(truth) / len(truth),
        mean_prediction=math.fsum(chances) / len(chances),
    )


def estimated(known: Sequence[float], labels: Sequence[bool], predictions: Sequence[float]) -> Estimate:
    """By confidence-based performance estimation (CBPE), with isotonic calibration where it helps."""
    _check_pairs(known, labels, fewest=FEWEST_KNOWN)
    if len(predictions) == 0:
        raise InvalidTable("There is nothing to estimate", got="no predictions", allowed="at least one")
    if len({bool(label) for label in labels}) < 2:
        raise InvalidTable("The reference has one outcome only", got=repr(labels[0]), allowed="both true and false")
    _check_chances(predictions)
    with _one_chunk():
        estimator = import_module("nannyml").CBPE(
            metrics=["roc_auc", "accuracy"], problem_type="classification_binary", chunk_number=1,
            y_pred_proba=CHANCE, y_pred=SAID, y_true=TRUTH,
        )  # fmt: skip
        estimator.fit(_frame(known, labels))
        told = estimator.estimate(_frame(predictions)).filter(period="analysis").to_df().iloc[0]
    auc = float(told["roc_auc", "value"])
    return Estimate(
        rows=len(predictions),
        auc=None if math.isnan(auc) else min(max(auc, 0.0), 1.0),
        auc_error=float(told["roc_auc", "sampling_error"]),
        accuracy=min(max(float(told["accuracy", "value"]), 0.0), 1.0),
        accuracy_error=float(told["accuracy", "sampling_error"]),
    )


def _auc(predictions: Sequence[float], labels: Sequence[bool]) -> float:
    frame = _frame(predictions, labels)
    with _one_chunk():
        calculator = import_module("nannyml").PerformanceCalculator(
            metrics=["roc_auc"], problem_type="classification_binary", chunk_number=1,
            y_pred_proba=CHANCE, y_pred=SAID, y_true=TRUTH,
        )  # fmt: skip
        told = calculator.fit(frame).calculate(frame).filter(period="analysis").to_df()
    return float(told["roc_auc", "value"].iloc[0])


def _frame(predictions: Sequence[float], labels: Sequence[bool] | None = None) -> Any:
    columns: dict[str, list[float] | list[int]] = {CHANCE: [float(value) for value in predictions]}
    columns[SAID] = [int(value >= 0.5) for value in columns[CHANCE]]
    if labels is not None:
        columns[TRUTH] = [int(label) for label in labels]
    return import_module("pandas").DataFrame(columns)


@contextmanager
def _one_chunk() -> Iterator[None]:
    """NannyML warns that it is asked for one figure over all rows rather than for a series of them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _check_pairs(predictions: Sequence[float], labels: Sequence[bool], *, fewest: int) -> None:
    if len(predictions) != len(labels) or len(predictions) < fewest:
        raise InvalidTable(
            "Predictions and labels cannot be compared",
            got=f"{len(predictions)} predictions, {len(labels)} labels",
            allowed=f"as many labels as predictions, at least {fewest}",
        )
    _check_chances(predictions)
    for place, label in enumerate(labels):
        if label not in (0, 1):
            raise RefusedInput(f"Label {place} is neither true nor false", got=repr(label), allowed="true or false")


def _check_chances(predictions: Sequence[float]) -> None:
    for place, value in enumerate(predictions):
        if not (isinstance(value, float | int) and 0 <= value <= 1):
            raise RefusedInput(
                f"Prediction {place} is not a probability", got=repr(value), allowed="a number from 0 to 1"
            )
