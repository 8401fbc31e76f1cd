"""Requests per second and latency of the embedded model server, beside plain Starlette.

`python -m benchmarks.serving [--seconds 4]`. Four servers, one worker each, the same gradient-boosting
model of 20 floats, the load generator on the same machine:

- empty: Starlette answers `{}` without reading the request
- plain: Starlette, orjson and xgboost in a dozen lines: no checks, no identifiers, no log
- stackproof, no log: the embedded server with a log that forgets at once
- stackproof, ledger: the same with the ledger: each answer waits until its rows are synced and hash-chained
"""

import argparse
import json
import os
import selectors
import socket
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stackproof.roles.serving import Deployment, LoggedPrediction, PredictionLog, Route, Signature, TensorSpec

SERVERS = ("empty", "plain", "stackproof, no log", "stackproof, ledger")
COLUMNS = 20
CONNECTIONS = 16
PATH = "/v2/models/bench/infer"


# The servers


def main_server(kind: str, folder: Path) -> None:
    {"empty": serve_empty, "plain": serve_plain}.get(kind, serve_stackproof)(kind, folder)


def serve_empty(kind: str, folder: Path) -> None:
    from starlette.requests import Request
    from starlette.responses import Response

    async def infer(request: Request) -> Response:
        return Response(b"{}", media_type="application/json")

    serve_starlette(infer)


def serve_plain(kind: str, folder: Path) -> None:
    import numpy as np
    import orjson
    import xgboost
    from starlette.requests import Request
    from starlette.responses import Response

    booster = xgboost.Booster()
    booster.load_model(folder / "model.json")
    booster.set_param({"nthread": 1})

    async def infer(request: Request) -> Response:
        body = orjson.loads(await request.body())
        matrix = np.array([given["data"] for given in body["inputs"]], dtype=np.float32).T
        found = booster.inplace_predict(np.ascontiguousarray(matrix), validate_features=False)
        output = {"name": "probability", "shape": [len(found)], "datatype": "FP64", "data": found.tolist()}
        return Response(orjson.dumps({"outputs": [output]}), media_type="application/json")

    serve_starlette(infer)


def serve_starlette(infer: Callable[..., Any]) -> None:
    import uvicorn
    from starlette.applications import Starlette
    from starlette.routing import Route as StarletteRoute

    # With the protocol stated, asyncio turns Nagle's delay off; `create_server` states none.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    print(listener.getsockname()[1], flush=True)
    app = Starlette(routes=[StarletteRoute(PATH, infer, methods=["POST"])])
    uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off")).run([listener])


class ForgetfulLog:
    """Says durable at once."""

    def append(self, predictions: Sequence[LoggedPrediction], done: Callable[[BaseException | None], None]) -> None:
        done(None)


def serve_stackproof(kind: str, folder: Path) -> None:
    from stackproof.adapters.serving.embedded import EmbeddedServer
    from stackproof.roles.adapter import Setting

    log: PredictionLog = ForgetfulLog()
    if kind.endswith("ledger"):
        from stackproof.ledger import Ledger
        from stackproof.store import Store

        log = Ledger(Store.open(folder / "store")).predictions
    EmbeddedServer(Setting(home=folder)).run(
        Deployment("deployment:bench", "bench", (Route("bench", 1, folder, 1.0),)),
        features=None,
        log=log,
        host="127.0.0.1",
        port=0,
        on_ready=lambda url: print(url.rpartition(":")[2], flush=True),
    )


# The load


@dataclass(slots=True)
class Connection:
    """One request at a time; `since` is when the one under way was due."""

    socket: socket.socket
    since: float = 0.0
    received: bytearray = field(default_factory=bytearray)

    def send(self, request: bytes, since: float) -> None:
        self.since = since
        self.received.clear()
        self.socket.sendall(request)

    def is_answered(self) -> bool:
        """Read what has come; true when the answer is complete. Raises on any status but 200."""
        self.received += self.socket.recv(1 << 20)
        head, separator, body = self.received.partition(b"\r\n\r\n")
        if not separator:
            return False
        if not head.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"unexpected answer: {bytes(self.received[:500])!r}")
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        return len(body) >= int(length.partition(b":")[2])


