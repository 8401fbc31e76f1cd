"""`attach mlflow` reads a server as it is. The server here gives the answers that a real one gave."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from click.testing import CliRunner

from stackproof.cli.main import cli
from stackproof.errors import Conflict, NotFound, RefusedInput, StackproofError, Unavailable, UnknownName
from stackproof.ledger import Entity, Link, Relation
from stackproof.roles.serving import LoggedPrediction
from stackproof.stack.file import read_stack
from stackproof.stack.project import Project
from stackproof.stack.workspace import Workspace, find_project, open_workspace
from stackproof.usecases import attach_rest
from stackproof.usecases.attach import attach_service, ensure_project, ensure_project_of, status
from stackproof.usecases.attach_keeping import latest
from stackproof.usecases.attach_mlflow import attach_mlflow, model_named, newest_aliases
from stackproof.usecases.attach_rest import MlflowServer
from stackproof.usecases.ready import ready
from stackproof.usecases.reproduce import reproduce
from stackproof.usecases.trace import trace

RECORDED: Any = json.loads(Path(__file__).with_name("mlflow_answers.json").read_text(encoding="utf-8"))
RUNS = RECORDED["runs"]
MISSING = {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "not found"}


class Replay:
    """A server that answers as MLflow did, in the state "first" or "later". `asked`: what it was asked.

    `answers_left`: how many answers it still gives. `wants`: the header Authorization that it asks for.
    """

    def __init__(self) -> None:
        self.state = "first"
        self.asked: list[str] = []
        self.answers_left: int | None = None
        self.wants = ""
        self.instead: dict[str, tuple[int, bytes]] = {}
        replay = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                replay.answer(self, self.path)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                replay.answer(self, f"{self.path} {body}")

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def answer(self, handler: BaseHTTPRequestHandler, question: str) -> None:
        self.asked.append(question)
        if self.answers_left is not None:
            self.answers_left -= 1
            if self.answers_left < 0:
                handler.close_connection = True
                return
        status, content = self._content(handler, question)
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    def _content(self, handler: BaseHTTPRequestHandler, question: str) -> tuple[int, bytes]:
        if self.wants and handler.headers["Authorization"] != self.wants:
            return 401, b"You are not authenticated"
        for part, instead in self.instead.items():
            if part in question:
                return instead
        found = RECORDED[self.state].get(question, MISSING)
        return (404 if found is MISSING else 200), found.encode() if isinstance(found, str) else json.dumps(
            found
        ).encode()


@pytest.fixture
def mlflow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Replay]:
    monkeypatch.setattr(attach_rest, "RUNS_AT_ONCE", 2)
    monkeypatch.setattr(attach_rest, "AT_ONCE", 2)
    monkeypatch.setattr(attach_rest, "PAUSE_S", 0.0)
    for name in (attach_rest.TOKEN, attach_rest.USERNAME, attach_rest.PASSWORD):
        monkeypatch.delenv(name, raising=False)
    replay = Replay()
    thread = Thread(target=replay.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield replay
    replay.server.shutdown()
    thread.join()
    replay.server.server_close()


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with opened(tmp_path) as workspace:
        yield workspace


@contextmanager
def opened(folder: Path) -> Iterator[Workspace]:
    folder.mkdir(exist_ok=True)
    ensure_project(folder)
    with open_workspace(find_project(folder)) as workspace:
        yield workspace


def content(workspace: Workspace) -> list[tuple[Any, ...]]:
    """All that the ledger holds of what was read; not the readings themselves."""
    kinds = ("run", "model", "data", "code", "alias", "revision", "attachment")
    entities = [entity for kind in kinds for entity in workspace.ledger.find(kind, limit=1000)]
    return sorted((e.id, repr(sorted(e.attributes.items())), repr(workspace.ledger.links_from(e.id))) for e in entities)


def predicted(workspace: Workspace, model: str, deployment: str = "deployment:delay@1") -> str:
    problems: list[BaseException | None] = []
    one = LoggedPrediction(
        "prediction:p", "r", deployment, model, workspace.clock(), None, {}, {"distance": 1.0}, {}, {"probability": 0.5}
    )
    workspace.ledger.predictions.append([one], problems.append)
    workspace.store.database.flush()
    assert problems == [None]
    return one.id


# Reading


def test_runs_data_code_models_and_aliases_are_in_the_ledger_with_their_links(
    mlflow: Replay, workspace: Workspace
) -> None:
    reading = attach_mlflow(workspace, mlflow.url)
    assert (reading.version, reading.runs, reading.models, reading.aliases) == ("3.17.2", 5, 2, 1)
    assert reading.without_data == 1
    ledger = workspace.ledger
    run = ledger.get(f"run:{RUNS['with data']}")
    facts: Any = run.attributes
    assert facts["params"] == {"depth": "3", "eta": "0.1"}
    assert facts["metrics"]["log_loss"] == 0.25
    assert facts["metrics"]["odd"] != facts["metrics"]["odd"]
    assert facts["metrics"]["far"] == float("inf")
    assert facts["tags"]["team"] == "größe"
    assert (facts["experiment"], facts["status"], facts["artifacts"]) == ("delays", "finished", ["reports/a.json"])
    code, data = "code:git-0123456789abcdef0123456789abcdef01234567", facts["inputs"][0][0]
    assert {(link.relation, link.target) for link in ledger.links_from(run.id)} == {
        (Relation.USED, code),
        (Relation.USED, data),
    }
    assert facts["inputs"] == [[data, "training"]]
    dataset: Any = ledger.get(data).attributes
    assert (dataset["digest_by"], dataset["verified"]) == ("mlflow", False)
    assert dataset["source"] == {"uri": "s3://flights/2013.parquet"}
    assert ledger.links_from("model:delay@1") == [Link("model:delay@1", Relation.REGISTERED_FROM, run.id)]
    assert newest_aliases(ledger, "delay")["champion"].attributes["version"] == 1
    assert ledger.verify().ok


def test_reading_again_adds_nothing_and_asks_for_no_files(mlflow: Replay, workspace: Workspace) -> None:
    attach_mlflow(workspace, mlflow.url)
    before = content(workspace)
    mlflow.asked.clear()
    again = attach_mlflow(workspace, mlflow.url)
    assert (again.new, again.changed, again.runs) == (0, 0, 5)
    assert content(workspace) == before
    assert not [question for question in mlflow.asked if "artifacts/list" in question]


def test_what_happened_since_is_added_and_what_was_read_before_stays(mlflow: Replay, workspace: Workspace) -> None:
    attach_mlflow(workspace, mlflow.url)
    before = {entity for entity, *_ in content(workspace)}
    mlflow.state = "later"
    again = attach_mlflow(workspace, mlflow.url)
    ledger = workspace.ledger
    assert before <= {entity for entity, *_ in content(workspace)}
    assert again.changed == 3  # the run that ended, the one that was tagged, the alias that moved
    with_data = ledger.get(f"run:{RUNS['with data']}")
    assert "reviewed" not in str(with_data.attributes["tags"])
    now: Any = latest(ledger, with_data)
    assert now["tags"]["reviewed"] == "yes"
    ended = ledger.get(f"run:{RUNS['running']}")
    assert (ended.attributes["status"], latest(ledger, ended)) == ("finished", ended.attributes)
    assert [it.attributes["version"] for it in ledger.find("alias")] == [3, 1]
    newest: Any = ledger.get("model:delay@3").attributes
    assert newest["run"] == f"run:{RUNS['newest']}"
    assert attach_mlflow(workspace, mlflow.url).changed == 0


def test_only_the_experiments_that_are_named_are_read_and_the_runs_behind_models(
    mlflow: Replay, workspace: Workspace
) -> None:
    attach_mlflow(workspace, mlflow.url, experiments=["other"])
    read = {run.id for run in workspace.ledger.find("run")}
    assert read == {f"run:{RUNS[name]}" for name in ("elsewhere", "with data", "without data")}
    with pytest.raises(UnknownName, match="did you mean 'delays'"):
        attach_mlflow(workspace, mlflow.url, experiments=["delay"])


def test_a_run_that_stackproof_recorded_itself_stays_as_it_is(mlflow: Replay, workspace: Workspace) -> None:
    own = Entity(f"run:{RUNS['with data']}", "run", workspace.clock(), {"pipeline": "train"})
    workspace.ledger.record(own)
    assert attach_mlflow(workspace, mlflow.url).ours == 1
    assert workspace.ledger.get(own.id).attributes == {"pipeline": "train"}


def test_credentials_in_addresses_are_left_out(mlflow: Replay, workspace: Workspace) -> None:
    page = json.dumps(RECORDED["first"]["/api/2.0/mlflow/runs/get?run_id=" + RUNS["with data"]]["run"])
    page = page.replace("https://example.org", "https://someone:s3cret@example.org").replace(
        "s3://", "s3://key:s3cret@"
    )
    mlflow.instead["runs/search"] = (200, json.dumps({"runs": [json.loads(page)]}).encode())
    attach_mlflow(workspace, mlflow.url)
    run = workspace.ledger.get(f"run:{RUNS['with data']}")
    tags: Any = run.attributes["tags"]
    assert tags["mlflow.source.git.repoURL"] == "https://example.org/delays.git"
    assert "s3cret" not in str([run, *workspace.ledger.find("data")])


def test_files_that_the_server_cannot_list_are_unknown_not_none(mlflow: Replay, workspace: Workspace) -> None:
    mlflow.instead["artifacts/list"] = (500, b"the object store is away")
    attach_mlflow(workspace, mlflow.url)
    facts = workspace.ledger.get(f"run:{RUNS['with data']}").attributes
    assert facts["artifacts"] is None
    assert "failed" in str(facts["artifacts_unknown"])


# Faults


def test_wherever_the_server_dies_nothing_is_half_and_reading_again_completes_it(
    mlflow: Replay, tmp_path: Path
) -> None:
    with opened(tmp_path / "whole") as whole:
        attach_mlflow(whole, mlflow.url)
        complete = {entity for entity, *_ in content(whole)}
    needed = len(mlflow.asked)
    assert needed > 10
    for answers in range(1, needed, 2):
        with opened(tmp_path / str(answers)) as workspace:
            mlflow.answers_left = answers
            with pytest.raises(Unavailable, match=r"does not answer|was gone after"):
                attach_mlflow(workspace, mlflow.url)
            mlflow.answers_left = None
            ledger = workspace.ledger
            for run in ledger.find("run"):
                facts: Any = latest(ledger, run)
                assert {link.target for link in ledger.links_from(run.id)} >= {data for data, _ in facts["inputs"]}
            assert not ledger.find("reading")
            attach_mlflow(workspace, mlflow.url)
            assert {entity for entity, *_ in content(workspace)} == complete


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("databricks", "no address"),
        ("sqlite:///mlflow.db", "no address"),
        ("http://someone:secret@127.0.0.1:5000", "no credentials"),
    ],
)
def test_what_is_no_servers_address_is_refused(tmp_path: Path, url: str, why: str) -> None:
    with pytest.raises(RefusedInput, match=why) as refused:
        ensure_project_of(tmp_path, url)
    assert "secret" not in str(refused.value)
    assert not list(tmp_path.iterdir())


def test_a_server_that_is_not_there_leaves_the_folder_as_it_was(mlflow: Replay, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="refused"):
        ensure_project_of(tmp_path, "http://127.0.0.1:1")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "answer",
    [(404, b"<html>"), (200, b"<html>Hello"), (200, b"[1, 2]"), (405, b"{}")],
    ids=["404", "page", "list", "405"],
)
def test_a_server_that_is_no_mlflow_is_told_apart(mlflow: Replay, tmp_path: Path, answer: tuple[int, bytes]) -> None:
    mlflow.instead["experiments/search"] = answer
    with pytest.raises(RefusedInput, match="no MLflow server"):
        ensure_project_of(tmp_path, mlflow.url)


def test_an_answer_of_another_shape_is_refused_and_nothing_of_it_recorded(mlflow: Replay, workspace: Workspace) -> None:
    mlflow.instead["runs/search"] = (200, b'{"runs": [{"info": {}}]}')
    with pytest.raises(RefusedInput, match="not as MLflow's REST API"):
        attach_mlflow(workspace, mlflow.url)
    assert workspace.ledger.find("run") == []


def test_a_server_that_fails_once_is_asked_again(mlflow: Replay) -> None:
    mlflow.answers_left = 0
    server = MlflowServer(mlflow.url)
    with pytest.raises(Unavailable):
        server.experiments()
    assert len(mlflow.asked) == 3


@pytest.mark.parametrize(
    ("environ", "header"),
    [
        ({attach_rest.TOKEN: "s3cret"}, "Bearer s3cret"),
        (
            {attach_rest.USERNAME: "someone", attach_rest.PASSWORD: "s3cret"},
            "Basic " + base64.b64encode(b"someone:s3cret").decode(),
        ),
    ],
    ids=["token", "password"],
)
def test_who_asks_is_said_by_mlflows_own_variables_and_is_written_nowhere(
    mlflow: Replay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], header: str
) -> None:
    mlflow.wants = header
    with pytest.raises(RefusedInput, match="MLFLOW_TRACKING_TOKEN"):
        ensure_project_of(tmp_path, mlflow.url)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    ensure_project_of(tmp_path, mlflow.url)
    with opened(tmp_path) as workspace:
        attach_mlflow(workspace, mlflow.url)
    written = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert b"s3cret" not in written
    assert header.split()[1].encode() not in written
    options = read_stack(tmp_path / "stack.toml").roles["tracking"].options
    assert set(options.values()) == {mlflow.url, *(f"${{{name}}}" for name in environ)}


# The project


def test_an_empty_folder_becomes_a_project_on_that_server(mlflow: Replay, tmp_path: Path) -> None:
    folder = tmp_path / "Größe der Welt"
    folder.mkdir()
    assert ensure_project_of(folder, mlflow.url + "/#/experiments/0")
    tracking = read_stack(folder / "stack.toml").roles["tracking"]
    assert (tracking.tool, tracking.options) == ("mlflow", {"uri": mlflow.url})
    assert not ensure_project_of(folder, mlflow.url)


def test_a_project_that_there_is_stays_as_it_is(mlflow: Replay, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text('project = Project("mine", __file__)\n')
    assert not ensure_project_of(tmp_path, mlflow.url)
    assert [file.name for file in tmp_path.iterdir()] == ["mine.py"]


def test_a_second_server_needs_another_folder_and_one_that_moved_does_not(mlflow: Replay, workspace: Workspace) -> None:
    attach_mlflow(workspace, mlflow.url)
    moved = mlflow.url.replace("127.0.0.1", "localhost")
    assert attach_mlflow(workspace, moved).new == 0
    assert status(workspace).server == moved
    mlflow.instead["runs/get"] = (404, json.dumps(MISSING).encode())
    with pytest.raises(Conflict, match="Another MLflow server"):
        attach_mlflow(workspace, mlflow.url)
    with pytest.raises(Conflict, match="another MLflow server"):
        ensure_project_of(attached_folder(workspace, mlflow.url), moved)


def attached_folder(workspace: Workspace, url: str) -> Path:
    folder = workspace.scratch / "attached"
    folder.mkdir()
    ensure_project(folder, mlflow_url=url)
    return folder


# Models, and what is traced to them


@pytest.mark.parametrize(
    "text", ["models:/delay@champion", "models:/delay/1", "delay@1", "delay@champion", "model:delay@1"]
)
def test_a_model_is_named_as_mlflow_names_it(mlflow: Replay, workspace: Workspace, text: str) -> None:
    attach_mlflow(workspace, mlflow.url)
    assert model_named(workspace, text).id == "model:delay@1"


def test_a_model_that_there_is_not_is_answered_with_the_one_that_was_meant(
    mlflow: Replay, workspace: Workspace
) -> None:
    attach_mlflow(workspace, mlflow.url)
    with pytest.raises(UnknownName, match="did you mean 'delay'"):
        model_named(workspace, "models:/dely@champion")
    with pytest.raises(UnknownName, match="did you mean 'champion'"):
        model_named(workspace, "models:/delay@campion")
    with pytest.raises(UnknownName, match="Allowed: 1, 2, champion"):
        model_named(workspace, "delay@7")
    with pytest.raises(RefusedInput, match="malformed"):
        model_named(workspace, "delay")


def test_a_model_registered_since_is_found_at_once_and_when_the_server_is_away_as_it_was(
    mlflow: Replay, workspace: Workspace
) -> None:
    attach_mlflow(workspace, mlflow.url)
    mlflow.state = "later"
    assert model_named(workspace, "delay@champion").id == "model:delay@3"
    mlflow.answers_left = 0
    assert model_named(workspace, "delay@champion").id == "model:delay@3"


def test_a_prediction_is_traced_to_the_data_as_mlflow_knows_it(mlflow: Replay, workspace: Workspace) -> None:
    attach_mlflow(workspace, mlflow.url)
    attach_service(workspace, "delay", model="models:/delay@champion")
    found = trace(workspace, predicted(workspace, "model:delay@1"))
    assert found.ok
    assert [piece.what for piece in found.path if piece.by] == ["model version", "run", "dataset version", "code"]
    pieces = {piece.what: piece for piece in found.path}
    half = "?workflowType=machine_learning"
    assert pieces["run"].link == f"{mlflow.url}/#/experiments/1/runs/{RUNS['with data']}{half}"
    assert pieces["model version"].link == f"{mlflow.url}/#/models/delay/versions/1{half}"
    assert "training, 3 rows, s3://flights/2013.parquet" in pieces["dataset version"].detail
    assert "not verified" in pieces["dataset version"].detail
    assert (found.tables, found.gaps) == ((), ())
    (answer,) = ready(workspace, only=["trace"])
    assert answer.yes
    assert any("not verified" in line for line in answer.evidence)


def test_data_that_was_not_logged_is_a_gap_that_says_how_to_close_it(mlflow: Replay, workspace: Workspace) -> None:
    attach_mlflow(workspace, mlflow.url)
    attach_service(workspace, "delay", model="delay@2")
    found = trace(workspace, predicted(workspace, "model:delay@2"))
    assert not found.ok
    (missing,) = [piece for piece in found.path if not piece.ok]
    assert "mlflow.log_input" in missing.detail
    assert any("git commit" in gap for gap in found.gaps)
    (answer,) = ready(workspace, only=["trace"])
    assert not answer.yes


@pytest.mark.parametrize(("model", "why"), [("model:unknown", "without --model"), ("model:delay@9", "has not read it")])
def test_a_model_that_is_not_known_ends_the_trace_and_says_why(
    mlflow: Replay, workspace: Workspace, model: str, why: str
) -> None:
    attach_mlflow(workspace, mlflow.url)
    attach_service(workspace, "delay")
    found = trace(workspace, predicted(workspace, model))
    assert why in next(piece.detail for piece in found.path if not piece.ok)


def test_an_alias_that_moved_since_and_a_run_that_changed_are_said(mlflow: Replay, workspace: Workspace) -> None:
    attach_mlflow(workspace, mlflow.url)
    attach_service(workspace, "delay", model="models:/delay@champion")
    prediction = predicted(workspace, "model:delay@1")
    mlflow.state = "later"
    attach_mlflow(workspace, mlflow.url)
    gaps = trace(workspace, prediction).gaps
    assert any("'champion'" in gap and "is 3 now" in gap for gap in gaps)
    assert any("was changed in MLflow" in gap for gap in gaps)


def test_a_run_that_was_read_is_not_run_again_and_an_attached_service_is_not_served(
    mlflow: Replay, workspace: Workspace
) -> None:
    from stackproof.stack.deployments import current_deployment

    attach_mlflow(workspace, mlflow.url)
    with pytest.raises(Conflict, match="was read from mlflow"):
        reproduce(workspace, f"run:{RUNS['with data']}")
    attach_service(workspace, "delay", model="delay@1")
    with pytest.raises(Conflict, match="something else serves it"):
        current_deployment(workspace, "delay")


# The command


def test_the_commands_of_a_team_that_has_nothing_of_stackproof(
    mlflow: Replay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> str:
        done = CliRunner().invoke(cli, arguments, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output

    assert "5 runs, 2 model versions, 1 aliases" in run("attach", "mlflow", mlflow.url)
    assert "RecordPredictions" in run("attach", "service", "delay", "--model", "models:/delay@champion")
    (tmp_path / "log.jsonl").write_text(
        '{"id": "a", "at": "2026-11-21T10:00:00Z", "inputs": {"distance": 1}, "outputs": {"probability": 0.5}}\n'
    )
    assert "1 predictions are new" in run("attach", "requests", "log.jsonl", "--deployment", "delay")
    assert f"run:{RUNS['with data']}" in run("trace")
    listed = json.loads(run("runs", "--best", "log_loss", "--lowest", "--format", "json"))
    assert (listed[0]["name"], listed[0]["status"]) == ("with data", "finished")
    assert len(listed) == 5
    assert json.loads(run("attach", "--format", "json"))["services"] == [["delay", 1, 0]]
    assert "with data" in run("show", f"run:{RUNS['with data']}")


def test_errors_of_the_commands_are_ours(mlflow: Replay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for arguments, kind in [
        (("attach", "mlflow", "http://127.0.0.1:1"), Unavailable),
        (("attach", "requests", "log.jsonl", "--deployment", "delay"), NotFound),
        (("attach", "service", "delay", "--model", "delay@1"), UnknownName),
        (("attach", "service", "de/lay"), RefusedInput),
        (("attach", "service", "delay", "--reference", "none.parquet"), NotFound),
    ]:
        done = CliRunner().invoke(cli, arguments)
        assert isinstance(done.exception, StackproofError), done.output
        assert isinstance(done.exception, kind)


def test_the_folder_of_an_attached_project_needs_no_file_of_its_own(tmp_path: Path) -> None:
    ensure_project(tmp_path)
    project = find_project(tmp_path)
    assert isinstance(project, Project)
    assert project.folder == tmp_path.resolve()
