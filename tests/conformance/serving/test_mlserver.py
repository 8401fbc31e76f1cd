"""MLServer keeps the contract of `serving`, and its own client finds the models that it serves."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from stackproof.adapters.serving.embedded import EmbeddedServer
from stackproof.adapters.serving.mlserver import MLServer
from stackproof.envs.bridge.bridging import bridged
from stackproof.roles.adapter import Setting
from stackproof.roles.serving import Deployment, LoggedPrediction, Route
from stackproof.testing.serving import INFER, ServingConformance
from stackproof.testing.serving_client import ServerProcess, ask
from stackproof.testing.serving_models import FEATURES, full_request, request, xgboost_package

pytestmark = pytest.mark.tools
ADAPTER = "stackproof.adapters.serving.mlserver:MLServer"
PYTHON = "STACKPROOF_TEST_MLSERVER_PYTHON"
"""The variable by which the process of a server under test finds the interpreter."""
READ = """
import json, sys, numpy
import tritonclient.http as client
given = json.loads(sys.argv[2])
server = client.InferenceServerClient(sys.argv[1].removeprefix("http://"))
inputs = []
for tensor in given["inputs"]:
    kinds = {"FP64": float, "INT64": "int64", "BOOL": bool, "BYTES": object}
    made = client.InferInput(tensor["name"], tensor["shape"], tensor["datatype"])
    made.set_data_from_numpy(numpy.array(tensor["data"], dtype=kinds[tensor["datatype"]]), binary_data=False)
    inputs.append(made)
