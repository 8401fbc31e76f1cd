"""`catalog` lists what is known, with sources, keeps it true, and states nothing that is not verified."""

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from stackproof.cli.main import cli
from stackproof.errors import RefusedInput, Unavailable, UnknownName
from stackproof.facts import load_facts


@pytest.fixture(autouse=True)
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No folder of facts but those that a test makes."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.delenv("STACKPROOF_FACTS", raising=False)
    return tmp_path / "data" / "stackproof" / "facts"


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A package index that knows one release of MLflow and answers nonsense about Feast."""
    page = '<html><a href="mlflow-99.0-py3-none-any.whl" data-upload-time="2026-11-20T00:00:00Z">mlflow</a></html>'
    pages = {"/simple/mlflow/": page, "/simple/feast/": "nonsense"}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = pages.get(self.path, "")
            self.send_response(200 if body else 404)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: object) -> None:
            del format, args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}/simple"
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", url.replace("//", "//ana:secret@"))
    yield url
    server.shutdown()
    thread.join()
    server.server_close()


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["catalog", *arguments])


def test_every_tool_is_listed_with_its_status() -> None:
    result = invoke()
    assert result.exit_code == 0
    assert f"{len(load_facts().tools)} tools" in result.output
    assert any("torchserve" in line and "archived" in line for line in result.output.splitlines())
    assert max(len(line.rstrip()) for line in result.output.splitlines()) <= 100


def test_one_role_lists_only_its_tools() -> None:
    known = json.loads(invoke("--role", "tuning", "--format", "json").stdout)
    assert {tool["id"] for tool in known} >= {"optuna", "ray-tune", "wandb-sweeps", "katib"}
    assert all("tuning" in [*tool["roles"], *tool["parts"]] for tool in known)


def test_one_tool_is_shown_with_source_and_date_of_every_fact() -> None:
    known = json.loads(invoke("seldon-core", "--format", "json").stdout)
    status = load_facts().tools["seldon-core"].status
    assert (known["status"], known["facts"]["status"]["since"]) == (status.value, str(status.since))
    assert all(fact["source"] and fact["confidence"] for fact in known["facts"].values())
    assert known["modes"][0]["kubernetes"] is True


def test_options_may_stand_before_the_tool() -> None:
    assert json.loads(invoke("--format", "json", "mlflow").stdout)["id"] == "mlflow"


def test_what_is_not_verified_is_not_stated() -> None:
    output = invoke("fiddler").output
    assert any("self_hosting" in line and "not verified" in line for line in output.splitlines())


def test_an_undated_source_says_so() -> None:
    assert "undated" in invoke("mlflow").output


def test_an_unknown_tool_or_role_is_refused_with_the_one_meant() -> None:
    for arguments, meant in (
        (("evidentl",), "evidently"),
        (("--role", "trackin"), "tracking"),
        (("refresh", "mlfow"), "mlflow"),
    ):
        result = invoke(*arguments)
        assert isinstance(result.exception, UnknownName)
        assert f"did you mean {meant!r}?" in str(result.exception)


def test_no_tool_has_the_name_of_a_command() -> None:
    assert not {"refresh", "check", "list"} & set(load_facts().tools)


def test_help_names_the_options_and_the_commands() -> None:
    output = invoke("--help").output
    assert "stackproof catalog [OPTIONS] [TOOL]" in output.replace("cli catalog", "stackproof catalog")
    for word in ("--role", "--facts", "--format", "refresh", "check"):
        assert word in output


def test_your_own_facts_are_shown_as_yours(tmp_path: Path) -> None:
    (tmp_path / "acme" / "tools").mkdir(parents=True)
    (tmp_path / "acme" / "tools" / "mlflow.toml").write_text('[facts.licence]\nvalue = "ours"\n', "utf-8")
    known = json.loads(invoke("mlflow", "--facts", str(tmp_path / "acme"), "--format", "json").stdout)
    assert known["facts"]["licence"]["source"] == "yours: acme/tools/mlflow.toml"
    assert isinstance(invoke("mlflow", "--facts", str(tmp_path / "gone")).exception, RefusedInput)


def test_the_example_of_the_page_on_keeping_facts_current_works(tmp_path: Path) -> None:
    page = Path(__file__).parents[2] / "docs" / "how-to" / "keep-facts-current.md"
    files = re.findall(r"```toml\n# (our-facts/\S+)\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
    assert len(files) == 2
    for name, text in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, "utf-8")
    facts = load_facts(overlays=[tmp_path / "our-facts"])
    assert {c.id: (c.weight, c.changes) for c in facts.criteria if not c.role}["cost"] == (8, ())
    shown = " ".join(invoke("wandb", "--facts", str(tmp_path / "our-facts")).output.split())
    assert "600 a seat" in shown


def test_a_refresh_shows_what_changed_and_every_command_reads_it_then(index: str, own: Path) -> None:
    was = load_facts().tools["mlflow"].facts["release"].value
    result = invoke("refresh", "mlflow")
    assert result.exit_code == 0, result.output
    assert any(
        all(word in line for word in ("mlflow", "version", str(was), "99.0")) for line in result.output.splitlines()
    )
    assert index in result.output
    assert "secret" not in result.output
    assert f"Wrote 1 files in {own / 'tools'}" in result.output.replace("\n", " ")
    assert json.loads(invoke("mlflow", "--format", "json").stdout)["facts"]["release"]["value"] == "99.0"


def test_a_refresh_for_a_program_is_one_document(index: str) -> None:
    result = invoke("refresh", "mlflow", "grafana", "--dry-run", "--format", "json")
    done = json.loads(result.stdout)
    assert done["index"] == index
    assert {change["fact"]: change["now"] for change in done["changes"]}["version"] == "99.0"
    assert (done["unasked"], done["written"]) == (["grafana"], [])


@pytest.mark.usefixtures("index")
def test_a_package_that_could_not_be_asked_for_ends_with_exit_code_4() -> None:
    result = invoke("refresh", "mlflow", "feast", "--dry-run")
    assert result.exit_code == 4
    assert "No usable answer about: feast" in result.output
    assert "Nothing was written" in result.output


def test_without_an_index_a_refresh_says_so_and_changes_nothing(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    result = invoke("refresh")
    assert isinstance(result.exception, Unavailable)
    assert "nothing was changed" in str(result.exception)
    assert not own.exists()


def test_a_check_counts_first_and_says_no_when_something_expired() -> None:
    result = invoke("check", "--as-of", "2028-11-21")
    assert result.exit_code == 1
    assert "expired" in result.output.splitlines()[0]
    assert "Expired: read too long ago" in result.output
    assert max(len(line.rstrip()) for line in result.output.splitlines()) <= 110


def test_a_check_for_a_program_has_every_finding() -> None:
    checked = json.loads(invoke("check", "--as-of", "2026-11-21", "--format", "json").stdout)
    assert checked["counts"] == {
        category: sum(finding["category"] == category for finding in checked["findings"])
        for category in ("expired", "contradicting", "undated", "missing")
    }
    assert checked["sound"] is not bool(checked["counts"]["expired"] or checked["counts"]["contradicting"])
