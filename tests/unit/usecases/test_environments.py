"""A stack's tools get their environments; an upgrade is accepted only after its check."""

import datetime
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stackproof.envs.environments import EnvironmentHandle, Environments
from stackproof.envs.locking import Lock, Locks, Recipe
from stackproof.errors import NotFound, RefusedInput, Unavailable, UnknownName
from stackproof.roles import ROLES
from stackproof.roles.stack import RoleChoice, Stack
from stackproof.usecases.environments import CheckResult, applied, own_tools, prepare, upgrade

NOW = datetime.datetime(2026, 11, 21, tzinfo=datetime.UTC)
TODAY = NOW.date()

Resolver = Callable[[Recipe, str, datetime.date], Lock]


@pytest.fixture
def environments(tmp_path: Path) -> Environments:
    return Environments(tmp_path / "environments", clock=lambda: NOW)


@pytest.fixture
def locks(tmp_path: Path, wheelhouse: Any) -> Locks:
    """Two tools, each with an accepted lock of its version 1.0."""
    shipped = tmp_path / "shipped"
    shipped.mkdir()
    recipes = [f'[[tools]]\ntool = "{tool}"\nrequirements = ["{tool}"]\nimports = ["{tool}"]\n' for tool in ("a", "b")]
    (shipped / "tools.toml").write_text("".join(recipes))
    locks = Locks(tmp_path / "own", shipped)
    for tool in ("a", "b"):
        locks.accept(wheelhouse.lock(wheelhouse.wheel(tool), tool, (tool,)))
    return locks


def resolving_to(wheelhouse: Any, text: str) -> Resolver:
    def resolver(recipe: Recipe, python: str, today: datetime.date) -> Lock:
        return replace(wheelhouse.lock(text, recipe.tool, recipe.imports, python), locked=today)

    return resolver


def passes(handle: EnvironmentHandle) -> CheckResult:
    assert handle.python.exists()
    return CheckResult(passed=12)


def state(environments: Environments, locks: Locks) -> dict[str, bytes]:
    """Every file that says what is in use."""
    folders = (environments.root, locks.own or Path())
    return {
        str(path): path.read_bytes()
        for folder in folders
        for path in folder.rglob("*")
        if path.is_file() and ".locks" not in path.parts and "__pycache__" not in path.parts
    }


def test_each_tool_gets_an_environment_and_the_project_is_registered(
    environments: Environments, locks: Locks, tmp_path: Path
) -> None:
    handles = prepare("shop", tmp_path, ["a", "b"], environments, locks=locks, now=NOW)
    assert [handle.tools for handle in handles.values()] == [("a",), ("b",)]
    assert applied(tmp_path, environments) == handles
    assert environments.prune().removed == ()
    assert applied(tmp_path / "elsewhere", environments) == {}


def test_a_project_stays_on_the_locks_that_it_applied_until_it_applies_again(
    environments: Environments, locks: Locks, wheelhouse: Any, tmp_path: Path
) -> None:
    before = prepare("shop", tmp_path, ["a"], environments, locks=locks, now=NOW)
    locks.accept(wheelhouse.lock(wheelhouse.wheel("a", "2.0"), "a", ("a",)))
    assert applied(tmp_path, environments) == before
    after = prepare("shop", tmp_path, ["a"], environments, locks=locks, now=NOW)
    assert after["a"].digest != before["a"].digest
    assert [one.digest for one in environments.prune().removed] == [before["a"].digest]


def test_an_environment_deleted_by_hand_comes_back_from_the_lock_that_was_applied(
    environments: Environments, locks: Locks, wheelhouse: Any, tmp_path: Path
) -> None:
    before = prepare("shop", tmp_path, ["a"], environments, locks=locks, now=NOW)
    locks.accept(wheelhouse.lock(wheelhouse.wheel("a", "2.0"), "a", ("a",)))
    environments.remove(before["a"].key)
    assert applied(tmp_path, environments)["a"].digest == before["a"].digest


def test_a_tool_that_can_t_be_made_leaves_in_force_what_was_applied_before(
    environments: Environments, locks: Locks, wheelhouse: Any, tmp_path: Path
) -> None:
    before = prepare("shop", tmp_path, ["a"], environments, locks=locks, now=NOW)
    locks.accept(wheelhouse.lock(wheelhouse.wheel("b", "2.0", "import missing"), "b", ("b",)))
    with pytest.raises(RefusedInput, match="'b' cannot be imported"):
        prepare("shop", tmp_path, ["a", "b"], environments, locks=locks, now=NOW)
    assert applied(tmp_path, environments) == before


