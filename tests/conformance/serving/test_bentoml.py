"""BentoML keeps the contract of `serving`, and its own client finds the models in its store."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from stackproof.adapters.serving.bentoml import BentoServer
from stackproof.adapters.serving.embedded import EmbeddedServer
from stackproof.envs.bridge.bridging import bridged
from stackproof.errors import RefusedInput
from stackproof.roles.adapter import Setting
from stackproof.roles.serving import Deployment, LoggedPrediction, Route
from stackproof.testing.serving import INFER, SMALL_INFER, ServingConformance
from stackproof.testing.serving_client import ServerProcess, ask
from stackproof.testing.serving_models import FEATURES, full_request, onnx_package, request, xgboost_package

pytestmark = pytest.mark.tools
ADAPTER = "stackproof.adapters.serving.bentoml:BentoServer"
PYTHON = "STACKPROOF_TEST_BENTOML_PYTHON"
"""The variable by which the process of a server under test finds the interpreter."""
READ = """
import json, sys, numpy, bentoml, onnxruntime
models = {str(model.tag): model for model in bentoml.models.list()}
def answer(model):
    if model.info.module == "bentoml.xgboost":
        rows = numpy.array(json.loads(sys.argv[1]), dtype=float)
        return bentoml.xgboost.load_model(model).inplace_predict(rows).tolist()
    return len(onnxruntime.InferenceSession(model.path_of("saved_model.onnx")).get_inputs())
print(json.dumps({tag: [model.info.metadata["model_id"], answer(model)] for tag, model in models.items()}))
"""


@pytest.fixture(scope="session", autouse=True)
def python(tool_python: Callable[[str], Path]) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(PYTHON, str(tool_python("bentoml")))
        yield tool_python("bentoml")


def opened(home: Path, **options: object) -> Any:
    python = Path(os.environ[PYTHON])
    return bridged("serving", "bentoml", adapter=ADAPTER, python=python, setting=Setting(home, options))


class TestBento(ServingConformance):
    deviations = BentoServer.deviations

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


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return xgboost_package(tmp_path_factory.mktemp("package") / "one", 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bentoml")


@pytest.fixture(scope="module")
def server(package: Path, folder: Path, python: Path) -> Iterator[ServerProcess]:
    made = started(TestBento, folder, Route("delays", 1, package, 1.0))
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
    for answer in (ours.content, theirs.content):
        assert len(set(answer.pop("parameters")["prediction_ids"])) == 200
    assert theirs.content == ours.content


def test_bentomls_metrics_count_the_requests_and_ours_the_rows(server: ServerProcess) -> None:
    assert ask(server.url, "POST", INFER, full_request(rows=3)).status == 200
    text = ask(server.url, "GET", "/metrics").content
    counted = [line for line in text.splitlines() if line.startswith("bentoml_service_request_total{")]
    assert any('http_response_code="200"' in line and 'service_name="delays"' in line for line in counted)
    assert any(line.startswith("stackproof_serving_rows_total ") for line in text.splitlines())


def test_its_own_page_and_health_are_there(server: ServerProcess) -> None:
    assert "swagger" in ask(server.url, "GET", "/docs").content.lower()
    described = ask(server.url, "GET", "/docs.json").content
    assert described["info"]["title"] == "delays"
    assert ask(server.url, "GET", "/readyz").status == 200
    assert ask(server.url, "GET", "/v2").content["name"] == "bentoml"


def test_bentomls_own_client_finds_and_loads_what_is_served(
    server: ServerProcess, package: Path, python: Path, tmp_path: Path
) -> None:
    small = onnx_package(tmp_path / "small", bias=1.0)
    home = tmp_path / "server" / "home"
    other = started(TestBento, home.parent, Route("Small.Ones", 2, small, 0.0), Route("delays", 1, package, 1.0))
    other.ensure_dead()
    found = read_by_bentoml(python, home)
    (renamed,) = found.keys() - {"delays:1"}
    assert renamed.startswith("small-ones-")
    assert renamed.endswith(":2")
    assert found[renamed] == ["model:Small.Ones@2", 1]
    body = full_request(rows=1)
    answered = ask(server.url, "POST", INFER, body).content["outputs"][0]["data"]
    assert found["delays:1"] == ["model:delays@1", answered]


def read_by_bentoml(python: Path, home: Path) -> Any:
    row = [[column["data"][0] for column in full_request()["inputs"]]]
    row[0][3] = 2.0  # the code of the carrier
    environment = os.environ | {"BENTOML_HOME": str(home), "BENTOML_DO_NOT_TRACK": "True"}
    command = [str(python), "-c", READ, json.dumps(row)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_a_version_whose_package_changed_is_served_as_it_is_now(tmp_path: Path) -> None:
    answers = []
    for bias in (1.0, 2.0, 2.0):
        route = Route("small", 1, onnx_package(tmp_path / f"package-{len(answers)}", bias), 1.0)
        server = started(TestBento, tmp_path / "server", route)
        reply = ask(server.url, "POST", SMALL_INFER, request({"x": [0.5]}))
        answers.append(reply.content["outputs"][0]["data"][0])
        server.ensure_dead()
    assert answers[0] < answers[1] == answers[2]


def test_what_a_crash_left_in_the_store_is_made_anew(tmp_path: Path) -> None:
    left = tmp_path / "server" / "home" / "models" / "small" / "1"
    left.mkdir(parents=True)
    server = started(
        TestBento, tmp_path / "server", Route("small", 1, onnx_package(tmp_path / "package", bias=1.0), 1.0)
    )
    server.ensure_dead()
    assert (left / "saved_model.onnx").is_file()
    assert (left / "model.yaml").is_file()


def test_the_link_of_a_model_version_is_what_the_store_says_of_it(server: ServerProcess, folder: Path) -> None:
    adapter = opened(folder / "home")
    try:
        link = adapter.link("model:delays@1", "")
        assert link.startswith("file:///")
        assert "model:delays@1" in Path(link.removeprefix("file://")).read_text()
        assert adapter.link("model:delays@2", "") == ""
        assert adapter.link("model:../../delays@1", "") == ""
    finally:
        adapter.close()


@pytest.mark.parametrize("name", ["max_in_flight", "timeout"])
def test_a_limit_that_is_no_number_above_zero_is_refused(tmp_path: Path, name: str) -> None:
    adapter = opened(tmp_path, **{name: 0})
    try:
        with pytest.raises(RefusedInput, match=f"{name} is 0"):
            adapter.run(
                Deployment("deployment:none", "none", ()),
                features=None,
                log=None,
                host="127.0.0.1",
                port=0,
                on_ready=print,
            )
    finally:
        adapter.close()


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
