"""An environment is made whole or not at all, shared by lock, noticed when damaged, and removed when nobody uses it."""

import datetime
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stackproof.envs import interpreters
from stackproof.envs.environments import Environments, data_folder
from stackproof.envs.installing import Step, in_words, try_imports
from stackproof.envs.interpreters import choose_interpreter, of_pyenv
from stackproof.envs.locking import Locks
from stackproof.envs.sizes import disk_bytes, freed_bytes
from stackproof.errors import Corrupted, NotFound, RefusedInput, Unavailable

NOW = datetime.datetime(2026, 11, 21, tzinfo=datetime.UTC)


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def environments(tmp_path: Path, told: list[str]) -> Environments:
    return Environments(tmp_path / "environments", told=told.append, clock=lambda: NOW)


def version_in(python: Path) -> str:
    code = "import tiny; print(tiny.VERSION)"
    return subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def left_over(environments: Environments) -> list[str]:
    return [path.name for path in (environments.root / ".building").glob("*")]


def test_an_environment_holds_the_very_versions_of_its_lock(
    environments: Environments, wheelhouse: Any, told: list[str]
) -> None:
    wheelhouse.wheel("tiny", "2.0", "VERSION = 2")
    lock = wheelhouse.lock(wheelhouse.wheel("tiny", "1.0", "VERSION = 1"))
    assert environments.find(lock) is None
    handle = environments.ensure(lock, wheelhouse.interpreter)
    assert version_in(handle.python) == "1"
    assert (handle.digest, handle.tools, handle.packages, handle.created) == (lock.digest, ("tiny",), 1, NOW)
    assert handle.python_version.startswith(f"{lock.python}.")
    assert handle.size_bytes > 0
    assert environments.find(lock) == handle
    assert left_over(environments) == []
    assert len(told) == 1
    assert told[0].startswith("Made the environment of tiny")


def test_an_environment_that_is_there_is_not_made_again(
    environments: Environments, wheelhouse: Any, told: list[str]
) -> None:
    lock = wheelhouse.lock(wheelhouse.wheel("tiny"))
    made = environments.ensure(lock, wheelhouse.interpreter)
    assert Environments(environments.root).ensure(lock) == made
    assert len(told) == 1


def test_two_tools_with_one_lock_share_an_environment(environments: Environments, wheelhouse: Any) -> None:
    lock = wheelhouse.lock(wheelhouse.wheel("tiny"))
    first = environments.ensure(lock, wheelhouse.interpreter)
    second = environments.ensure(replace(lock, tool="tiny-sweeps"), wheelhouse.interpreter)
    assert (second.python, second.tools) == (first.python, ("tiny", "tiny-sweeps"))
    found = environments.find(lock)
    assert found is not None
    assert found.tools == ("tiny", "tiny-sweeps")


def test_another_lock_is_another_environment_beside_the_first(environments: Environments, wheelhouse: Any) -> None:
    old = environments.ensure(
        wheelhouse.lock(wheelhouse.wheel("tiny", "1.0", "VERSION = 1")), wheelhouse.interpreter
    )  # fmt: skip
    new = environments.ensure(
        wheelhouse.lock(wheelhouse.wheel("tiny", "2.0", "VERSION = 2")), wheelhouse.interpreter
    )  # fmt: skip
    assert (version_in(old.python), version_in(new.python)) == ("1", "2")


def remove_all(folder: Path) -> None:
    shutil.rmtree(folder)


def remove_marker(folder: Path) -> None:
    (folder / "stackproof-environment.json").unlink()


def cut_marker(folder: Path) -> None:
    path = folder / "stackproof-environment.json"
    path.write_bytes(path.read_bytes()[:40])


def remove_package(folder: Path) -> None:
    (package,) = folder.glob("lib/python*/site-packages/tiny")
    shutil.rmtree(package)


def remove_interpreter(folder: Path) -> None:
    (folder / "bin" / "python").unlink()


