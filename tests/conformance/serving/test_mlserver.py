"""MLServer keeps the contract of `serving`, and its own client finds the models that it serves."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stackproof.adapters import registry
from stackproof.adapters.serving.mlserver import MLServer
from stackproof.envs.bridge.bridging import bridged
from stackproof.roles.adapter import Setting
from stackproof.testing.serving import INFER, ServingConformance
from stackproof.testing.serving_client import Reply, ServerProcess, ask
from stackproof.testing.serving_models import full_request, request

pytestmark = [pytest.mark.tools, pytest.mark.usefixtures("python")]
ROLE, TOOL = "serving", "mlserver"
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


class TestMLServer(ServingConformance):
    deviations = MLServer.deviations

    def make(self, home: Path) -> Any:
        """In the process of a server under test."""
        python = Path(os.environ["STACKPROOF_TEST_TOOL_PYTHON"])
        path = registry.find(ROLE, TOOL).path
        return bridged(ROLE, TOOL, adapter=path, python=python, setting=Setting(home))


SUITE = TestMLServer


def answered(python: Path, script: str, *arguments: str) -> Any:
    """What a script of the tool's own environment prints."""
    done = subprocess.run([str(python), "-c", script, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_it_answers_what_the_embedded_server_answers(answers: tuple[Reply, Reply]) -> None:
    ours, theirs = answers
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


def test_the_repository_is_one_that_mlserver_reads(
    server: ServerProcess, made: Callable[..., Any], folder: Path, python: Path
) -> None:
    settings = folder / "home" / "models" / "delays" / "1" / "model-settings.json"
    inputs = [given["name"] for given in full_request()["inputs"]]
    assert answered(python, SETTINGS, str(settings)) == ["delays", "1", "xgboost-json", inputs]
    assert made(folder / "home").link("model:delays@1", "") == settings.as_uri()


def test_mlservers_metrics_count_the_requests_and_ours_the_rows(server: ServerProcess) -> None:
    assert ask(server.url, "POST", INFER, full_request(rows=3)).status == 200
    lines = ask(server.url, "GET", "/metrics").content.splitlines()
    assert any(line.startswith("model_infer_request_success_total{") and 'model="delays"' in line for line in lines)
    assert any(line.startswith("stackproof_serving_rows_total ") for line in lines)
    assert "swagger" in ask(server.url, "GET", "/v2/docs").content.lower()
    assert ask(server.url, "GET", "/v2").content["name"] == "mlserver"


@pytest.mark.parametrize(
    "path", ["/v2/repository/models/delays/unload", "/v2/models/delays/infer_stream", "/v2/models/delays/generate"]
)
def test_nobody_can_unload_a_model_or_go_round_the_log(server: ServerProcess, path: str) -> None:
    logged = len(server.logged())
    assert ask(server.url, "POST", path, full_request()).status == 404
    assert len(server.logged()) == logged
    assert ask(server.url, "GET", "/v2/models/delays/ready").status == 200


def test_a_compressed_request_is_refused_before_it_is_unpacked(server: ServerProcess) -> None:
    reply = ask(server.url, "POST", INFER, request({"distance": [1.0]}), {"Content-Encoding": "gzip"})
    assert reply.status == 415
    assert reply.content.keys() == {"error"}


def test_it_serves_again_in_the_same_process(
    made: Callable[..., Any], version_served_here: Callable[[Any], str], tmp_path: Path
) -> None:
    adapter = made(tmp_path)
    assert [version_served_here(adapter) for _ in range(2)] == ["1", "1"]
