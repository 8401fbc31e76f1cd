"""What becomes of decisions when the facts change: tools retire, facts grow old, fields go missing."""

import copy
import datetime
import pathlib
import shutil
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from random import Random
from typing import Any, TypeAlias

import pytest
import tomli_w

from stackproof.decide import Answers, Decision, decide, parse_answers
from stackproof.decide.decision import Scored
from stackproof.errors import RefusedInput
from stackproof.facts import Facts, load_facts
from stackproof.facts.loader import SHIPPED, cross_faults, schema_faults
from stackproof.facts.model import DEAD, Tool
from stackproof.facts.reading import read_tool
from stackproof.facts.shape import dotted

AS_OF = datetime.date(2026, 11, 21)
TWO_YEARS_BACK = AS_OF - datetime.timedelta(days=731)
FACTS = load_facts()
NAMES = sorted(FACTS.tools)
SEED = 11
FaultsOf = Callable[[Decision, Answers, Facts], list[str]]
Path: TypeAlias = tuple[str | int, ...]

TEAMS: dict[str, dict[str, dict[str, Any]]] = {
    "a small team that answers nothing": {},
    "a growth company on Kubernetes": {
        "organization": {"people": 200, "data_scientists": 4, "ml_engineers": 6, "platform_engineers": 4}
        | {"budget_usd_per_year": 400000, "pipeline_authors": "ml-engineers"},
        "infrastructure": {"kubernetes": "at-scale", "kubernetes_skill": "strong", "gpu": "nvidia"},
        "use_case": {"models_in_production": 15, "workloads": ["realtime"], "latency_ms": 8},
        "needs": {"deployment_patterns": ["canary"], "explainability": "central", "automl": True}
        | {"model_validation": True, "collaboration": "central"},
    },
    "a team that buys on AWS": {
        "organization": {"people": 100, "ml_engineers": 3, "budget_usd_per_year": 200000},
        "infrastructure": {"cloud": "aws", "hosting": "managed-only", "databricks": True},
        "use_case": {"models_in_production": 15, "workloads": ["realtime"], "llm": "api", "rag": True},
        "needs": {"lock_in": "accept"},
    },
    "language models and phones": {
        "organization": {"people": 40, "ml_engineers": 4, "budget_usd_per_year": 10000},
        "infrastructure": {"gpu": "nvidia", "edge": True},
        "use_case": {"frameworks": ["tensorflow"], "llm": "self-hosted", "rag": True, "workloads": ["realtime"]}
        | {"data": "data-lake"},
        "needs": {"hyperparameter_search": "primary", "distributed_tuning": True},
    },
}


def chosen(decision: Decision) -> set[str]:
    uses = [choice for choice in decision.roles.values() if choice.verdict == "use"]
    return {name for choice in uses for name in (choice.tool or "", *choice.beside)}


def with_tool(tool: Tool) -> Facts:
    return replace(FACTS, tools={**FACTS.tools, tool.id: tool})


def decisions(facts: Facts, faults_of: FaultsOf) -> Iterator[Decision]:
    """A decision for every team, each of them sound."""
    for team, document in TEAMS.items():
        answers = parse_answers(document, facts)
        decision = decide(answers, facts, as_of=AS_OF)
        assert not faults_of(decision, answers, facts), team
        yield decision


@cache
def chosen_today() -> frozenset[str]:
    taken = [chosen(decide(parse_answers(team, FACTS), FACTS, as_of=AS_OF)) for team in TEAMS.values()]
    return frozenset().union(*taken)


def retired(name: str, status: str) -> Facts:
    tool = FACTS.tools[name]
    return with_tool(replace(tool, facts={**tool.facts, "status": replace(tool.status, value=status)}))


def test_the_teams_take_many_different_tools() -> None:
    """Else nothing below would be put to the test."""
    assert len(chosen_today()) > 25


@pytest.mark.parametrize("name", sorted(chosen_today()))
def test_a_tool_that_is_archived_tomorrow_is_never_chosen(name: str, faults_of: FaultsOf) -> None:
    assert all(name not in chosen(decision) for decision in decisions(retired(name, "archived"), faults_of))


@pytest.mark.slow
@pytest.mark.parametrize("status", sorted(DEAD))
@pytest.mark.parametrize("name", NAMES)
def test_no_retired_tool_is_ever_chosen(name: str, status: str, faults_of: FaultsOf) -> None:
    assert all(name not in chosen(decision) for decision in decisions(retired(name, status), faults_of))


