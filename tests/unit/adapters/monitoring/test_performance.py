import math

import numpy as np
import pytest

from stackproof.adapters.monitoring.performance import performance_of
from stackproof.errors import RefusedInput


def test_a_certain_and_wrong_prediction_costs_thirty_six() -> None:
    assert performance_of([0.0], [True]).log_loss == pytest.approx(-math.log(np.finfo(float).eps))


def test_arrays_are_taken_as_they_are() -> None:
    found = performance_of(np.array([0.2, 0.8]), np.array([False, True]))  # type: ignore[arg-type]  # arrays are sequences in all but name
    assert (found.auc, found.rows) == (1.0, 2)


@pytest.mark.parametrize("label", [None, "yes", 2, math.nan])
def test_a_label_that_is_neither_true_nor_false_is_refused(label: object) -> None:
    with pytest.raises(RefusedInput, match="Label 1"):
        performance_of([0.5, 0.5], [True, label])  # type: ignore[list-item]  # the wrong type is the case


@pytest.mark.parametrize("prediction", [None, "0.5", True + 1, -1e-9])
def test_a_prediction_that_is_no_probability_is_refused(prediction: object) -> None:
    with pytest.raises(RefusedInput, match="Prediction 0"):
        performance_of([prediction], [True])  # type: ignore[list-item]  # as above
