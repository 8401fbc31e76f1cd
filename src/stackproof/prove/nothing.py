"""An adapter that does nothing, to measure what a call to another process costs by itself."""

from collections.abc import Mapping
from typing import ClassVar

from stackproof.roles.adapter import Health, Option, Setting


class Nothing:
    """`flush` returns at once."""

    tool: ClassVar[str] = "nothing"
    capabilities: ClassVar[frozenset[str]] = frozenset({"write-runs"})
    options: ClassVar[Mapping[str, Option]] = {}

    def __init__(self, setting: Setting) -> None:
        self._setting = setting

    def health(self) -> Health:
        return Health(ok=True, version="1", detail="does nothing")

    def flush(self) -> None:
        """Nothing is ever accepted."""

    def close(self) -> None:
        """Nothing is held."""
