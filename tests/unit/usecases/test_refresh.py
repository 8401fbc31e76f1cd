"""A refresh shows what changed, writes only what the index said, and loses nothing."""

import datetime
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stackproof.errors import RefusedInput, Unavailable, UnknownName
from stackproof.facts import load_facts
from stackproof.facts.loader import SHIPPED
from stackproof.usecases.index_settings import IndexSettings
from stackproof.usecases.refresh import Refreshed, refresh
from stackproof.usecases.released import recorded

TODAY = datetime.date(2027, 1, 15)
JSON_TYPE = "application/vnd.pypi.simple.v1+json"


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder into which a refresh writes when it is told no other."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.delenv("STACKPROOF_FACTS", raising=False)
    return tmp_path / "data" / "stackproof" / "facts"


Refresh = Callable[..., Refreshed]


@pytest.fixture
def run(index: Any, own: Path) -> Refresh:
    del own

    def running(*tools: str, **more: Any) -> Refreshed:
        return refresh(tools, **{"today": TODAY, "settings": index.settings(), **more})

    return running


def files_in(folder: Path) -> dict[str, bytes]:
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_a_newer_release_is_shown_written_dated_and_read_by_the_next_decision(
    index: Any, own: Path, run: Refresh
) -> None:
    index.serve_json("mlflow", [index.wheel("99.1.0", "mlflow", **{"requires-python": ">=3.12,<4"})])
    done = run("mlflow")
    known = {change.fact: change.now for change in done.changes}
    assert known == {"version": "99.1.0", "released": "2026-12-24", "python": ">=3.12,<4"}
    assert done.written == (own / "tools" / "mlflow.toml",)
    fact = load_facts(overlays=[own]).tools["mlflow"].facts["release"]
    assert (fact.value, fact.date, fact.more["python"]) == ("99.1.0", TODAY, ">=3.12,<4")
    assert fact.source == f"the package index {index.url}/simple (yours: facts/tools/mlflow.toml)"
    assert load_facts().tools["mlflow"].facts["release"].value != "99.1.0"
    again = run("mlflow")
    assert (again.changes, again.confirmed, again.written) == ((), ("mlflow",), ())


def test_a_confirmed_release_is_dated_anew_and_your_own_words_in_the_file_stay(
    index: Any, own: Path, run: Refresh
) -> None:
    (own / "tools").mkdir(parents=True)
    mine = '# ours\n[facts.licence]\nvalue = "a contract"\n'
    (own / "tools" / "mlflow.toml").write_text(mine, "utf-8")
    release = load_facts().tools["mlflow"].facts["release"]
    uploaded = f"{release.more['released']}T00:00:00Z"
    file = index.wheel(
        str(release.value), "mlflow", **{"requires-python": release.more["python"], "upload-time": uploaded}
    )
    index.serve_json("mlflow", [file])
    done = run("mlflow")
    assert (done.changes, done.confirmed) == ((), ("mlflow",))
    assert (own / "tools" / "mlflow.toml").read_text("utf-8").startswith(mine)
    assert load_facts(overlays=[own]).tools["mlflow"].facts["release"].date == TODAY


def test_a_dry_run_writes_nothing(index: Any, own: Path, run: Refresh) -> None:
    index.serve_json("mlflow", [index.wheel("99.1.0", "mlflow")])
    assert run("mlflow", dry_run=True).changes
    assert not own.exists()


def test_in_place_only_the_release_of_a_file_changes(index: Any, tmp_path: Path, run: Refresh) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(
        SHIPPED,
        folder,
        ignore=lambda at, names: [n for n in names if not (Path(at, n).is_dir() or n.endswith(".toml"))],
    )
    before = files_in(folder)
    index.serve_json("mlflow", [index.wheel("99.1.0", "mlflow")])
    done = run("mlflow", "databricks-mlflow", in_place=folder)
    after = files_in(folder)
    changed = {name for name in before if before[name] != after[name]}
    assert (
        changed
        == {"tools/mlflow.toml", "tools/databricks-mlflow.toml"}
        == {file.relative_to(folder).as_posix() for file in done.written}
    )
    text, edited = before["tools/mlflow.toml"].decode(), after["tools/mlflow.toml"].decode()
    assert edited.partition("[facts.release]")[0] == text.partition("[facts.release]")[0]
    assert edited.partition("[facts.price")[2] == text.partition("[facts.price")[2]
    assert load_facts(folder).tools["mlflow"].facts["release"].date == TODAY


