"""kill -9 of the server under load, again and again: what was answered is logged."""

import random
import threading
from http.client import HTTPException
from pathlib import Path

import pytest

from stackproof.adapters.serving.embedded import EmbeddedServer
from stackproof.roles.adapter import Setting
from stackproof.roles.serving import Deployment, Route
from stackproof.testing.serving_client import Client, ServerProcess
from stackproof.testing.serving_models import onnx_package, request


class Suite:
    """What the server's process makes its adapter with."""

    def make(self, home: Path) -> EmbeddedServer:
        return EmbeddedServer(Setting(home=home))


@pytest.mark.slow
def test_every_answered_prediction_is_logged_across_ten_kills(tmp_path: Path) -> None:
    package = onnx_package(tmp_path / "package", 0.0)
    deployment = Deployment("deployment:1", "small", (Route("small", 1, package, 1.0),))
    chosen = random.Random(0)
    for number in range(10):
        server = ServerProcess(Suite, __file__, tmp_path / str(number), deployment, {})
        try:
            url = server.wait_until_ready()
            answered = _load_until_killed(server, url, chosen.uniform(0.05, 0.5))
        finally:
            server.ensure_dead()
        assert answered
        assert answered <= {row["id"] for row in server.logged()}


def _load_until_killed(server: ServerProcess, url: str, seconds: float) -> set[str]:
    answered: set[str] = set()

    def send() -> None:
        with Client(url) as client:
            while True:
                try:
                    reply = client.ask("POST", "/v2/models/small/infer", request({"x": [0.5, 1.5]}))
                except (OSError, HTTPException):
                    return
                answered.update(reply.content["parameters"]["prediction_ids"])

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    # At least one answer, and then a moment chosen at random.
    while not answered and any(thread.is_alive() for thread in threads):
        threading.Event().wait(0.01)
    threading.Event().wait(seconds)
    server.process.kill()
    for thread in threads:
        thread.join()
    return answered
