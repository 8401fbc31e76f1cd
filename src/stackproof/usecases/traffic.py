"""Sends rows of a table through a live server, as a client of Open Inference Protocol v2 would."""

import http.client
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from stackproof.errors import RefusedInput, Unavailable

if TYPE_CHECKING:
    import polars as pl

TIMEOUT_S = 30.0
IDLE_S = 2.0
"""A connection unused for longer is made anew: servers close idle ones after some seconds, without a word."""
EVENT_TIME = "event_time"
_DATATYPES = {"String": "BYTES", "Boolean": "BOOL", "Int64": "INT64", "Int32": "INT64", "Float64": "FP64"}


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer to one request: per row its prediction's identifier and probability, in order."""

    prediction_ids: tuple[str, ...]
    values: tuple[float, ...]
    model_version: str


class Client:
    """One connection to a server. Not for several threads at once."""

    def __init__(self, url: str, deployment: str) -> None:
        place = urlsplit(url)
        self._connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=TIMEOUT_S)
        self._path = f"/v2/models/{deployment}/infer"
        self._answered = time.monotonic()

    def ask(self, rows: "pl.DataFrame", *, as_of: str | None = None) -> Answered:
        """Send the rows as one request; the column `as_of` gives each row's instant for its lookups.

        Raises `RefusedInput` when the server refuses the request, `Unavailable` when it cannot answer.
        """
        body = json.dumps({"inputs": list(_tensors(rows, as_of))})
        if time.monotonic() - self._answered > IDLE_S:
            self._connection.close()
        try:
            self._connection.request("POST", self._path, body, {"Content-Type": "application/json"})
            response = self._connection.getresponse()
            answer: dict[str, Any] = json.loads(response.read())
        except (OSError, http.client.HTTPException, json.JSONDecodeError) as error:
            self._connection.close()
            raise Unavailable("The server did not answer", got=f"{type(error).__name__}: {error}") from error
        self._answered = time.monotonic()
        if response.status != 200:
            kind = RefusedInput if response.status == 400 else Unavailable
            raise kind(f"The server answered {response.status}", got=answer.get("error"))
        return Answered(
            tuple(answer["parameters"]["prediction_ids"]),
            tuple(answer["outputs"][0]["data"]),
            str(answer["model_version"]),
        )

    def close(self) -> None:
        self._connection.close()


def send(client: Client, rows: "pl.DataFrame", *, as_of: str, batch: int) -> Iterator[tuple[int, Answered]]:
    """Send all rows in their order, `batch` rows to a request. Yields rows sent so far and the answer."""
    for start in range(0, rows.height, batch):
        part = rows.slice(start, batch)
        yield start + part.height, client.ask(part, as_of=as_of)


def _tensors(rows: "pl.DataFrame", as_of: str | None) -> Iterator[Mapping[str, Any]]:
    for column in rows.iter_columns():
        if column.name != as_of:
            yield _tensor(column.name, _DATATYPES[str(column.dtype)], column.to_list())
    if as_of is not None:
        yield _tensor(EVENT_TIME, "BYTES", [instant.isoformat() for instant in rows[as_of]])


def _tensor(name: str, datatype: str, data: Sequence[Any]) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": [len(data)], "data": data}
