"""MLflow itself: imported when first needed, without telemetry, its errors mapped to ours."""

import os
import sys
from collections.abc import Callable, Mapping
from functools import wraps
from importlib import import_module
from typing import Any, ParamSpec, TypeVar

from stackproof.errors import (
    Conflict,
    NotCapable,
    NotFound,
    RefusedInput,
    StackproofError,
    StorageFull,
    Unavailable,
    is_full,
)

ALWAYS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_TRUNCATE_LONG_VALUES": "false",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
}
_FROM_OPTIONS = {
    "timeout_s": "MLFLOW_HTTP_REQUEST_TIMEOUT",
    "retries": "MLFLOW_HTTP_REQUEST_MAX_RETRIES",
    "username": "MLFLOW_TRACKING_USERNAME",
    "password": "MLFLOW_TRACKING_PASSWORD",
    "token": "MLFLOW_TRACKING_TOKEN",
}
_KINDS: Mapping[str, type[StackproofError]] = {
    "RESOURCE_DOES_NOT_EXIST": NotFound,
    "NOT_FOUND": NotFound,
    "RESOURCE_ALREADY_EXISTS": Conflict,
    "ALREADY_EXISTS": Conflict,
    "RESOURCE_CONFLICT": Conflict,
    "INVALID_STATE": Conflict,
    "INVALID_PARAMETER_VALUE": RefusedInput,
    "PERMISSION_DENIED": RefusedInput,
    "UNAUTHENTICATED": RefusedInput,
    "CUSTOMER_UNAUTHORIZED": RefusedInput,
    "NOT_IMPLEMENTED": NotCapable,
    "TEMPORARILY_UNAVAILABLE": Unavailable,
    "DEADLINE_EXCEEDED": Unavailable,
    "REQUEST_LIMIT_EXCEEDED": Unavailable,
    "RESOURCE_EXHAUSTED": Unavailable,
    "ABORTED": Unavailable,
}
_STATUSES: Mapping[int, type[StackproofError]] = {
    401: RefusedInput,
    403: RefusedInput,
    404: NotFound,
    429: Unavailable,
    501: NotCapable,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}
_FULL = ("disk is full", "No space left on device")

_Given = ParamSpec("_Given")
_Returned = TypeVar("_Returned")


def library(options: Mapping[str, object]) -> Any:
    """The module `mlflow`, set up by its own environment variables. Raises `NotFound` when it is not installed."""
    os.environ.update(ALWAYS)
    os.environ.update({_FROM_OPTIONS[name]: str(given) for name, given in options.items() if name in _FROM_OPTIONS})
    try:
        for part in ("sqlalchemy.exc", "mlflow.artifacts", "mlflow.store.artifact.artifact_repository_registry"):
            import_module(part)
    except ModuleNotFoundError as missing:
        raise NotFound(
            f"The adapter tracking.mlflow needs the module {missing.name!r}, which is not installed",
            next_command="pip install mlflow",
        ) from missing
    return sys.modules["mlflow"]


def mapped(method: Callable[_Given, _Returned]) -> Callable[_Given, _Returned]:
    """The method, with every error of MLflow or of the system turned into one of ours."""

    @wraps(method)
    def call(*args: _Given.args, **kwargs: _Given.kwargs) -> _Returned:
        try:
            return method(*args, **kwargs)
        except foreign() as error:
            raise as_ours(error) from error

    return call


def server_version(uri: str) -> str:
    """As the server tells it."""
    credentials = import_module("mlflow.utils.credentials").get_default_host_creds(uri)
    answer = import_module("mlflow.utils.rest_utils").http_request(credentials, "/version", "GET")
    return str(answer.text).strip() if answer.ok else "?"


def as_ours(error: BaseException) -> StackproofError:
    """By MLflow's code, else by the error beneath it, such as a connection that was refused; one of ours as it is."""
    if isinstance(error, StackproofError):
        return error
    told = " ".join(str(error).split())[:600]
    if any(words in told for words in _FULL) or is_full(error):
        return StorageFull("MLflow found the disk full", got=told, next_command="df -h")
    kind = _kind(error)
    if kind is None:
        return StackproofError("MLflow failed", got=told)
    if kind is Unavailable:
        return Unavailable("MLflow does not answer", got=told, next_command="stackproof check")
    if kind is NotFound:
        return NotFound("MLflow has nothing under that name", got=told)
    return kind("MLflow refuses that", got=told)


def _kind(error: BaseException) -> type[StackproofError] | None:
    by_code = _KINDS.get(getattr(error, "error_code", ""))
    if by_code is not None:
        return by_code
    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(status, int):
        return _STATUSES.get(status)
    if isinstance(error, (ConnectionError, TimeoutError)) or type(error).__module__.startswith("requests"):
        return Unavailable
    if type(error).__name__ == "OperationalError":
        return Unavailable
    beneath = error.__cause__ or error.__context__
    return _kind(beneath) if beneath is not None else None


def foreign() -> tuple[type[BaseException], ...]:
    """What MLflow and the system raise."""
    if "mlflow" not in sys.modules or "sqlalchemy.exc" not in sys.modules:
        return (OSError,)
    return (OSError, sys.modules["mlflow"].MlflowException, sys.modules["sqlalchemy.exc"].SQLAlchemyError)