def test_many_tools_that_retire_together_leave_sound_decisions(faults_of: FaultsOf) -> None:
    random = Random(SEED)
    for _ in range(6):
        gone = set(random.sample(NAMES, 30))
        tools = {
            name: replace(tool, facts={**tool.facts, "status": replace(tool.status, value="discontinued")})
            if name in gone
            else tool
            for name, tool in FACTS.tools.items()
        }
        facts = replace(FACTS, tools=tools)
        assert all(not chosen(decision) & gone for decision in decisions(facts, faults_of))


def test_a_catalogue_of_which_every_tool_is_gone_ends_in_none_and_not_in_an_exception() -> None:
    dead = {
        name: replace(tool, facts={**tool.facts, "status": replace(tool.status, value="archived")})
        for name, tool in FACTS.tools.items()
    }
    facts = replace(FACTS, tools=dead)
    decision = decide(parse_answers(TEAMS["a growth company on Kubernetes"], facts), facts, as_of=AS_OF)
    assert {choice.verdict for choice in decision.roles.values()} <= {"none", "defer", "skip"}
    assert not decision.complete


@pytest.mark.parametrize("status", ["stale", "relicensed", "deprecated", "acquired_at_risk"])
def test_a_tool_whose_lifecycle_becomes_doubtful_is_taken_only_with_a_warning(status: str, faults_of: FaultsOf) -> None:
    """`faults_of` asks for the warning."""
    for name in sorted(chosen_today())[::3]:
        assert list(decisions(retired(name, status), faults_of))


def aged(tool: Tool, key: str) -> Tool:
    """The tool with one fact read two years ago; `modes` and `ratings` are aged together."""
    if key == "modes":
        return replace(tool, modes=tuple(replace(mode, date=TWO_YEARS_BACK) for mode in tool.modes))
    if key == "ratings":
        return replace(tool, ratings=tuple(replace(rating, date=TWO_YEARS_BACK) for rating in tool.ratings))
    return replace(tool, facts={**tool.facts, key: replace(tool.facts[key], date=TWO_YEARS_BACK)})


def told_ages(decision: Decision, tool: Tool) -> list[str]:
    warned = [warning for choice in decision.roles.values() for warning in choice.warnings]
    return [warning.text for warning in warned if tool.name in warning.text and "731 days" in warning.text]


@pytest.mark.parametrize("name", sorted(chosen_today()))
def test_an_old_lifecycle_of_a_chosen_tool_is_used_with_its_age_beside_it(name: str, faults_of: FaultsOf) -> None:
    tool = FACTS.tools[name]
    for decision in decisions(with_tool(aged(tool, "status")), faults_of):
        assert bool(told_ages(decision, tool)) is (name in chosen(decision))


@pytest.mark.parametrize("name", sorted(chosen_today()))
def test_an_old_price_of_a_chosen_tool_is_used_with_its_age_beside_it(name: str, faults_of: FaultsOf) -> None:
    tool = FACTS.tools[name]
    for decision in decisions(with_tool(aged(tool, "modes")), faults_of):
        assert bool(told_ages(decision, tool)) is (name in chosen(decision))


def test_old_facts_change_no_pick() -> None:
    """Age is told; it is no reason to take another tool."""
    for document in TEAMS.values():
        before = chosen(decide(parse_answers(document, FACTS), FACTS, as_of=AS_OF))
        for name in sorted(before):
            facts = with_tool(aged(aged(FACTS.tools[name], "status"), "modes"))
            assert chosen(decide(parse_answers(document, facts), facts, as_of=AS_OF)) == before


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_any_fact_of_any_tool_may_grow_old(name: str, faults_of: FaultsOf) -> None:
    tool = FACTS.tools[name]
    for key in Random(f"{SEED} {name}").sample((*tool.facts, "modes", "ratings"), 5):
        assert list(decisions(with_tool(aged(tool, key)), faults_of))


@cache
def document_of(name: str) -> tuple[str, dict[str, Any]]:
    text = (SHIPPED / "tools" / f"{name}.toml").read_text("utf-8")
    return text, tomllib.loads(text)


