"""How tables cross a contract: as anything that exports an Arrow stream.

Polars, pyarrow, pandas and DuckDB all do (the Arrow PyCapsule interface), so a role's contract
needs none of them.
"""

from typing import Protocol, runtime_checkable


@runtime_checkable
class Table(Protocol):
    """A table of named, typed columns. Instants are UTC timestamps with microseconds."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """An Arrow C stream capsule, as the Arrow PyCapsule interface describes it."""
        ...
