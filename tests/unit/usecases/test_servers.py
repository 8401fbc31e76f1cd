"""Which servers a stack has; the commands `up`, `down`, `status` and `logs` on a small one."""

import json
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from stackproof.adapters import registry
from stackproof.adapters.registry import Entry
from stackproof.cli.main import cli
from stackproof.errors import Conflict, NotFound, RefusedInput, StackproofError, Unavailable, UnknownName
from stackproof.ledger import Entity
from stackproof.roles import ROLES
from stackproof.roles.stack import RoleChoice, Stack
from stackproof.stack.file import write_stack
from stackproof.stack.servers.control import bring_down
from stackproof.stack.servers.places import Places
from stackproof.stack.workspace import Workspace, find_project, open_workspace
from stackproof.testing.serving_models import xgboost_package
from stackproof.usecases import servers as use

TINY = """
import sys
from stackproof.errors import RefusedInput
from stackproof.roles.adapter import PORT, Health, Option, ServerSpec

class Tiny:
    tool = "tiny"
    capabilities = frozenset()
    options = {"uri": Option("string", "elsewhere"), "port": Option("integer", "its port"), "word": Option("string", "")}

    @staticmethod
    def server(setting, python):
        if setting.options.get("uri"):
            return None
        serve = "print(sys.argv[1], flush=True); http.server.test(http.server.SimpleHTTPRequestHandler, port=int(sys.argv[2]), bind='127.0.0.1')"
        return ServerSpec(
            "tiny", (str(python), "-c", "import http.server, sys; " + serve, str(setting.options.get("word")), PORT),
            setting.home, f"http://127.0.0.1:{PORT}", f"http://127.0.0.1:{PORT}/", port=setting.options.get("port", 0),
        )
"""  # noqa: E501  # a program


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project whose tracking tool brings a server."""
    (tmp_path / "tiny_adapter.py").write_text(TINY)
    monkeypatch.syspath_prepend(tmp_path)
    known = registry.entries()
    ours = (Entry("tracking", "tiny", "tiny_adapter:Tiny", ""), Entry("monitoring", "tiny", "tiny_adapter:Tiny", ""))
    monkeypatch.setattr(registry, "entries", lambda: (*known, *ours))
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "small.py").write_text("import stackproof\nproject = stackproof.Project('small', __file__)\n")
    with_tracking(folder, RoleChoice("tiny"))
    yield folder
    bring_down(folder / ".stackproof")


def with_tracking(folder: Path, choice: RoleChoice, monitoring: str = "embedded") -> None:
    roles = {role: RoleChoice("embedded") for role in ROLES} | {"tracking": choice}
    write_stack(Stack("small", roles | {"monitoring": RoleChoice(monitoring)}), folder / "stack.toml")


def opened(folder: Path) -> Iterator[Workspace]:
    with open_workspace(find_project(folder)) as workspace:
        yield workspace


@pytest.fixture
def workspace(project: Path) -> Iterator[Workspace]:
    yield from opened(project)


def names(folder: Path) -> list[str]:
    with open_workspace(find_project(folder)) as workspace:
        return [one.spec.name for one in use.servers_of(workspace, (), lambda _: None)]


def ran(project: Path, *arguments: str) -> Result:
    return CliRunner().invoke(cli, [*arguments, "--project", str(project)])


def test_up_status_logs_and_down(project: Path) -> None:
    with_tracking(project, RoleChoice("tiny", options={"word": "hello"}))
    shown = ran(project, "up", "--format", "json")
    (one,) = json.loads(shown.stdout)
    assert (shown.exit_code, one["name"], one["ok"], one["state"]) == (0, "tiny", True, "up")
    assert f"tiny: up at {one['url']}" in shown.stderr
    again = ran(project, "up")
    assert again.exit_code == 0
    told = ran(project, "status")
    assert told.exit_code == 0
    assert one["url"] in told.stdout
    assert "ok, " in told.stdout
    assert "hello" in ran(project, "logs", "tiny").stdout
    lines = [json.loads(line) for line in ran(project, "logs", "tiny", "--format", "json").stdout.splitlines()]
    assert {"server": "tiny", "line": "hello"} in lines
    assert ran(project, "logs", "tiny", "--lines", "1").stdout.count("\n") == 1
    assert "tiny: up" in ran(project, "logs", "supervisor").stdout
    assert ran(project, "down").stdout == "Stopped: tiny\n"
    assert ran(project, "down").stdout == "No server was up.\n"
    after = ran(project, "status", "--format", "json")
    assert (after.exit_code, json.loads(after.stdout)[0]["state"]) == (1, "stopped")


def test_before_any_up_status_says_no_and_down_has_nothing_to_do(project: Path) -> None:
    told = ran(project, "status")
    assert (told.exit_code, told.stdout) == (1, "No server was started yet. Next: stackproof up\n")
    assert json.loads(ran(project, "down", "--format", "json").stdout) == {"stopped": []}
    with pytest.raises(UnknownName, match="'tiny'"):
        ran_raising(project, "logs", "tiny")
    assert ran(project, "logs", "supervisor").stdout == ""


def ran_raising(project: Path, *arguments: str) -> None:
    cli.main([*arguments, "--project", str(project)], standalone_mode=False)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["up", "mlflow"], UnknownName),
        (["up", "--port", "5000"], RefusedInput),
        (["up", "--port", "tiny=many"], RefusedInput),
        (["up", "--port", "tiny=70000"], RefusedInput),
        (["up", "--port", "other=5000"], UnknownName),
        (["logs", "../../etc/passwd"], UnknownName),
    ],
)
def test_what_cannot_be_followed_is_refused_and_nothing_starts(
    project: Path, arguments: list[str], problem: type[StackproofError]
) -> None:
    with pytest.raises(problem):
        ran_raising(project, *arguments)
    assert not Places(project / ".stackproof").state.exists()


def test_a_port_that_is_taken_is_exit_code_4_and_says_where_to_look(project: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        shown = ran(project, "up", "--port", f"tiny={port}")
    assert shown.exit_code == 4
    assert f"the port {port}, which was asked for, is taken" in shown.stderr
    assert "Next: stackproof logs tiny" in shown.stderr
    with_tracking(project, RoleChoice("tiny", options={"port": port}))
    (one,) = json.loads(ran(project, "up", "--format", "json").stdout)
    assert one["url"].endswith(f":{port}")


def test_a_stack_without_a_server_says_what_would_have_one(project: Path) -> None:
    with_tracking(project, RoleChoice("embedded"))
    with pytest.raises(NotFound, match="no server to start"):
        ran_raising(project, "up")


def test_a_tool_that_is_reached_elsewhere_has_no_server_here(project: Path) -> None:
    with_tracking(project, RoleChoice("tiny", options={"uri": "http://elsewhere"}))
    assert names(project) == []


def test_a_deferred_tool_has_no_server(project: Path) -> None:
    with_tracking(project, RoleChoice("tiny", deferred="until there are two people"))
    assert names(project) == []


def test_a_tool_beside_the_chosen_one_has_its_server_too(project: Path) -> None:
    with_tracking(project, RoleChoice("embedded", beside=("tiny",)))
    assert names(project) == ["tiny"]


def test_two_servers_of_one_name_are_a_conflict(project: Path) -> None:
    with_tracking(project, RoleChoice("tiny"), monitoring="tiny")
    with pytest.raises(Conflict, match="one name"):
        names(project)


def test_an_option_that_the_tool_has_not_is_refused_before_anything_starts(project: Path) -> None:
    with_tracking(project, RoleChoice("tiny", options={"ports": 5000}))
    with pytest.raises(UnknownName, match="did you mean 'port'"):
        names(project)


def test_a_secret_that_is_not_set_is_named(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TINY_WORD", raising=False)
    with_tracking(project, RoleChoice("tiny", options={"word": "${TINY_WORD}"}))
    with pytest.raises(NotFound, match="TINY_WORD"):
        names(project)


def test_a_log_is_followed_over_its_end_and_its_older_files(project: Path, workspace: Workspace) -> None:
    places = Places(workspace.home)
    places.make()
    log = places.log(use.SUPERVISOR)
    log.with_name(f"{log.name}.2").write_text("1\n2\n")
    log.with_name(f"{log.name}.1").write_text("3\n")
    log.write_text("4\n5\nhal")
    assert list(use.logs(workspace.home, use.SUPERVISOR, lines=3)) == ["3", "4", "5"]
    assert list(use.logs(workspace.home, use.SUPERVISOR, lines=0)) == []
    following = use.logs(workspace.home, use.SUPERVISOR, lines=1, follow=True)
    assert next(following) == "5"
    with log.open("a") as file:
        file.write("f\n")
    assert next(following) == "half"
    log.replace(log.with_name(f"{log.name}.1"))
    log.write_text("new\n")
    assert next(following) == "new"


def test_the_interpreter_of_a_shared_tool_is_ours(workspace: Workspace) -> None:
    (one,) = use.servers_of(workspace, (), lambda _: None)
    assert one.spec.arguments[0] == sys.executable
    assert one.in_use == ""


def deployed(workspace: Workspace, name: str, package: Path | None) -> None:
    """A deployment in the ledger: of a model registered in the embedded tracking, or of something else's."""
    attributes: dict[str, object] = {"name": name, "routes": [], "attached": "service"}
    if package is not None:
        tracking = workspace.live.adapter("tracking", "write-runs")
        tracking.start_run("trained", run_id=f"run:{name}")
        version = workspace.live.adapter("tracking", "registry").register_model(name, package, run_id=f"run:{name}")
        attributes = {"name": name, "routes": [[name, version.version, version.digest, 1.0]]}
    workspace.ledger.record(Entity(f"deployment:{name}@1", "deployment", workspace.clock(), attributes))