def test_a_package_that_vanished_or_is_withheld_is_reported_and_keeps_its_fact(
    index: Any, own: Path, run: Refresh
) -> None:
    index.serve_json("feast", [index.wheel("99.0", "feast", yanked="bad")])
    done = run("mlflow", "feast", "grafana")
    assert {(note.tool, note.state) for note in done.notes} == {("mlflow", "gone"), ("feast", "withheld")}
    assert (done.changes, done.written, done.failed, done.unasked) == ((), (), (), ("grafana",))
    assert not own.exists()


def test_a_recorded_release_that_was_withdrawn_is_told_and_the_one_before_it_is_taken(index: Any, run: Refresh) -> None:
    recorded_now = str(load_facts().tools["mlflow"].facts["release"].value)
    index.serve_json("mlflow", [index.wheel("1.0", "mlflow"), index.wheel(recorded_now, "mlflow", yanked="leaks")])
    done = run("mlflow")
    assert "withdrawn" in {note.state for note in done.notes}
    assert ("version", "1.0") in {(change.fact, change.now) for change in done.changes}


def test_an_index_that_lags_behind_changes_nothing_and_is_told(index: Any, run: Refresh) -> None:
    index.serve_json("mlflow", [index.wheel("1.0", "mlflow")])
    done = run("mlflow")
    assert [note.state for note in done.notes] == ["older"]
    assert (done.changes, done.confirmed, done.written) == ((), (), ())


def test_what_could_not_be_asked_stays_and_the_rest_is_written(index: Any, own: Path, run: Refresh) -> None:
    index.serve_json("mlflow", [index.wheel("99.1.0", "mlflow")])
    index.serve("/simple/feast/", "{", JSON_TYPE)
    done = run("mlflow", "feast")
    assert done.failed == ("feast",)
    assert list(files_in(own)) == ["tools/mlflow.toml"]


def test_without_an_index_it_says_so_and_changes_nothing(own: Path, run: Refresh) -> None:
    settings = IndexSettings("http://ana:secret@127.0.0.1:9/simple", timeout_s=2)
    with pytest.raises(Unavailable, match="nothing was changed") as refused:
        run(settings=settings)
    assert "secret" not in str(refused.value)
    assert not own.exists()


def test_an_index_that_stays_silent_is_not_asked_for_everything(index: Any, run: Refresh) -> None:
    for tool in load_facts().tools.values():
        release = tool.facts.get("release")
        for known in recorded(release) if release else ():
            index.serve(f"/simple/{known.package}/", "", "hangs")
    with pytest.raises(Unavailable):
        run(settings=index.settings(timeout_s=0.3))
    assert len(index.asked) < 30


def test_one_package_of_several_tools_is_asked_for_once_and_progress_reaches_the_end(index: Any, run: Refresh) -> None:
    index.serve_json("sagemaker", [index.wheel("99.0", "sagemaker")])
    seen: list[tuple[int, int]] = []
    done = run("sagemaker-fs", "sagemaker-endpoints", progress=lambda at, of: seen.append((at, of)))
    assert (done.asked, len(done.written)) == (1, 2)
    assert seen == [(1, 1)]


def test_an_unknown_tool_or_two_places_to_write_are_refused(run: Refresh, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="did you mean 'mlflow'"):
        run("mlfow")
    with pytest.raises(RefusedInput, match="Only one place"):
        run("mlflow", out=tmp_path, in_place=tmp_path)
