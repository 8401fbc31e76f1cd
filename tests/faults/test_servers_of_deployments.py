"""The model server and the watcher of a deployment, brought up, killed and brought down by the command line."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

pytestmark = pytest.mark.slow
PATIENT_S = 120


@pytest.fixture
def told(shop: Path, stackproof: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    """What a command prints as JSON, by its words; everything is down in the end."""

    def tell(*arguments: str) -> Any:
        done = stackproof(*arguments, "--format", "json")
        assert done.stdout, done.stderr
        return json.loads(done.stdout)

    yield tell
    stackproof("down")


def predicted(url: str) -> int:
    inputs = [
        {"name": "price", "datatype": "FP64", "shape": [1], "data": [80.0]},
        {"name": "channel", "datatype": "BYTES", "shape": [1], "data": ["web"]},
    ]
    asked = Request(f"{url}/v2/models/returns/infer", json.dumps({"inputs": inputs}).encode())
    with urlopen(asked, timeout=10) as answer:
        return int(answer.status)


def test_a_deployment_is_served_and_watched_until_down(
    told: Callable[..., Any], stackproof: Callable[..., Any]
) -> None:
    up = stackproof("up", "--sink", "file:alerts.jsonl")
    assert up.returncode == 0, up.stderr
    served, watched = told("status")
    assert (served["name"], watched["name"]) == ("serve-returns", "watch-returns")
    assert predicted(served["url"]) == 200
    assert (watched["url"], watched["health"]) == ("", "runs")
    for one in (served, watched):
        os.kill(one["pid"], signal.SIGKILL)
    until = time.monotonic() + PATIENT_S
    while [one["restarts"] for one in told("status")] != [1, 1] or stackproof("status").returncode != 0:
        assert time.monotonic() < until
    assert told("status")[0]["url"] == served["url"]
    assert predicted(served["url"]) == 200
    assert '"watching": "returns"' in stackproof("logs", "watch-returns").stdout
    assert told("down") == {"stopped": ["serve-returns", "watch-returns"]}
    assert stackproof("status").returncode == 1


def test_only_what_is_named_comes_up_and_a_port_that_is_asked_for_is_taken(
    told: Callable[..., Any], stackproof: Callable[..., Any]
) -> None:
    stackproof("up", "watch-returns")
    assert [one["name"] for one in told("status")] == ["watch-returns"]
    served, watched = told("up")
    port = int(served["url"].rpartition(":")[2])
    moved, same = told("up", "--port", f"serve-returns={port + 1}")
    assert moved["url"].endswith(f":{port + 1}")
    assert same["pid"] == watched["pid"]