def test_a_deployment_has_a_model_server_and_a_watcher_if_there_is_something_to_compare_with(
    project: Path, tmp_path: Path
) -> None:
    with_tracking(project, RoleChoice("embedded", beside=("tiny",)))
    told: list[str] = []
    with open_workspace(find_project(project)) as workspace:
        deployed(workspace, "elsewhere", None)
        deployed(workspace, "delay", xgboost_package(tmp_path / "package", 1))
        wanted = use.servers_of(workspace, ("file:alerts.jsonl",), told.append)
    assert {one.spec.name: one.after for one in wanted} == {
        "tiny": (),
        "serve-delay": ("tiny",),
        "watch-elsewhere": ("tiny",),
    }
    assert told == ["delay is not watched: model:delay@1 carries no reference to compare production with"]
    arguments = " ".join(wanted[-1].spec.arguments)
    assert "watch elsewhere --sink file:alerts.jsonl" in arguments
    assert wanted[-1].spec.variables["STACKPROOF_HOME"] == str(project / ".stackproof")


def test_a_watcher_is_started_also_while_the_models_can_not_be_asked_for_a_reference(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(workspace: Workspace, name: str) -> None:
        raise Unavailable("the tracking server does not answer")

    with_tracking(project, RoleChoice("embedded"))
    with open_workspace(find_project(project)) as workspace:
        deployed(workspace, "delay", xgboost_package(tmp_path / "package", 1))
        monkeypatch.setattr(use, "current_deployment", down)
        wanted = use.servers_of(workspace, (), lambda _: None)
    assert [one.spec.name for one in wanted] == ["serve-delay", "watch-delay"]
