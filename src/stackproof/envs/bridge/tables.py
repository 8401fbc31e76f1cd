"""Tables as pieces: each an Arrow IPC file of its own, some megabytes long, that the other side can read at once.

Polars or pyarrow does the work: the one that is imported already, else pyarrow, else Polars. With pyarrow a table is
neither read nor held as a whole on this side.
"""

import sys
from collections.abc import Iterator
from functools import cache, partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any, BinaryIO

from stackproof.envs.bridge.pieces import Piece
from stackproof.errors import NotFound
from stackproof.roles.table import Table

PIECE = 16 << 20
ENGINES = ("pyarrow", "polars")


def pieces_of(table: Table) -> Iterator[Piece]:
    """At least one piece: a table without rows has its columns. Raises `NotFound` without Polars and pyarrow."""
    return _pyarrow_pieces(table) if engine() == "pyarrow" else _polars_pieces(table)


def table_of(pieces: Iterator[Piece]) -> Table:
    """The whole table, in memory."""
    if engine() == "pyarrow":
        arrow = import_module("pyarrow")
        first = _opened(arrow, next(pieces))
        whole: Table = arrow.Table.from_batches(list(_batches(arrow, first, pieces)), first.schema)
        return whole
    polars = import_module("polars")
    joined: Table = polars.concat([_read(polars, piece) for piece in pieces], rechunk=False)
    return joined


def stream_of(pieces: Iterator[Piece]) -> Table:
    """A table that is read while it arrives, where the engine can; to be read once."""
    if engine() != "pyarrow":
        return table_of(pieces)
    arrow = import_module("pyarrow")
    first = _opened(arrow, next(pieces))
    reader: Table = arrow.RecordBatchReader.from_batches(first.schema, _batches(arrow, first, pieces))
    return reader


@cache
def engine() -> str:
    """The library that reads and writes Arrow here."""
    loaded = [name for name in ENGINES if name in sys.modules]
    installed = loaded or [name for name in ENGINES if find_spec(name)]
    if not installed:
        raise NotFound(
            "A table cannot move: this environment has neither pyarrow nor Polars",
            got=sys.prefix,
            next_command=f"uv pip install --python {sys.executable} pyarrow",
        )
    return installed[0]


def _polars_pieces(table: Table) -> Iterator[Piece]:
    polars = import_module("polars")
    frame = table if isinstance(table, polars.DataFrame) else polars.DataFrame(table)
    rows = max(1, PIECE * frame.height // max(1, frame.estimated_size()))
    # The oldest layout of strings: every pyarrow reads it, and a slice does not carry the strings of its neighbours.
    layout = polars.CompatLevel.oldest()
    for start in range(0, max(1, frame.height), rows):
        part = frame.slice(start, rows)
        yield Piece.written(partial(part.write_ipc, compression="uncompressed", compat_level=layout))


def _read(polars: Any, piece: Piece) -> Any:
    with piece.opened() as file:
        return polars.read_ipc(file)


def _pyarrow_pieces(table: Table) -> Iterator[Piece]:
    arrow = import_module("pyarrow")
    reader = arrow.RecordBatchReader.from_stream(table)
    yield Piece.written(partial(_write, arrow, reader.schema, None))
    for batch in reader:
        rows = max(1, PIECE * batch.num_rows // max(1, batch.nbytes))
        for start in range(0, batch.num_rows, rows):
            yield Piece.written(partial(_write, arrow, reader.schema, batch.slice(start, rows)))


def _write(arrow: Any, schema: Any, batch: Any, file: BinaryIO) -> None:
    with arrow.ipc.new_file(file, schema) as writer:
        if batch is not None:
            writer.write_batch(batch)


def _opened(arrow: Any, piece: Piece) -> Any:
    return arrow.ipc.open_file(arrow.py_buffer(piece.mapped()))


def _batches(arrow: Any, first: Any, rest: Iterator[Piece]) -> Iterator[Any]:
    yield from (first.get_batch(index) for index in range(first.num_record_batches))
    for piece in rest:
        opened = _opened(arrow, piece)
        yield from (opened.get_batch(index) for index in range(opened.num_record_batches))