wanted = [client.InferRequestedOutput("probability", binary_data=False)]
answer = server.infer("delays", inputs, model_version="1", request_id="from its client", outputs=wanted)
print(json.dumps({
    "answer": answer.as_numpy("probability").tolist(),
    "id": answer.get_response()["id"],
    "metadata": server.get_model_metadata("delays"),
}))
"""
SETTINGS = """
import json, sys
from mlserver.settings import ModelSettings
stated = ModelSettings.parse_file(sys.argv[1])
print(json.dumps([stated.name, stated.parameters.version, stated.platform, [given.name for given in stated.inputs]]))
"""


@pytest.fixture(scope="session", autouse=True)
def python(tool_python: Callable[[str], Path]) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(PYTHON, str(tool_python("mlserver")))
        yield tool_python("mlserver")


def opened(home: Path, **options: object) -> Any:
    python = Path(os.environ[PYTHON])
    return bridged("serving", "mlserver", adapter=ADAPTER, python=python, setting=Setting(home, options))


class TestMLServer(ServingConformance):
    deviations = MLServer.deviations

    def make(self, home: Path) -> Any:
        return opened(home)


class Embedded(ServingConformance):
    """The other side of the comparison; not collected by its name."""

    def make(self, home: Path) -> EmbeddedServer:
        return EmbeddedServer(Setting(home))


def started(suite: type, folder: Path, *routes: Route) -> ServerProcess:
    server = ServerProcess(suite, __file__, folder, Deployment("deployment:one", routes[0].model, routes), FEATURES)
    try:
        server.wait_until_ready()
    except BaseException:
        server.ensure_dead()
        raise
    return server


def answered(python: Path, script: str, *arguments: str) -> Any:
    """What a script of the tool's own environment prints."""
    done = subprocess.run([str(python), "-c", script, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return xgboost_package(tmp_path_factory.mktemp("package") / "one", 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mlserver")


@pytest.fixture(scope="module")
def server(package: Path, folder: Path, python: Path) -> Iterator[ServerProcess]:
    made = started(TestMLServer, folder, Route("delays", 1, package, 1.0))
    yield made
    made.ensure_dead()


def test_it_answers_what_the_embedded_server_answers(server: ServerProcess, package: Path, tmp_path: Path) -> None:
    embedded = started(Embedded, tmp_path / "embedded", Route("delays", 1, package, 1.0))
    try:
        body = full_request(rows=200, id="the same")
        body["inputs"][0]["data"] = [-3000.5 + 25 * row for row in range(200)]
        ours, theirs = (ask(url, "POST", INFER, body) for url in (embedded.url, server.url))
    finally:
        embedded.ensure_dead()
    assert ours.status == theirs.status == 200
    assert len(set(ours.content["outputs"][0]["data"])) > 5
    assert theirs.content["outputs"] == ours.content["outputs"]
    assert (theirs.content["id"], theirs.content["model_version"]) == ("the same", "1")


def test_an_unchanged_client_of_the_protocol_reads_and_asks_the_model(server: ServerProcess, python: Path) -> None:
    body = full_request(rows=2)
    found = answered(python, READ, server.url, json.dumps(body))
    assert found["answer"] == ask(server.url, "POST", INFER, body).content["outputs"][0]["data"]
    assert found["id"] == "from its client"
    (listed,) = ask(server.url, "POST", "/v2/repository/index", {}).content
    assert (listed["name"], listed["version"], listed["state"]) == ("delays", "1", "READY")
    assert found["metadata"]["platform"] == "xgboost-json"
    assert {row["request_id"] for row in server.logged()} >= {"from its client"}


def test_the_repository_is_one_that_mlserver_reads(server: ServerProcess, folder: Path, python: Path) -> None:
    settings = folder / "home" / "models" / "delays" / "1" / "model-settings.json"
    inputs = [given["name"] for given in full_request()["inputs"]]
    assert answered(python, SETTINGS, str(settings)) == ["delays", "1", "xgboost-json", inputs]
    adapter = opened(folder / "home")
    try:
        assert adapter.link("model:delays@1", "") == settings.as_uri()
    finally:
        adapter.close()


def test_mlservers_metrics_count_the_requests_and_ours_the_rows(server: ServerProcess) -> None:
    assert ask(server.url, "POST", INFER, full_request(rows=3)).status == 200
    lines = ask(server.url, "GET", "/metrics").content.splitlines()
    assert any(line.startswith("model_infer_request_success_total{") and 'model="delays"' in line for line in lines)
    assert any(line.startswith("stackproof_serving_rows_total ") for line in lines)
    assert "swagger" in ask(server.url, "GET", "/v2/docs").content.lower()
    assert ask(server.url, "GET", "/v2").content["name"] == "mlserver"


@pytest.mark.parametrize("path", ["/v2/repository/models/delays/unload", "/v2/models/delays/infer_stream"])
def test_nobody_can_unload_a_model_or_go_round_the_log(server: ServerProcess, path: str) -> None:
    logged = len(server.logged())
    assert ask(server.url, "POST", path, full_request()).status == 404
    assert len(server.logged()) == logged
    assert ask(server.url, "GET", "/v2/models/delays/ready").status == 200


def test_a_compressed_request_is_refused_before_it_is_unpacked(server: ServerProcess) -> None:
    reply = ask(server.url, "POST", INFER, request({"distance": [1.0]}), {"Content-Encoding": "gzip"})
    assert reply.status == 415
    assert reply.content.keys() == {"error"}


def test_it_serves_again_in_the_same_process(package: Path, tmp_path: Path) -> None:
    adapter = opened(tmp_path)
    served: list[str] = []

    def asked_once(url: str) -> None:
        served.append(ask(url, "POST", INFER, full_request()).content["model_version"])
        raise KeyError("the caller stops it")

    try:
        for _ in range(2):
            with pytest.raises(KeyError, match="the caller stops it"):
                adapter.run(
                    Deployment("deployment:one", "delays", (Route("delays", 1, package, 1.0),)),
                    features=None,
                    log=AtOnce(),
                    host="127.0.0.1",
                    port=0,
                    on_ready=asked_once,
                )
    finally:
        adapter.close()
    assert served == ["1", "1"]


class AtOnce:
    """A log that keeps nothing."""

    def append(self, predictions: Sequence[LoggedPrediction], done: Callable[[BaseException | None], None]) -> None:
        done(None)