def break_interpreter(folder: Path) -> None:
    (folder / "bin" / "python").unlink()
    (folder / "bin" / "python").symlink_to("/no/such/python")


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (remove_all, ""),
        (remove_marker, "its marker is missing or broken"),
        (cut_marker, "its marker is missing or broken"),
        (remove_package, "tiny is missing from it"),
        (remove_interpreter, "its interpreter does not run"),
        (break_interpreter, "its interpreter does not run"),
    ],
)
def test_what_is_deleted_or_damaged_by_hand_is_noticed_and_made_again(
    environments: Environments, wheelhouse: Any, told: list[str], harm: Callable[[Path], None], says: str
) -> None:
    lock = wheelhouse.lock(wheelhouse.wheel("tiny", "1.0", "VERSION = 1"))
    harm(environments.ensure(lock, wheelhouse.interpreter).folder)
    assert environments.find(lock) is None
    again = environments.ensure(lock, wheelhouse.interpreter)
    assert version_in(again.python) == "1"
    assert [line for line in told if "damaged" in line] == (
        [f"The environment of tiny is damaged ({says}): made anew"] if says else []
    )
    assert left_over(environments) == []


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("import a_module_that_nobody_asked_for", r"'tiny' cannot be imported.*No module named 'a_module_that_nobody"),
        ("raise RuntimeError('pandas 3 is not for me')", r"RuntimeError: pandas 3 is not for me"),
        ("import os; os.abort()", r"it was ended by SIGABRT"),
        ("raise SystemExit(3)", r"exit code 3"),
    ],
)
def test_a_set_that_installs_and_does_not_import_is_not_put_in_use(
    environments: Environments, wheelhouse: Any, code: str, says: str
) -> None:
    lock = wheelhouse.lock(wheelhouse.wheel("tiny", "1.0", code))
    with pytest.raises(RefusedInput, match=says):
        environments.ensure(lock, wheelhouse.interpreter)
    assert environments.find(lock) is None
    assert left_over(environments) == []
    assert environments.list_environments().environments == ()


def test_the_import_that_failed_is_named_among_several(environments: Environments, wheelhouse: Any) -> None:
    text = wheelhouse.wheel("tiny") + wheelhouse.wheel("other", "1.0", "import missing")
    with pytest.raises(RefusedInput, match="its module 'other' cannot be imported"):
        environments.ensure(wheelhouse.lock(text, imports=("tiny", "other", "json")), wheelhouse.interpreter)


def test_an_import_that_hangs_is_ended(environments: Environments, wheelhouse: Any) -> None:
    code = "import os\nif 'HANGS' in os.environ:\n    import time\n    time.sleep(1000)"
    lock = wheelhouse.lock(wheelhouse.wheel("tiny", "1.0", code))
    handle = environments.ensure(lock, wheelhouse.interpreter)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("HANGS", "1")
        with pytest.raises(RefusedInput, match=r"took longer than 0\.3 s"):
            try_imports(lock, handle.folder, 0.3)


def test_a_tool_that_writes_into_the_home_folder_when_imported_litters_nobodys(
    environments: Environments, wheelhouse: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    code = "from pathlib import Path; (Path.home() / '.tiny').write_text('x')"
    environments.ensure(wheelhouse.lock(wheelhouse.wheel("tiny", "1.0", code)), wheelhouse.interpreter)
    assert list((tmp_path / "home").iterdir()) == []


def test_a_wrong_hash_is_corrupted_and_installs_nothing(environments: Environments, wheelhouse: Any) -> None:
    right = wheelhouse.wheel("tiny")
    wrong = right.split("sha256:")[0] + "sha256:" + "0" * 64 + "\n"
    with pytest.raises(Corrupted, match="differs from the digest in its lock"):
        environments.ensure(wheelhouse.lock(wrong), wheelhouse.interpreter)
    assert environments.list_environments().environments == ()
    assert left_over(environments) == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\x00\x01 garbage",
        "tiny==1.0\n",
        "tiny==1.0 --hash=sha256:zz\n",
        "tiny>=1.0 --hash=sha256:" + "0" * 64,
        "--index-url http://127.0.0.1:9/simple\n",
        "-e ../somewhere\n",
    ],
)
def test_what_is_no_lock_is_refused(environments: Environments, wheelhouse: Any, text: str) -> None:
    wheelhouse.wheel("tiny")
    with pytest.raises(RefusedInput, match="The lock of tiny is no lock"):
        environments.ensure(wheelhouse.lock(text), wheelhouse.interpreter)
    assert left_over(environments) == []


def test_a_release_that_is_gone_is_unavailable(environments: Environments, wheelhouse: Any) -> None:
    wheelhouse.wheel("tiny")
    with pytest.raises(Unavailable, match=r"tiny could not be made.*tiny==9\.9"):
        environments.ensure(wheelhouse.lock(f"tiny==9.9 --hash=sha256:{'0' * 64}\n"), wheelhouse.interpreter)


def test_a_root_that_is_a_file_is_refused(tmp_path: Path, wheelhouse: Any) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RefusedInput, match="A folder cannot be made there"):
        Environments(tmp_path / "file").ensure(wheelhouse.lock(wheelhouse.wheel("tiny")), wheelhouse.interpreter)


