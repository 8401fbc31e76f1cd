"""A model server in a process of its own, for the conformance tests: run as a module with a JSON file.

The file names the conformance class (its source file and name) whose `make` gives the adapter, the
deployment, the log, the features and the file to watch for updates. Prints `ready URL` once requests
are answered and `returned` when `run` has returned; an error of ours is printed as `refused KIND`.
"""

import dataclasses
import json
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

from stackproof.errors import NotCapable, NotFound, StackproofError, StorageFailed
from stackproof.roles.features import FeatureRow, FeatureView, LookupRequest, Materialization
from stackproof.roles.serving import Deployment, LoggedPrediction, Route
from stackproof.roles.table import Table

DURABLE, FAILING, HELD = "durable", "failing", "held"
"""What the file `mode` beside the log may say: write and sync, report a failure, or wait until it says otherwise."""


class JsonLinesLog:
    """A durable prediction log: one JSON line per row, synced before `done` is called."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._mode = path.with_name("mode")
        self._queue: queue.SimpleQueue[tuple[Sequence[LoggedPrediction], Callable[[BaseException | None], None]]]
        self._queue = queue.SimpleQueue()
        threading.Thread(target=self._write_all, daemon=True).start()

    def append(self, predictions: Sequence[LoggedPrediction], done: Callable[[BaseException | None], None]) -> None:
        self._queue.put((predictions, done))

    def _write_all(self) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            while True:
                waiting = [self._queue.get()]
                while not self._queue.empty():
                    waiting.append(self._queue.get())
                while (mode := self._mode.read_text(encoding="utf-8")) == HELD:
                    time.sleep(0.01)
                problem = OSError("the log of this test was told to fail") if mode == FAILING else None
                if problem is None:
                    file.writelines(as_line(row) for predictions, _ in waiting for row in predictions)
                    file.flush()
                    os.fsync(file.fileno())
                for _, done in waiting:
                    done(problem)


def as_line(prediction: LoggedPrediction) -> str:
    return json.dumps(dataclasses.asdict(prediction), default=datetime.isoformat) + "\n"


class FixedFeatures:
    """Online features from a mapping: view name to rows of entity, known_at (RFC 3339) and values."""

    VERSION = "data:fixed"

    def __init__(self, views: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        self._views = views

    def materialize(self, view: FeatureView, source: Table, *, version: str) -> Materialization:
        raise NotCapable("The features of this test are fixed")

    def materialized(self) -> list[Materialization]:
        return [Materialization(name, self.VERSION, len(rows), None) for name, rows in self._views.items()]

    def lookup(self, view: str, requests: Sequence[LookupRequest]) -> list[FeatureRow]:
        if view not in self._views:
            raise NotFound(f"The view {view!r} was never materialized")
        return [self._row(self._views[view], request) for request in requests]

    def _row(self, rows: Sequence[Mapping[str, Any]], request: LookupRequest) -> FeatureRow:
        known = [(datetime.fromisoformat(row["known_at"]), row) for row in rows]
        matching = [
            (instant, row)
            for instant, row in known
            if row["entity"] == dict(request.entity) and (request.as_of is None or instant <= request.as_of)
        ]
        if not matching:
            return FeatureRow(dict.fromkeys(rows[0]["values"]), None, self.VERSION)
        instant, row = max(matching, key=lambda pair: pair[0])
        return FeatureRow(row["values"], instant, self.VERSION)


def deployment_from(data: Mapping[str, Any]) -> Deployment:
    """A deployment from its JSON form, as `dataclasses.asdict` gives it."""
    routes = (Route(**{**route, "package": Path(route["package"])}) for route in data["routes"])
    return Deployment(data["id"], data["name"], tuple(routes))


class FileUpdates:
    """Gives the deployment that the file holds, each time that it was replaced."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = ""

    def __call__(self) -> Deployment | None:
        text = self._path.read_text(encoding="utf-8") if self._path.exists() else ""
        if text == self._seen:
            return None
        self._seen = text
        return deployment_from(json.loads(text))


def main(config: Mapping[str, Any]) -> int:
    adapter = _adapter(config)
    try:
        adapter.run(
            deployment_from(config["deployment"]),
            features=FixedFeatures(config["features"]),
            log=JsonLinesLog(Path(config["log"])),
            host="127.0.0.1",
            port=config["port"],
            on_ready=lambda url: _say(f"ready {url}"),
            updates=FileUpdates(Path(config["updates"])),
        )
    except StackproofError as refused:
        _say(f"refused {type(refused).__name__} {json.dumps(str(refused))}")
        return 1 if not isinstance(refused, StorageFailed) else 2
    finally:
        adapter.close()
    _say("returned")
    return 0


def _adapter(config: Mapping[str, Any]) -> Any:
    spec = spec_from_file_location("suite_of_the_adapter", config["suite_file"])
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    suite: Any = module
    for name in config["suite_name"].split("."):
        suite = getattr(suite, name)
    return suite().make(Path(config["home"]))


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))