def latencies(port: int, request: bytes, seconds: float, rate: float | None) -> list[float]:
    """Seconds from due to answered. Without a rate each connection sends as soon as it may."""
    with selectors.DefaultSelector() as selector:
        free: deque[Connection] = deque()
        for _ in range(CONNECTIONS):
            connection = Connection(socket.create_connection(("127.0.0.1", port), timeout=30))
            connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            selector.register(connection.socket, selectors.EVENT_READ, connection)
            free.append(connection)
        found = _drive(selector, free, request, seconds, rate)
        for key in list(selector.get_map().values()):
            key.data.socket.close()
    return found


def _drive(
    selector: selectors.BaseSelector,
    free: deque[Connection],
    request: bytes,
    seconds: float,
    rate: float | None,
) -> list[float]:
    found: list[float] = []
    start = due = time.perf_counter()
    while (now := time.perf_counter()) < start + seconds or len(free) < CONNECTIONS:
        while free and due <= now < start + seconds:
            free.popleft().send(request, due if rate else now)
            due = due + 1 / rate if rate else due
        for key, _ in selector.select(0.0005 if rate else 0.01):
            if key.data.is_answered():
                found.append(time.perf_counter() - key.data.since)
                free.append(key.data)
    return found


def infer_request(rows: int) -> bytes:
    inputs = [
        {"name": f"f{i}", "shape": [rows], "datatype": "FP64", "data": [i / 7 + row for row in range(rows)]}
        for i in range(COLUMNS)
    ]
    body = json.dumps({"inputs": inputs}).encode()
    head = f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


# The comparison


def write_model(folder: Path) -> None:
    import numpy as np
    import xgboost

    random = np.random.default_rng(0)
    columns = random.normal(size=(5_000, COLUMNS))
    late = columns[:, 0] + columns[:, 3] * columns[:, 4] > 0
    xgboost.train({"objective": "binary:logistic", "max_depth": 4}, xgboost.DMatrix(columns, late), 100).save_model(
        folder / "model.json"
    )
    inputs = tuple(TensorSpec(f"f{i}", "FP64") for i in range(COLUMNS))
    Signature("xgboost-json", "model.json", inputs, (TensorSpec("probability", "FP64"),)).write(folder)


@contextmanager
def started(kind: str, folder: Path) -> Iterator[tuple[int, float, subprocess.Popen[str]]]:
    """The port, the seconds until it was told, the process."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "benchmarks.serving", "--server", kind, "--folder", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline()), time.perf_counter() - start, process
        finally:
            process.terminate()


def resident_megabytes(process: subprocess.Popen[str]) -> str:
    """Linux only, "-" elsewhere."""
    path = Path(f"/proc/{process.pid}/statm")
    return f"{int(path.read_text().split()[1]) * os.sysconf('SC_PAGE_SIZE') / 1e6:.0f}" if path.exists() else "-"


def measure(kind: str, folder: Path, seconds: float) -> str:
    with started(kind, folder) as (port, start, process):
        cells = []
        for rows in (1, 32):
            request = infer_request(rows)
            latencies(port, request, min(1.0, seconds), None)
            rate = len(latencies(port, request, seconds, None)) / seconds
            paced = sorted(latencies(port, request, seconds, rate / 2))
            p50, p99 = (1000 * paced[int(len(paced) * share)] for share in (0.5, 0.99))
            cells.append(f"{rate:>8,.0f} {p50:>7.2f} /{p99:>7.2f}")
        return f"{kind:<20} {'  '.join(cells)} {resident_megabytes(process):>6} {start:>6.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measurement")
    parser.add_argument("--only", choices=SERVERS, help="measure one server alone")
    parser.add_argument("--server", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.server:
        main_server(given.server, given.folder)
        return
    print(f"{COLUMNS} floats, one worker, {CONNECTIONS} connections, {os.cpu_count()} cores shared with the load")
    print(f"{'':<20} {'1 row: req/s, p50/p99 ms':>25}  {'32 rows: the same':>25} {'MB':>6} {'start':>6}")
    with tempfile.TemporaryDirectory() as folder:
        write_model(Path(folder))
        for kind in [given.only] if given.only else SERVERS:
            print(measure(kind, Path(folder), given.seconds), flush=True)


if __name__ == "__main__":
    main()
