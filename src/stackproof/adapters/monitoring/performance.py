"""How good probabilities were once the truth was known, by scikit-learn's measures."""

import math
from collections.abc import Sequence

import numpy as np
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from stackproof.errors import InvalidTable, RefusedInput
from stackproof.roles.monitoring import Performance


def performance_of(predictions: Sequence[float], labels: Sequence[bool]) -> Performance:
    """Raises `InvalidTable` when empty or of unequal lengths, `RefusedInput` for a value outside 0..1.

    For the log loss a prediction is kept 2.2e-16 (the float's epsilon) away from 0 and 1, so that one
    certain and wrong prediction costs 36 and not infinity.
    """
    _check(predictions, labels)
    probabilities = np.asarray(predictions, dtype=np.float64)
    truth = np.asarray(labels, dtype=bool)
    has_both_classes = bool(truth.any()) and not bool(truth.all())
    return Performance(
        rows=len(truth),
        log_loss=float(log_loss(truth, probabilities, labels=[False, True])),
        brier=float(brier_score_loss(truth, probabilities, labels=[False, True], pos_label=True)),
        auc=float(roc_auc_score(truth, probabilities)) if has_both_classes else None,
        base_rate=float(truth.mean()),
        mean_prediction=float(probabilities.mean()),
    )


def _check(predictions: Sequence[float], labels: Sequence[bool]) -> None:
    if len(predictions) != len(labels) or len(predictions) == 0:
        raise InvalidTable(
            "Predictions and labels cannot be compared",
            got=f"{len(predictions)} predictions, {len(labels)} labels",
            allowed="as many labels as predictions, at least one",
        )
    for place, value in enumerate(predictions):
        if not (isinstance(value, float | int | np.number) and 0 <= value <= 1) or math.isnan(value):
            raise RefusedInput(
                f"Prediction {place} is not a probability", got=repr(value), allowed="a number from 0 to 1"
            )
    for place, label in enumerate(labels):
        if label not in (0, 1):
            raise RefusedInput(f"Label {place} is neither true nor false", got=repr(label), allowed="true or false")