def test_prune_removes_what_no_project_uses_and_says_what_the_disk_gets_back(
    environments: Environments, wheelhouse: Any, tmp_path: Path
) -> None:
    used = wheelhouse.lock(wheelhouse.wheel("tiny", "1.0"))
    kept = wheelhouse.lock(wheelhouse.wheel("tiny", "2.0"))
    unused = wheelhouse.lock(wheelhouse.wheel("tiny", "3.0"))
    for lock in (used, kept, unused):
        environments.ensure(lock, wheelhouse.interpreter)
    (tmp_path / "shop").mkdir()
    environments.projects.register("shop", tmp_path / "shop", [used], NOW)
    would = environments.prune({kept.digest}, dry_run=True)
    assert [one.key for one in would.removed] == [unused.key]
    assert environments.find(unused) is not None
    assert environments.prune({kept.digest}) == replace(would, dry_run=False)
    assert environments.find(unused) is None
    assert environments.find(used) is not None
    assert environments.find(kept) is not None
    assert [one.used_by for one in environments.list_environments().environments] in ([("shop",), ()], [(), ("shop",)])


def test_a_project_whose_folder_is_gone_uses_nothing(
    environments: Environments, wheelhouse: Any, tmp_path: Path
) -> None:
    lock = wheelhouse.lock(wheelhouse.wheel("tiny"))
    environments.ensure(lock, wheelhouse.interpreter)
    (tmp_path / "shop").mkdir()
    environments.projects.register("shop", tmp_path / "shop", [lock], NOW)
    assert environments.prune().removed == ()
    (tmp_path / "shop").rmdir()
    assert [one.key for one in environments.prune().removed] == [lock.key]


def test_applying_again_replaces_what_a_project_uses(
    environments: Environments, wheelhouse: Any, tmp_path: Path
) -> None:
    old, new = wheelhouse.lock("tiny==1\n"), wheelhouse.lock("tiny==2\n")
    environments.projects.register("shop", tmp_path, [old], NOW)
    environments.projects.register("shop", tmp_path, [new], NOW)
    found = environments.projects.of(tmp_path)
    assert found is not None
    assert found.locks == {"tiny": new}
    assert [project.folder for project in environments.projects.all()] == [tmp_path.resolve()]


def test_a_broken_register_stops_prune_before_it_removes_anything(
    environments: Environments, wheelhouse: Any, tmp_path: Path
) -> None:
    lock = wheelhouse.lock(wheelhouse.wheel("tiny"))
    environments.ensure(lock, wheelhouse.interpreter)
    environments.projects.register("shop", tmp_path, [lock], NOW)
    (note,) = (environments.root / ".projects").glob("*.json")
    note.write_text("{")
    with pytest.raises(RefusedInput, match="can't be read"):
        environments.prune()
    assert environments.find(lock) is not None


def test_an_environment_that_a_process_uses_is_not_removed(environments: Environments, wheelhouse: Any) -> None:
    lock = wheelhouse.lock(wheelhouse.wheel("tiny"))
    using = environments.use(environments.ensure(lock, wheelhouse.interpreter))
    also = environments.use(environments.ensure(lock))
    using.close()
    pruned = environments.prune()
    assert (pruned.removed, pruned.running, pruned.freed_bytes, pruned.size_bytes) == ((), (lock.key,), 0, 0)
    also.close()
    also.close()
    assert [one.key for one in environments.prune().removed] == [lock.key]


def test_a_damaged_environment_is_listed_as_such_and_can_be_pruned(environments: Environments, wheelhouse: Any) -> None:
    lock = wheelhouse.lock(wheelhouse.wheel("tiny"))
    remove_marker(environments.ensure(lock, wheelhouse.interpreter).folder)
    (listed,) = environments.list_environments().environments
    assert (listed.key, listed.tools, listed.damage) == (lock.key, (), "its marker is missing or broken")
    assert [one.key for one in environments.prune().removed] == [lock.key]


def test_what_others_put_beside_the_environments_is_neither_listed_nor_removed(environments: Environments) -> None:
    for name in ("mine", "py3.12-mine", "py3.12"):
        (environments.root / name).mkdir(parents=True)
    assert environments.list_environments().environments == ()
    environments.prune()
    assert sorted(path.name for path in environments.root.iterdir() if path.name[0] != ".") == [
        "mine", "py3.12", "py3.12-mine",
    ]  # fmt: skip


def test_nothing_made_yet_is_an_empty_list_and_nothing_to_prune(environments: Environments) -> None:
    assert environments.list_environments().environments == ()
    assert environments.prune().removed == ()
    assert not environments.root.exists() or not list(environments.root.glob("py*"))