def test_a_python_without_a_lock_is_refused_with_those_that_have_one(
    environments: Environments, locks: Locks, wheelhouse: Any, tmp_path: Path
) -> None:
    with pytest.raises(NotFound, match=rf"no lock of a for Python 3\.9.*Allowed: {wheelhouse.python}"):
        prepare("shop", tmp_path, ["a"], environments, locks=locks, pythons={"a": "3.9"}, now=NOW)
    with pytest.raises(UnknownName, match="'nothing'"):
        prepare("shop", tmp_path, ["nothing"], environments, locks=locks, now=NOW)


def test_only_tools_declared_own_that_an_adapter_and_a_lock_are_there_for_get_one(locks: Locks) -> None:
    roles = {role: RoleChoice("embedded") for role in ROLES} | {
        "tracking": RoleChoice("mlflow", "own"),
        "tuning": RoleChoice("random", "own"),
        "features": RoleChoice("feast", "shared"),
    }
    with_random = replace(locks)
    with_random.__dict__["recipes"] = {**Locks().recipes, "random": Recipe("random", ("random",))}
    found = own_tools(Stack("shop", roles), with_random)
    assert "random" in found
    assert "feast" not in found
    assert "embedded" not in found
    assert own_tools(Stack("shop", roles | {"tuning": RoleChoice("random", "own", deferred="later")}), locks) == ()


def test_an_upgrade_that_passes_its_check_is_in_force_from_then_on(
    environments: Environments, locks: Locks, wheelhouse: Any
) -> None:
    text = wheelhouse.wheel("a", "2.0") + wheelhouse.wheel("more")
    done = upgrade(
        "a", passes, environments, locks=locks, python=wheelhouse.python, today=TODAY,
        resolver=resolving_to(wheelhouse, text),
    )  # fmt: skip
    assert (done.accepted, done.newest, done.result) == (True, False, CheckResult(12))
    assert done.changes == (("a", "1.0", "2.0"), ("more", "", "1.0"))
    lock = locks.find("a", wheelhouse.python)
    assert (lock.pins["a"], lock.tested, lock.imported, lock.own) == ("2.0", TODAY, TODAY, True)
    assert environments.find(lock) is not None


@pytest.mark.parametrize("result", [CheckResult(11, ("test_search: wrong order",)), CheckResult(0)])
def test_an_upgrade_that_fails_its_check_leaves_everything_as_it_was(
    environments: Environments, locks: Locks, wheelhouse: Any, result: CheckResult
) -> None:
    environments.ensure(locks.find("a", wheelhouse.python), wheelhouse.interpreter)
    before = state(environments, locks)
    done = upgrade(
        "a", lambda handle: result, environments, locks=locks, python=wheelhouse.python, today=TODAY,
        resolver=resolving_to(wheelhouse, wheelhouse.wheel("a", "2.0")),
    )  # fmt: skip
    assert (done.accepted, done.result) == (False, result)
    assert state(environments, locks) == before


def test_an_upgrade_that_does_not_import_leaves_everything_as_it_was(
    environments: Environments, locks: Locks, wheelhouse: Any
) -> None:
    environments.ensure(locks.find("a", wheelhouse.python), wheelhouse.interpreter)
    before = state(environments, locks)
    with pytest.raises(RefusedInput, match="cannot be imported"):
        upgrade(
            "a", passes, environments, locks=locks, python=wheelhouse.python, today=TODAY,
            resolver=resolving_to(wheelhouse, wheelhouse.wheel("a", "2.0", "raise ImportError('no')")),
        )  # fmt: skip
    assert state(environments, locks) == before


def test_a_check_that_raises_leaves_everything_as_it_was(
    environments: Environments, locks: Locks, wheelhouse: Any
) -> None:
    def dies(handle: EnvironmentHandle) -> CheckResult:
        raise Unavailable("its server does not start", got=handle.key)

    before = state(environments, locks)
    with pytest.raises(Unavailable, match="does not start"):
        upgrade(
            "a", dies, environments, locks=locks, python=wheelhouse.python, today=TODAY,
            resolver=resolving_to(wheelhouse, wheelhouse.wheel("a", "2.0")),
        )  # fmt: skip
    assert state(environments, locks) == before


