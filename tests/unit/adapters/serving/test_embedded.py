"""Starting and stopping the adapter in this process, beside the main thread."""

import threading
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from stackproof.adapters.serving.embedded import EmbeddedServer
from stackproof.errors import RefusedInput, Unavailable
from stackproof.roles.adapter import Setting
from stackproof.roles.serving import Deployment, Route


class NoLog:
    def append(self, predictions: Any, done: Any) -> None:
        raise AssertionError("nothing is predicted here")


def run(server: EmbeddedServer, package: Path, host: str = "127.0.0.1", on_ready: Any = print) -> None:
    route = Route("small", 1, package, 1.0)
    deployment = Deployment("deployment:1", "small", (route,))
    server.run(deployment, features=None, log=NoLog(), host=host, port=0, on_ready=on_ready)


def test_close_stops_what_runs_and_run_returns(tmp_path: Path, small_package: Path) -> None:
    server = EmbeddedServer(Setting(tmp_path))
    statuses: list[int] = []

    def ask_and_close(url: str) -> None:
        with urllib.request.urlopen(f"{url}/v2/health/ready") as answer:
            statuses.append(answer.status)
        server.close()

    thread = threading.Thread(target=run, args=(server, small_package, "127.0.0.1", ask_and_close))
    thread.start()
    thread.join(30)
    assert not thread.is_alive()
    assert statuses == [200]


def test_what_on_ready_raises_stops_the_server_and_is_raised(tmp_path: Path, small_package: Path) -> None:
    def fail(url: str) -> None:
        raise Unavailable("the caller is gone")

    raised: list[BaseException] = []

    def keep_error() -> None:
        try:
            run(EmbeddedServer(Setting(tmp_path)), small_package, on_ready=fail)
        except Unavailable as error:
            raised.append(error)

    thread = threading.Thread(target=keep_error)
    thread.start()
    thread.join(30)
    assert [str(error) for error in raised] == ["the caller is gone."]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "models.example", ""])
def test_other_machines_are_listened_to_only_when_told_to(tmp_path: Path, small_package: Path, host: str) -> None:
    with pytest.raises(RefusedInput, match="allowed_hosts"):
        run(EmbeddedServer(Setting(tmp_path)), small_package, host)


def test_a_host_that_is_not_this_machine_is_refused(tmp_path: Path, small_package: Path) -> None:
    server = EmbeddedServer(Setting(tmp_path, {"allowed_hosts": "models.example"}))
    with pytest.raises(RefusedInput, match=r"192\.0\.2\.1"):
        run(server, small_package, "192.0.2.1")


@pytest.mark.parametrize("options", [{"max_rows": 0}, {"max_in_flight": -1}, {"log_seconds": "x"}, {"max_rows": True}])
def test_limits_that_are_none_are_refused(tmp_path: Path, small_package: Path, options: dict[str, Any]) -> None:
    with pytest.raises(RefusedInput, match=next(iter(options))):
        run(EmbeddedServer(Setting(tmp_path, options)), small_package)
