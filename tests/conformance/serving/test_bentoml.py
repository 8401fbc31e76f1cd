"""BentoML keeps the contract of `serving`, and its own client finds the models in its store."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stackproof.adapters import registry
from stackproof.adapters.serving.bentoml import BentoServer
from stackproof.envs.bridge.bridging import bridged
from stackproof.errors import RefusedInput
from stackproof.roles.adapter import Setting
from stackproof.roles.serving import Deployment, Route
from stackproof.testing.serving import INFER, SMALL_INFER, ServingConformance
from stackproof.testing.serving_client import Reply, ServerProcess, ask
from stackproof.testing.serving_models import full_request, onnx_package, request

pytestmark = [pytest.mark.tools, pytest.mark.usefixtures("python")]
ROLE, TOOL = "serving", "bentoml"
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


class TestBento(ServingConformance):
    deviations = BentoServer.deviations

    def make(self, home: Path) -> Any:
        """In the process of a server under test."""
        python = Path(os.environ["STACKPROOF_TEST_TOOL_PYTHON"])
        path = registry.find(ROLE, TOOL).path
        return bridged(ROLE, TOOL, adapter=path, python=python, setting=Setting(home))


SUITE = TestBento


def test_it_answers_what_the_embedded_server_answers(answers: tuple[Reply, Reply]) -> None:
    ours, theirs = answers
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
    server: ServerProcess, started: Callable[..., ServerProcess], package: Path, python: Path, tmp_path: Path
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


def test_a_version_whose_package_changed_is_served_as_it_is_now(
    started: Callable[..., ServerProcess], tmp_path: Path
) -> None:
    answers: list[float] = []
    for bias in (1.0, 2.0, 2.0):
        route = Route("small", 1, onnx_package(tmp_path / f"package-{len(answers)}", bias), 1.0)
        server = started(TestBento, tmp_path / "server", route)
        reply = ask(server.url, "POST", SMALL_INFER, request({"x": [0.5]}))
        answers.append(reply.content["outputs"][0]["data"][0])
        server.ensure_dead()
    assert answers[0] < answers[1] == answers[2]


def test_what_a_crash_left_in_the_store_is_made_anew(started: Callable[..., ServerProcess], tmp_path: Path) -> None:
    left = tmp_path / "server" / "home" / "models" / "small" / "1"
    left.mkdir(parents=True)
    server = started(
        TestBento, tmp_path / "server", Route("small", 1, onnx_package(tmp_path / "package", bias=1.0), 1.0)
    )
    server.ensure_dead()
    assert (left / "saved_model.onnx").is_file()
    assert (left / "model.yaml").is_file()


def test_the_link_of_a_model_version_is_what_the_store_says_of_it(
    server: ServerProcess, made: Callable[..., Any], folder: Path
) -> None:
    adapter = made(folder / "home")
    link = adapter.link("model:delays@1", "")
    assert link.startswith("file:///")
    assert "model:delays@1" in Path(link.removeprefix("file://")).read_text()
    assert adapter.link("model:delays@2", "") == ""
    assert adapter.link("model:../../delays@1", "") == ""


@pytest.mark.parametrize("name", ["max_in_flight", "timeout"])
def test_a_limit_that_is_no_number_above_zero_is_refused(made: Callable[..., Any], tmp_path: Path, name: str) -> None:
    adapter = made(tmp_path, **{name: 0})
    with pytest.raises(RefusedInput, match=f"{name} is 0"):
        adapter.run(
            Deployment("deployment:none", "none", ()),
            features=None,
            log=None,
            host="127.0.0.1",
            port=0,
            on_ready=print,
        )


def test_it_serves_again_in_the_same_process(
    made: Callable[..., Any], version_served_here: Callable[[Any], str], tmp_path: Path
) -> None:
    adapter = made(tmp_path)
    assert [version_served_here(adapter) for _ in range(2)] == ["1", "1"]
