"""What the tests of several tools for `serving` share.

A test file names its conformance class with its constant `SUITE`. The process of a server under test, which has no
fixtures, imports that class from its file, and finds the interpreter of the tool by the variable that `PYTHON` names.
"""

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from stackproof.adapters.serving.embedded import EmbeddedServer
from stackproof.roles.adapter import Setting
from stackproof.roles.serving import Deployment, LoggedPrediction, Route
from stackproof.testing.serving import INFER, ServingConformance
from stackproof.testing.serving_client import Reply, ServerProcess, ask
from stackproof.testing.serving_models import FEATURES, full_request, xgboost_package

PYTHON = "STACKPROOF_TEST_TOOL_PYTHON"


class Embedded(ServingConformance):
    """The other side of the comparison; not collected by its name."""

    def make(self, home: Path) -> EmbeddedServer:
        return EmbeddedServer(Setting(home))


class AtOnce:
    """A log that keeps nothing."""

    def append(self, predictions: Sequence[LoggedPrediction], done: Callable[[BaseException | None], None]) -> None:
        done(None)


@pytest.fixture(scope="module")
def python(python: Path) -> Iterator[Path]:
    """The interpreter of the tool's environment, which the process of a server finds too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(PYTHON, str(python))
        yield python


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package of the first version of the model of delays."""
    return xgboost_package(tmp_path_factory.mktemp("package") / "one", 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the process of `server`; its adapter's home is `home` in it."""
    return tmp_path_factory.mktemp("server")


@pytest.fixture(scope="module")
def started(python: Path) -> Iterator[Callable[..., ServerProcess]]:
    """Starts the server of a conformance class in a folder with routes; the last test of the file ends it."""
    with ExitStack() as running:

        def start(suite: type, folder: Path, *routes: Route) -> ServerProcess:
            deployment = Deployment("deployment:one", routes[0].model, routes)
            server = ServerProcess(suite, inspect.getfile(suite), folder, deployment, FEATURES)
            running.callback(server.ensure_dead)
            server.wait_until_ready()
            return server

        yield start


@pytest.fixture(scope="module")
def server(
    request: pytest.FixtureRequest, started: Callable[..., ServerProcess], package: Path, folder: Path
) -> ServerProcess:
    """The tool's server, which serves `package`."""
    return started(request.module.SUITE, folder, Route("delays", 1, package, 1.0))


@pytest.fixture
def answers(
    server: ServerProcess, started: Callable[..., ServerProcess], package: Path, tmp_path: Path
) -> tuple[Reply, Reply]:
    """Of the embedded server and of the tool's, to one request for 200 rows with the id "the same"."""
    embedded = started(Embedded, tmp_path / "embedded", Route("delays", 1, package, 1.0))
    body = full_request(rows=200, id="the same")
    body["inputs"][0]["data"] = [-3000.5 + 25 * row for row in range(200)]
    ours, theirs = (ask(url, "POST", INFER, body) for url in (embedded.url, server.url))
    embedded.ensure_dead()
    return ours, theirs


@pytest.fixture
def version_served_here(package: Path) -> Callable[[Any], str]:
    """Lets an adapter serve `package` in this process for one request: the version that it answered with."""

    def serve(adapter: Any) -> str:
        served: list[str] = []

        def asked_once(url: str) -> None:
            served.append(ask(url, "POST", INFER, full_request()).content["model_version"])
            raise KeyError("the caller stops it")

        with pytest.raises(KeyError, match="the caller stops it"):
            adapter.run(
                Deployment("deployment:one", "delays", (Route("delays", 1, package, 1.0),)),
                features=None,
                log=AtOnce(),
                host="127.0.0.1",
                port=0,
                on_ready=asked_once,
            )
        (version,) = served
        return version

    return serve
