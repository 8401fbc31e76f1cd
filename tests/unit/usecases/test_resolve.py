"""Whether the chosen tools install together, which pair doesn't, and which need an environment of their own."""

import datetime
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from stackproof.decide import Decision, decide, parse_answers
from stackproof.envs.resolving import Resolution, resolve_together
from stackproof.errors import RefusedInput, Unavailable
from stackproof.facts import Facts, load_facts
from stackproof.facts.model import Install
from stackproof.usecases.resolve import resolve

TOOLS = ("mlflow", "optuna", "evidently", "great-expectations")


@pytest.fixture(scope="module")
def facts() -> Facts:
    day = datetime.date(2026, 11, 21)
    installs = {name: Install(name, name, f"{name}>=1", day, "3.12", True, 1, 1, "") for name in TOOLS}
    return replace(load_facts(), installs=installs)


@pytest.fixture(scope="module")
def decision(facts: Facts) -> Decision:
    return decide(parse_answers({}, facts), facts, as_of=datetime.date(2026, 11, 21))


def quarrelling(*never: set[str]) -> Callable[[Sequence[str], str], Resolution]:
    """A resolver for which the given sets of tools can't be together."""

    def ask(requirements: Sequence[str], python: str) -> Resolution:
        names = {requirement.partition(">")[0] for requirement in requirements}
        if any(some <= names for some in never):
            return Resolution({}, f"{' and '.join(sorted(names))} depend on different things")
        return Resolution(dict.fromkeys(names, "1.2"))

    return ask


def resolved(decision: Decision, facts: Facts, *never: set[str]) -> dict[str, Any]:
    return resolve(decision, facts, python="3.12", resolver=quarrelling(*never))


def test_tools_that_fit_together_could_share_one_environment(decision: Decision, facts: Facts) -> None:
    found = resolved(decision, facts)
    assert (found["together"], found["conflict"]) == (True, None)
    assert set(found["tools"]) == set(TOOLS)
    assert {tool["environment"] for tool in found["tools"].values()} == {"shared"}
    assert {tool["version"] for tool in found["tools"].values()} == {"1.2"}
    assert "dvc" in found["unasked"]


def test_the_pair_that_conflicts_is_named_and_the_later_one_lives_apart(decision: Decision, facts: Facts) -> None:
    found = resolved(decision, facts, {"mlflow", "evidently"})
    assert found["together"] is False
    assert found["conflict"]["tools"] == ["mlflow", "evidently"]
    assert "depend on different things" in found["conflict"]["because"]
    assert {name for name, tool in found["tools"].items() if tool["environment"] == "own"} == {"evidently"}


def test_a_tool_that_can_not_be_installed_at_all_is_named_alone(decision: Decision, facts: Facts) -> None:
    found = resolved(decision, facts, {"optuna"})
    assert found["conflict"]["tools"] == ["optuna"]
    assert found["tools"]["optuna"]["version"] is None


def test_where_no_pair_is_to_blame_the_smallest_set_is_named(decision: Decision, facts: Facts) -> None:
    found = resolved(decision, facts, {"mlflow", "evidently", "great-expectations"})
    assert set(found["conflict"]["tools"]) == {"mlflow", "evidently", "great-expectations"}


def test_a_decision_without_python_tools_asks_nothing(decision: Decision, facts: Facts) -> None:
    found = resolve(decision, replace(facts, installs={}), resolver=quarrelling(set()))
    assert (found["together"], found["conflict"], found["tools"]) == (None, None, {})


def test_what_is_no_requirement_is_refused_by_the_real_resolver() -> None:
    with pytest.raises(RefusedInput, match="no requirement"):
        resolve_together(["this is ; no requirement!"], "3.12")


def test_without_the_index_the_real_resolver_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("UV_INDEX_URL", "UV_DEFAULT_INDEX"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    with pytest.raises(Unavailable, match="package index"):
        resolve_together(["a-distribution-that-nobody-has-cached"], "3.12")