def test_nothing_newer_is_told_and_checks_nothing(environments: Environments, locks: Locks, wheelhouse: Any) -> None:
    def never(handle: EnvironmentHandle) -> CheckResult:
        raise AssertionError(handle)

    current = locks.find("a", wheelhouse.python)
    done = upgrade(
        "a", never, environments, locks=locks, python=wheelhouse.python, today=TODAY,
        resolver=resolving_to(wheelhouse, current.text.replace("\n", f" --hash=sha256:{'0' * 64}\n")),
    )  # fmt: skip
    assert (done.accepted, done.newest, done.changes, done.result) == (False, True, (), None)


def test_a_refused_upgrade_does_not_remove_an_environment_that_was_there_before(
    environments: Environments, locks: Locks, wheelhouse: Any
) -> None:
    text = wheelhouse.wheel("a", "2.0")
    handle = environments.ensure(wheelhouse.lock(text, "a", ("a",)), wheelhouse.interpreter)
    upgrade(
        "a", lambda handle: CheckResult(0, ("all",)), environments, locks=locks, python=wheelhouse.python,
        today=TODAY, resolver=resolving_to(wheelhouse, text),
    )  # fmt: skip
    assert handle.python.exists()


def test_a_system_without_a_shipped_lock_gets_its_first_by_an_upgrade(
    environments: Environments, wheelhouse: Any, tmp_path: Path
) -> None:
    locks = Locks(tmp_path / "own", tmp_path / "none", system="riscv64 Linux")
    locks.__dict__["recipes"] = {"a": Recipe("a", ("a",), imports=("a",))}

    def resolver(recipe: Recipe, python: str, today: datetime.date) -> Lock:
        made = resolving_to(wheelhouse, wheelhouse.wheel("a"))(recipe, python, today)
        return replace(made, system="riscv64 Linux")

    done = upgrade(
        "a", passes, environments, locks=locks, python=wheelhouse.python, today=TODAY, resolver=resolver
    )  # fmt: skip
    assert (done.accepted, done.changes) == (wheelhouse.python in ("3.11", "3.12", "3.13"), (("a", "", "1.0"),))
    assert locks.find("a", wheelhouse.python).own


def test_a_python_whose_lock_passed_the_tools_suite_goes_before_a_newer_one(
    locks: Locks, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from stackproof.envs import interpreters

    here = {version: tmp_path / version for version in ("3.11", "3.12", "3.13")}
    monkeypatch.setattr(interpreters, "interpreters", lambda: here)
    choose = interpreters.choose_interpreter
    assert choose("a", ["3.13", "3.12", "3.11"], preferred=["3.11", "3.12"]) == ("3.12", here["3.12"])
    assert choose("a", ["3.13", "3.12"], preferred=["3.11"]) == ("3.13", here["3.13"])
    assert choose("a", ["3.13", "3.12"], "3.13", ["3.12"]) == ("3.13", here["3.13"])


@pytest.mark.parametrize(
    ("tested", "chosen"),
    [
        ((), "3.13"),
        (("3.11",), "3.11"),
        (("3.11", "3.13"), "3.13"),
        (("3.11", "3.12", "3.13"), "3.12"),
    ],
)
def test_our_own_python_goes_first_if_its_lock_was_tested_then_the_newest_that_was(
    tested: tuple[str, ...],
    chosen: str,
    environments: Environments,
    locks: Locks,
    wheelhouse: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("stackproof.usecases.environments.OURS", "3.12")
    here = dict.fromkeys(("3.11", "3.12", "3.13"), Path("python"))
    monkeypatch.setattr("stackproof.envs.interpreters.interpreters", lambda: here)
    for python in here:
        lock = wheelhouse.lock("a==1.0\n", "a", ("a",), python)
        locks.accept(replace(lock, tested=TODAY if python in tested else None))
    nothing_newer = resolving_to(wheelhouse, "a==1.0\n")
    found = upgrade("a", passes, environments, locks=locks, today=TODAY, resolver=nothing_newer)
    assert (found.newest, found.python) == (True, chosen)


def test_a_project_is_upgraded_on_the_python_that_it_uses(
    environments: Environments, locks: Locks, wheelhouse: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare("shop", tmp_path, ["a"], environments, locks=locks, now=NOW)
    (used,) = [lock.python for lock in environments.projects.of(tmp_path).locks.values()]
    monkeypatch.setattr("stackproof.usecases.environments.OURS", "3.99")
    locks.accept(replace(wheelhouse.lock("a==1.0\n", "a", ("a",), "3.99"), tested=TODAY))
    nothing_newer = resolving_to(wheelhouse, locks.find("a", used).text)
    found = upgrade("a", passes, environments, folder=tmp_path, locks=locks, today=TODAY, resolver=nothing_newer)
    assert (found.newest, found.python) == (True, used)