def test_a_file_with_two_names_counts_once_and_is_freed_only_when_both_go(tmp_path: Path) -> None:
    one, two, outside = (tmp_path / name for name in ("one", "two", "outside"))
    for folder in (one, two, outside):
        folder.mkdir()
    (one / "big").write_bytes(os.urandom(1_000_000))
    os.link(one / "big", two / "big")
    (two / "own").write_bytes(os.urandom(500_000))
    empty = disk_bytes([outside])
    assert disk_bytes([one]) >= 1_000_000
    assert disk_bytes([one, two]) == disk_bytes([one]) + disk_bytes([two]) - (disk_bytes([one]) - empty)
    assert freed_bytes([one]) == empty
    assert freed_bytes([one, two]) == disk_bytes([one, two])
    os.link(one / "big", outside / "big")
    assert freed_bytes([one, two]) == disk_bytes([two]) - (disk_bytes([one]) - empty) + empty
    assert disk_bytes([tmp_path / "gone"]) == freed_bytes([tmp_path / "gone"]) == 0


def test_a_link_to_a_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "big").write_bytes(bytes(1_000_000))
    (tmp_path / "inside" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "inside" / "itself").symlink_to(tmp_path / "inside")
    assert disk_bytes([tmp_path / "inside"]) < 1_000_000


def test_the_newest_python_that_is_locked_and_here_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    here = {"3.11": Path("a"), "3.12": Path("b"), "3.14": Path("c")}
    monkeypatch.setattr("stackproof.envs.interpreters.interpreters", lambda: here)
    locked = ("3.13", "3.12", "3.11")
    assert choose_interpreter("mlflow", locked) == ("3.12", Path("b"))
    assert choose_interpreter("mlflow", locked, "3.11") == ("3.11", Path("a"))
    with pytest.raises(NotFound, match=r"Got: 3\.11, 3\.12, 3\.14 found, 3\.13 asked for.*3\.11 or 3\.12 or 3\.13"):
        choose_interpreter("mlflow", locked, "3.13")
    with pytest.raises(NotFound, match=r"There is no Python for mlflow.*Allowed: Python 3\.13\.$|Next: uv python inst"):
        choose_interpreter("mlflow", ("3.13",))


def test_the_python_that_runs_is_always_among_those_found(wheelhouse: Any) -> None:
    assert interpreters.interpreters()[wheelhouse.python] == wheelhouse.interpreter


def test_the_newest_patch_of_each_minor_version_is_taken_from_pyenv(tmp_path: Path) -> None:
    for version in ("3.12.1", "3.12.10", "3.12.9", "3.13.0t", "3.14-dev", "mine"):
        program = tmp_path / "versions" / version / "bin" / f"python{version[:4]}"
        program.parent.mkdir(parents=True)
        program.write_text("")
    (tmp_path / "versions" / "3.13.5").mkdir()
    assert of_pyenv({"PYENV_ROOT": str(tmp_path)}) == {"3.12": tmp_path / "versions/3.12.10/bin/python3.12"}


def test_environments_lie_in_the_users_data_folder(tmp_path: Path) -> None:
    assert data_folder({"XDG_DATA_HOME": str(tmp_path)}) == tmp_path / "stackproof"
    assert data_folder({"XDG_DATA_HOME": "relative"}) == Path.home() / ".local/share/stackproof"
    assert data_folder({}) == Path.home() / ".local/share/stackproof"


def test_progress_is_told_in_packages_megabytes_and_seconds(tmp_path: Path, wheelhouse: Any) -> None:
    steps: list[Step] = []
    text = wheelhouse.wheel("tiny") + wheelhouse.wheel("other")
    Environments(tmp_path / "root", stepped=steps.append).ensure(wheelhouse.lock(text), wheelhouse.interpreter)
    assert (steps[-1].doing, steps[-1].packages, steps[-1].of) == ("importing", 2, 2)
    assert in_words(replace(steps[-1], megabytes=3.2, of_megabytes=42, seconds=7)) == (
        "tiny: importing, 2 of 2 packages, 3 of 42 MB, 7 s"
    )


def test_what_is_known_of_a_lock_is_listed_with_its_environment(environments: Environments, wheelhouse: Any) -> None:
    lock = replace(wheelhouse.lock(wheelhouse.wheel("tiny"), tool="mlflow"), tested=NOW.date())
    environments.ensure(lock, wheelhouse.interpreter)
    locks = Locks(environments.root / "own-locks")
    locks.accept(lock)
    (listed,) = environments.list_environments(locks).environments
    assert listed.standing == "conformance suite passed 2026-11-21"
