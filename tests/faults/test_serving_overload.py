"""Three times as many clients as the server takes: it refuses what is too much, and accounts for all of it."""

import threading
from collections import Counter
from pathlib import Path

import pytest

from stackproof.adapters.serving.embedded import EmbeddedServer
from stackproof.roles.adapter import Setting
from stackproof.roles.serving import Deployment, Route
from stackproof.testing.serving_client import Client, ServerProcess, ask
from stackproof.testing.serving_models import onnx_package, request

PLACES = 4
CLIENTS = 3 * PLACES
REQUESTS = 100


class Suite:
    """What the server's process makes its adapter with."""

    def make(self, home: Path) -> EmbeddedServer:
        return EmbeddedServer(Setting(home=home, options={"max_in_flight": PLACES}))


@pytest.mark.slow
def test_every_request_is_answered_or_refused_and_the_log_agrees(tmp_path: Path) -> None:
    package = onnx_package(tmp_path / "package", 0.0)
    deployment = Deployment("deployment:1", "small", (Route("small", 1, package, 1.0),))
    server = ServerProcess(Suite, __file__, tmp_path / "server", deployment, {})
    statuses: Counter[int] = Counter()
    logged: set[str] = set()
    lock = threading.Lock()

    def send(url: str) -> None:
        with Client(url) as client:
            for _ in range(REQUESTS):
                reply = client.ask("POST", "/v2/models/small/infer", request({"x": [0.5]}))
                with lock:
                    statuses[reply.status] += 1
                    logged.update(reply.content.get("parameters", {}).get("prediction_ids", ()))

    try:
        url = server.wait_until_ready()
        threads = [threading.Thread(target=send, args=(url,)) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        metrics = ask(url, "GET", "/metrics").content.splitlines()
    finally:
        server.ensure_dead()
    assert set(statuses) == {200, 429}
    assert statuses.total() == CLIENTS * REQUESTS
    assert {row["id"] for row in server.logged()} == logged
    assert len(logged) == statuses[200]
    assert f'stackproof_serving_refusals_total{{reason="too_many"}} {statuses[429]}' in metrics
    assert "stackproof_serving_in_flight 0" in metrics