def paths(value: Any, above: Path = ()) -> Iterator[Path]:
    """Every key of a document, and every entry of its lists of tables."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, below in items:
        yield (*above, key)
        if isinstance(below, dict) or (isinstance(below, list) and below and isinstance(below[0], dict)):
            yield from paths(below, (*above, key))


def without(document: dict[str, Any], path: Path) -> dict[str, Any]:
    left = copy.deepcopy(document)
    at: Any = left
    for key in path[:-1]:
        at = at[key]
    del at[path[-1]]
    return left


def refusals(name: str, text: str, document: dict[str, Any]) -> list[str]:
    """What loading the changed file would say: its schema, then names that name nothing."""
    file = f"tools/{name}.toml"
    found = schema_faults({file: text}, {file: document})
    return found or cross_faults(with_tool(read_tool(document)))


def assert_decided_or_refused(name: str, path: Path, faults_of: FaultsOf) -> None:
    text, document = document_of(name)
    less = without(document, path)
    refused = refusals(name, text, less)
    if refused:
        key = next(part for part in reversed(path) if isinstance(part, str))
        assert all(fault.startswith(f"tools/{name}.toml") for fault in refused)
        assert any(key in fault or dotted(path[:-1]) in fault for fault in refused), (path, refused)
    else:
        assert list(decisions(with_tool(read_tool(less)), faults_of))


@pytest.mark.parametrize("name", NAMES)
def test_a_field_that_is_missing_is_done_without_or_refused_by_name(name: str, faults_of: FaultsOf) -> None:
    random = Random(f"{SEED} {name}")
    found = list(paths(document_of(name)[1]))
    for path in random.sample(found, 2):
        assert_decided_or_refused(name, path, faults_of)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_many_fields_that_are_missing_are_done_without_or_refused_by_name(name: str, faults_of: FaultsOf) -> None:
    """A dozen of each tool's: all of them take half an hour."""
    found = list(paths(document_of(name)[1]))
    for path in Random(f"{SEED} {name} many").sample(found, min(12, len(found))):
        assert_decided_or_refused(name, path, faults_of)


@pytest.mark.parametrize("key", sorted(FACTS.questions))
def test_a_question_that_is_missing_is_done_without_or_refused_by_name(key: str, faults_of: FaultsOf) -> None:
    questions = {name: question for name, question in FACTS.questions.items() if name != key}
    facts = replace(FACTS, questions=questions)
    refused = cross_faults(facts)
    assert all(key in fault for fault in refused)
    if not refused:
        section, _, name = key.partition(".")
        for document in TEAMS.values():
            asked = {**document, section: {k: v for k, v in document.get(section, {}).items() if k != name}}
            answers = parse_answers(asked, facts)
            assert not faults_of(decide(answers, facts, as_of=AS_OF), answers, facts)


def scores_of(name: str, facts: Facts, faults_of: FaultsOf) -> dict[tuple[str, str, str], Scored]:
    """The tool's score for each team, role and aspect in which it could be taken."""
    return {
        (team, role, ranking.aspect): scored
        for team, decision in zip(TEAMS, decisions(facts, faults_of), strict=True)
        for role, choice in decision.roles.items()
        for ranking in choice.rankings
        for scored in ranking.tools
        if scored.tool == name
    }


def loaded(folder: pathlib.Path) -> tuple[Facts | None, tuple[str, ...]]:
    """The facts in the folder, or why they are refused."""
    try:
        return load_facts(folder), ()
    except RefusedInput as refused:
        return None, refused.faults


OTHER_FILES = sorted(
    file.relative_to(SHIPPED).as_posix() for file in SHIPPED.rglob("*.toml") if file.parent.name != "tools"
)


@pytest.mark.slow
@pytest.mark.parametrize("file", OTHER_FILES)
def test_a_field_missing_in_any_other_file_is_done_without_or_refused(
    file: str, tmp_path: pathlib.Path, faults_of: FaultsOf
) -> None:
    """Through the loader, as a folder of the user's own."""
    folder = tmp_path / "facts"
    shutil.copytree(SHIPPED, folder, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    document = tomllib.loads((SHIPPED / file).read_text("utf-8"))
    found = list(paths(document))
    for path in Random(f"{SEED} {file}").sample(found, min(3, len(found))):
        (folder / file).write_text(tomli_w.dumps(without(document, path)), "utf-8")
        facts, refused = loaded(folder)
        assert all(".toml" in fault for fault in refused), (path, refused)
        assert refused or (facts is not None and list(decisions(facts, faults_of))), path


def test_a_tool_without_any_rating_is_decided_with_a_wider_interval(faults_of: FaultsOf) -> None:
    """An unknown rating is unknown, never average: the interval tells it."""
    compared = 0
    for name in sorted(chosen_today())[::6]:
        known = scores_of(name, FACTS, faults_of)
        unknown = scores_of(name, with_tool(replace(FACTS.tools[name], ratings=())), faults_of)
        for slot in known.keys() & unknown.keys():
            (low, high), (lowest, highest) = known[slot].interval, unknown[slot].interval
            assert lowest <= low <= high <= highest
            compared += (low, high) != (lowest, highest)
    assert compared > 5


def test_facts_without_pairs_criteria_or_migrations_still_decide(faults_of: FaultsOf) -> None:
    for less in (
        replace(FACTS, pairs=()),
        replace(FACTS, migrations=()),
        replace(FACTS, criteria=tuple(one for one in FACTS.criteria if one.computed)),
        replace(FACTS, stacks=(), contradictions=()),
    ):
        assert list(decisions(less, faults_of))
