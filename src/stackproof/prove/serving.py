"""Serving: requests a second and their latency, that every value is the model's, and that no answer goes unlogged."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isclose
from pathlib import Path
from typing import Any

import numpy as np

from stackproof.errors import RefusedInput, StackproofError
from stackproof.prove.candidate import WAIT_S, Opener, Running
from stackproof.prove.http_load import Answer, drive, request_bytes
from stackproof.prove.model import BoostedTrees
from stackproof.prove.record import Record
from stackproof.prove.scenario import Given, Predict
from stackproof.roles.serving import Deployment, LoggedPrediction, Route, Signature, TensorSpec

NAME = "proof"
BATCH = 32
CONNECTIONS = 8
DIFFERENT = 64
"""So many different rows are asked for, again and again."""
TOLERANCE = 1e-5


@dataclass(frozen=True, slots=True)
class Size:
    """Requests one after the other; seconds of load with one row a request, and with `BATCH` rows."""

    sequential: int
    seconds: float


SIZES = {"smoke": Size(200, 0.5), "medium": Size(1_000, 3.0), "full": Size(5_000, 10.0)}


class Log:
    """Keeps what the server logs, and says durable a moment later, as a disk does."""

    def __init__(self) -> None:
        self.ids: set[str] = set()
        self.rows = 0
        self._lock = threading.Lock()

    def append(self, predictions: Sequence[LoggedPrediction], done: Callable[[BaseException | None], None]) -> None:
        with self._lock:
            self.ids.update(one.id for one in predictions)
            self.rows += len(predictions)
        done(None)


class Server:
    """The adapter's `run` in a thread, its server in the candidate's own process."""

    def __init__(self, running: Running, package: Path) -> None:
        self.running, self.log, self.url = running, Log(), ""
        self.error: StackproofError | None = None
        self._ready = threading.Event()
        self._package = package
        self._thread = threading.Thread(target=self._serve, name="server", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        deployment = Deployment("deployment:proof", NAME, (Route(NAME, 1, self._package, 1.0),))
        try:
            self.running.adapter.run(
                deployment, features=None, log=self.log, host="127.0.0.1", port=0, on_ready=self._on_ready
            )
        except StackproofError as error:
            self.error = error
        finally:
            self._ready.set()

    def _on_ready(self, url: str) -> None:
        self.url = url
        self._ready.set()

    def wait(self) -> None:
        """Until it answers requests. Raises what kept it from it."""
        self._ready.wait(WAIT_S)
        if not self.url:
            raise self.error or RefusedInput(f"The server was not ready within {WAIT_S:g} s")

    def end(self) -> None:
        """Stop it in order, or wait for the end of one that was killed."""
        self.running.stop()
        self._thread.join(WAIT_S)


class ServingScenario:
    """One deployment of one model version over Open Inference Protocol v2, with a prediction log."""

    name = "requests"
    needs = frozenset({"serve"})

    def __init__(self, size: str, given: Given) -> None:
        self._size, self._model = SIZES[size], given.model
        self._signature = _signature_of(given.model)
        self._trees = BoostedTrees()
        self._predict: Predict = given.predict or self._trees.predict
        self._columns = _made_columns(self._signature.inputs)
        self._wanted = list(self._predict(self._coded_rows()))

    def _coded_rows(self) -> list[list[float | None]]:
        """The rows as the model takes them: categories by their place in the signature."""
        coded = [
            [
                float(spec.categories.index(v)) if spec.datatype == "BYTES" else float(v)
                for v in self._columns[spec.name]
            ]
            for spec in self._signature.inputs
        ]
        return [list(row) for row in zip(*coded, strict=True)]

    def round(self, running: Running, folder: Path, record: Record) -> None:
        started = time.perf_counter()
        server = Server(running, self._package(folder))
        try:
            server.wait()
            record.figure("server_start", "s", time.perf_counter() - started)
            self._sequential(server, record)
            for rows, name in ((1, "requests_per_second"), (BATCH, f"requests_per_second_{BATCH}_rows")):
                self._loaded(server, rows, name, record)
            self._refusal(server, record)
        finally:
            server.end()

    def _sequential(self, server: Server, record: Record) -> None:
        request = self._requests(server.url, 1)
        for warm in (True, False):
            count = 20 if warm else self._size.sequential
            answers, lost = drive(server.url, request, connections=1, until=_after(count))
            record.check(lost == 0, f"{lost} requests got no answer")
        record.latencies("predict", [answer.seconds for answer in answers])
        self._check(answers, 1, server.log, record)

    def _loaded(self, server: Server, rows: int, name: str, record: Record) -> None:
        request, end = self._requests(server.url, rows), time.perf_counter() + self._size.seconds
        began = time.perf_counter()
        answers, lost = drive(
            server.url, request, connections=CONNECTIONS, until=lambda sent: time.perf_counter() >= end
        )
        record.rate(name, len(answers), time.perf_counter() - began)
        record.latencies(
            "predict_under_load" if rows == 1 else f"predict_{rows}_under_load", [a.seconds for a in answers]
        )
        record.check(lost == 0, f"{lost} requests under load got no answer")
        self._check(answers, rows, server.log, record)

    def _refusal(self, server: Server, record: Record) -> None:
        bad = request_bytes(server.url, _path(), {"inputs": [{"name": "nothing"}]})
        (answer,), _ = drive(server.url, lambda _: bad, connections=1, until=_after(1))
        record.check(400 <= answer.status < 500, f"a request that is none got the status {answer.status}")

    def _requests(self, url: str, rows: int) -> Callable[[int], bytes]:
        """Request n asks for the rows from n on; each is made once, before anything is timed."""
        made = [request_bytes(url, _path(), {"inputs": self._inputs(_places(n, rows))}) for n in range(DIFFERENT)]
        return lambda number: made[number % DIFFERENT]

    def _inputs(self, places: list[int]) -> list[dict[str, Any]]:
        return [
            {
                "name": spec.name,
                "shape": [len(places)],
                "datatype": spec.datatype,
                "data": [self._columns[spec.name][place] for place in places],
            }
            for spec in self._signature.inputs
        ]

    def _check(self, answers: list[Answer], rows: int, log: Log, record: Record) -> None:
        output = self._signature.outputs[0].name
        refused = [answer.status for answer in answers if answer.status != 200]
        record.check(not refused, f"{len(refused):,} of {len(answers):,} requests got a status like {refused[:1]}")
        wrong = short = unlogged = 0
        for answer in answers:
            if answer.status != 200:
                continue
            content = answer.content
            values = _values(content, output)
            wanted = [self._wanted[place] for place in _places(answer.number % DIFFERENT, rows)]
            short += len(values) != len(wanted)
            wrong += any(not isclose(a, b, abs_tol=TOLERANCE) for a, b in zip(values, wanted, strict=False))
            unlogged += not _ids(content) or not set(_ids(content)) <= log.ids
        of = f"of {len(answers):,} answers"
        record.check(short == 0, f"{short:,} {of} have too few values or too many")
        record.check(wrong == 0, f"{wrong:,} {of} have other values than the model gives")
        record.check(unlogged == 0, f"{unlogged:,} {of} came without all of their rows in the prediction log")

    def _package(self, folder: Path) -> Path:
        return self._model or self._trees.write(folder / "package")

    def crash(self, opened: Opener, home: Path, folder: Path, record: Record) -> None:
        package = self._package(folder)
        running = opened(home)
        server = Server(running, package)
        server.wait()
        killed: list[float] = []

        def until(sent: int) -> bool:
            if sent >= self._size.sequential and not killed:
                killed.append(time.perf_counter())
                running.kill()
            return bool(killed)

        answers, _ = drive(server.url, self._requests(server.url, 1), connections=CONNECTIONS, until=until)
        server.end()
        running.close()
        answered = [name for answer in answers if answer.status == 200 for name in _ids(answer.content)]
        lost = len(set(answered) - server.log.ids)
        record.figure("acknowledged", "1", len(answered))
        record.figure("recovered", "1", len(answered) - lost)
        record.check(lost == 0, f"after SIGKILL {lost:,} of {len(answered):,} answered predictions are in no log")
        again = Server(opened(home), package)
        try:
            again.wait()
            answers, _ = drive(again.url, self._requests(again.url, 1), connections=1, until=_after(10))
            record.figure("recovery", "s", time.perf_counter() - killed[0])
            self._check(answers, 1, again.log, record)
        finally:
            again.end()
            again.running.close()


def _path() -> str:
    return f"/v2/models/{NAME}/infer"


def _places(number: int, rows: int) -> list[int]:
    return [(number + row) % DIFFERENT for row in range(rows)]


def _after(count: int) -> Callable[[int], bool]:
    return lambda sent: sent >= count


def _values(content: Any, output: str) -> list[float]:
    try:
        (found,) = [one for one in content["outputs"] if one["name"] == output]
        data = found["data"]
        return [float(value[0] if isinstance(value, list) else value) for value in data]
    except (KeyError, TypeError, ValueError, IndexError):
        return []


def _ids(content: Any) -> list[str]:
    try:
        return list(content["parameters"]["prediction_ids"])
    except (KeyError, TypeError):
        return []


def _signature_of(package: Path | None) -> Signature:
    if package is None:
        inputs = tuple(TensorSpec(f"f{n}", "FP64") for n in range(20))
        return Signature("onnx", "model.onnx", inputs, (TensorSpec("probability", "FP64"),))
    try:
        return Signature.read(package)
    except (OSError, ValueError, KeyError, TypeError) as broken:
        raise RefusedInput(
            "This is no model package", got=f"{package}: {broken}", allowed="a folder with signature.json and a model"
        ) from broken


def _made_columns(inputs: Sequence[TensorSpec]) -> dict[str, list[Any]]:
    """`DIFFERENT` rows: numbers of an order that most models know, categories that the signature names."""
    draw = np.random.default_rng(8)
    makers: dict[str, Callable[[TensorSpec], list[Any]]] = {
        "FP64": lambda spec: draw.normal(size=DIFFERENT).astype(np.float32).astype(float).tolist(),
        "INT64": lambda spec: draw.integers(0, 1_000, DIFFERENT).tolist(),
        "BOOL": lambda spec: (draw.random(DIFFERENT) < 0.5).tolist(),
        "BYTES": lambda spec: draw.choice(spec.categories, DIFFERENT).tolist(),
    }
    return {spec.name: makers[spec.datatype](spec) for spec in inputs}
