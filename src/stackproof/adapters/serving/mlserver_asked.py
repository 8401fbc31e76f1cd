"""What passes by MLServer's own values: the request as it came, and who answers for a deployment."""

from contextvars import ContextVar
from dataclasses import dataclass

from stackproof.adapters.serving.inference import Inference


@dataclass(frozen=True, slots=True)
class Asked:
    """`version`: the one that the path names, None for the choice by weights."""

    body: bytes
    version: str | None


ASKED: ContextVar[Asked] = ContextVar("asked")
SERVED: dict[str, Inference] = {}
"""By the deployment's name. MLServer makes the runtime from a file, so this is where the runtime finds it."""
