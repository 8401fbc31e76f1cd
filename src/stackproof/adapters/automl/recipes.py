"""The kinds of model that are tried: how each is fitted, and the hyper-parameters it may have."""

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]  # it ships no types

from stackproof.adapters.automl.columns import Floats
from stackproof.roles.automl import Problem
from stackproof.roles.serving import TensorSpec

MOST_ONE_HOT = 50
MISSING_CODE = -1
TREES_OF_FOREST = 50

Params = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Task:
    """What every fit of one search shares. `seed`: 32 bits."""

    problem: Problem
    features: tuple[TensorSpec, ...]
    seed: int
    threads: int


@dataclass(frozen=True, slots=True)
class Recipe:
    """`fit` returns a fitted scikit-learn model; `default` are the parameters tried first; `draw`
    gives others at random. A recipe without `draw` is tried once.
    """

    name: str
    fit: Callable[[Task, Params, Floats, Floats], Any]
    default: Params
    draw: Callable[[random.Random], Params] | None = None


def fit(recipe: Recipe, task: Task, params: Params, matrix: Floats, target: Floats) -> Any:
    """Fit on these rows. A column without any value among them counts as zero throughout."""
    empty = np.isnan(matrix).all(axis=0)
    if empty.any():
        matrix = matrix.copy()
        matrix[:, empty] = 0.0
    # Labels are integers, so that the converted model names its classes 0 and 1.
    labels: Any = target.astype(np.int64) if task.problem is Problem.BINARY else target
    with _thread_pools().limit(limits=task.threads):
        return recipe.fit(task, params, matrix, labels)


def predictions(problem: Problem, model: Any, matrix: Floats) -> Floats:
    """The probability of the positive class, or the number, for each row; on one thread."""
    with _thread_pools().limit(limits=1):
        found: Floats = (
            model.predict_proba(matrix)[:, 1] if problem is Problem.BINARY else model.predict(matrix).ravel()
        )
    return found


@cache
def _thread_pools() -> ThreadpoolController:
    """Found once: the pools of OpenMP and BLAS, which else take every core."""
    return ThreadpoolController()


def _fit_constant(task: Task, params: Params, matrix: Floats, target: Floats) -> Any:
    """A linear model that saw only zeros: it answers with the mean, and converts like any other."""
    imputer = SimpleImputer(strategy="constant", fill_value=0.0).fit(matrix)
    linear = LogisticRegression() if task.problem is Problem.BINARY else Ridge()
    linear.fit(np.zeros_like(matrix), target)
    return Pipeline([("impute", imputer), ("mean", linear)])


def _fit_linear(task: Task, params: Params, matrix: Floats, target: Floats) -> Any:
    strength = params["regularisation"]
    if task.problem is Problem.BINARY:
        linear = LogisticRegression(C=1.0 / strength, max_iter=300)
    else:
        linear = Ridge(alpha=strength)
    return make_pipeline(_one_hot_columns(task.features), linear).fit(matrix, target)


def _fit_boosting(task: Task, params: Params, matrix: Floats, target: Floats) -> Any:
    binary = task.problem is Problem.BINARY
    kind = HistGradientBoostingClassifier if binary else HistGradientBoostingRegressor
    return kind(**params, early_stopping=False, random_state=task.seed).fit(matrix, target)


def _fit_forest(kinds: tuple[Any, Any]) -> Callable[[Task, Params, Floats, Floats], Any]:
    def fit_one(task: Task, params: Params, matrix: Floats, target: Floats) -> Any:
        kind = kinds[0] if task.problem is Problem.BINARY else kinds[1]
        forest = kind(TREES_OF_FOREST, **params, n_jobs=task.threads, random_state=task.seed)
        return make_pipeline(_ordinal_columns(task.features), forest).fit(matrix, target)

    return fit_one


def _one_hot_columns(features: Sequence[TensorSpec]) -> ColumnTransformer:
    one_hot = [n for n, spec in enumerate(features) if 0 < len(spec.categories) <= MOST_ONE_HOT]
    numbers = [n for n in range(len(features)) if n not in one_hot]
    categories = [[float(code) for code in range(-1, len(features[n].categories))] for n in one_hot]
    return ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numbers),
            (
                "strings",
                make_pipeline(
                    SimpleImputer(strategy="constant", fill_value=MISSING_CODE),
                    OneHotEncoder(categories=categories, handle_unknown="ignore", sparse_output=False),
                ),
                one_hot,
            ),
        ]
    )


def _ordinal_columns(features: Sequence[TensorSpec]) -> ColumnTransformer:
    strings = [n for n, spec in enumerate(features) if spec.categories]
    numbers = [n for n, spec in enumerate(features) if not spec.categories]
    return ColumnTransformer(
        [
            ("numbers", SimpleImputer(strategy="median"), numbers),
            ("strings", SimpleImputer(strategy="constant", fill_value=MISSING_CODE), strings),
        ]
    )


def _log_uniform(source: random.Random, low: float, high: float) -> float:
    return float(f"{math.exp(source.uniform(math.log(low), math.log(high))):.4g}")


def _draw_linear(source: random.Random) -> Params:
    return {"regularisation": _log_uniform(source, 1e-3, 1e4)}


def _draw_boosting(source: random.Random) -> Params:
    return {
        "learning_rate": _log_uniform(source, 0.02, 0.3),
        "max_iter": source.choice((50, 100, 200)),
        "max_leaf_nodes": round(_log_uniform(source, 8, 64)),
        "min_samples_leaf": round(_log_uniform(source, 5, 200)),
        "l2_regularization": _log_uniform(source, 1e-6, 10.0),
    }


def _draw_forest(source: random.Random) -> Params:
    return {
        "max_leaf_nodes": round(_log_uniform(source, 16, 512)),
        "min_samples_leaf": round(_log_uniform(source, 1, 50)),
        "max_features": source.choice((0.3, 0.5, 0.8, 1.0)),
    }


FOREST_DEFAULT: Params = {"max_leaf_nodes": 256, "min_samples_leaf": 5, "max_features": 0.5}

RECIPES = (
    Recipe("constant", _fit_constant, {}),
    Recipe("linear", _fit_linear, {"regularisation": 1.0}, _draw_linear),
    Recipe("gradient boosting", _fit_boosting, {"learning_rate": 0.1, "max_leaf_nodes": 31}, _draw_boosting),
    Recipe(
        "random forest",
        _fit_forest((RandomForestClassifier, RandomForestRegressor)),
        FOREST_DEFAULT,
        _draw_forest,
    ),
    Recipe("extra trees", _fit_forest((ExtraTreesClassifier, ExtraTreesRegressor)), FOREST_DEFAULT, _draw_forest),
)
"""In the order in which they are first tried. "constant" shows what a model without skill scores."""
