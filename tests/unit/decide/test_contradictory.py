"""Answers that can't all be true of one team are found; those that can are left in peace."""

from collections.abc import Callable
from typing import Any

import pytest

from stackproof.decide import Answers
from stackproof.decide.contradictory import RULES, find
from stackproof.facts import Facts
from stackproof.facts.model import DEAD
from stackproof.roles import ROLES

Say = Callable[..., Answers]

CONTRADICTING: dict[str, dict[str, dict[str, Any]]] = {
    "people": {"organization": {"people": 3, "data_scientists": 2, "ml_engineers": 2}},
    "nobody-builds": {"organization": {"data_scientists": 0, "ml_engineers": 0}},
    "authors-data-scientists": {"organization": {"data_scientists": 0}},
    "authors-ml-engineers": {"organization": {"pipeline_authors": "ml-engineers", "ml_engineers": 0}},
    "one-person-shares": {
        "organization": {"people": 1, "ml_engineers": 0},
        "needs": {"teams_sharing_features": True},
    },
    "skill-without-kubernetes": {"infrastructure": {"kubernetes_skill": "strong"}},
    "kubernetes-without-skill": {"infrastructure": {"kubernetes": "at-scale"}},
    "kubernetes-first-without": {"priorities": {"serving": "kubernetes"}},
    "databricks-without-cloud": {"infrastructure": {"databricks": True}},
    "databricks-first-without": {"priorities": {"features": "databricks"}},
    "aws-first-without": {"priorities": {"orchestration": "aws"}},
    "managed-first-features": {
        "priorities": {"features": "managed"}, "infrastructure": {"hosting": "self-hosted-only"},
    },
    "managed-first-serving": {
        "priorities": {"serving": "managed"}, "infrastructure": {"hosting": "self-hosted-only"},
    },
    "stage-before-production": {"use_case": {"stage": "research"}},
    "production-without-models": {"use_case": {"models_in_production": 0}},
    "models-without-predictions": {"use_case": {"workloads": []}},
    "patterns-without-traffic": {"needs": {"deployment_patterns": ["canary"]}},
    "rag-without-llm": {"use_case": {"rag": True}},
    "llm-first-serving": {"priorities": {"serving": "llm"}},
    "llm-first-monitoring": {"priorities": {"monitoring": "llm"}},
    "llm-without-gpu": {"use_case": {"llm": "self-hosted"}},
    "schedule-without-pipelines": {"use_case": {"pipelines": [], "scheduling": "complex"}},
    "dynamic-without-pipelines": {"use_case": {"pipelines": [], "dynamic_workflows": True}},
    "distributed-without-search": {"needs": {"distributed_tuning": True, "hyperparameter_search": "none"}},
    "search-first-without": {
        "priorities": {"tracking": "hyperparameter-search"}, "needs": {"hyperparameter_search": "none"},
    },
    "critical-without-alerts": {"needs": {"drift": "critical", "alerting": False}},
    "latency-without-traffic": {"use_case": {"latency_ms": 5}},
    "hosting-tracking": {
        "infrastructure": {"hosting": "self-hosted-only", "databricks": True, "cloud": "aws"},
        "current": {"tracking": "databricks-mlflow"},
    },
    "hosting-orchestration": {
        "infrastructure": {"hosting": "managed-only", "kubernetes": "available"},
        "current": {"orchestration": "kubeflow-pipelines"},
    },
    "budget-tracking": {"current": {"tracking": "wandb"}},
    "licences-tracking": {
        "infrastructure": {"licences": "open-source-only"},
        "organization": {"budget_usd_per_year": 50_000},
        "current": {"tracking": "wandb"},
    },
    "cloud-serving": {
        "organization": {"budget_usd_per_year": 500_000}, "current": {"serving": "sagemaker-endpoints"},
    },
    "databricks-tracking": {"current": {"tracking": "databricks-mlflow"}},
    "kubernetes-orchestration": {"current": {"orchestration": "kubeflow-pipelines"}},
    "frameworks-serving": {"current": {"serving": "tf-serving"}},
    "gpu-serving": {"current": {"serving": "tensorrt-llm"}},
    "role-features": {"current": {"features": "optuna"}},
}  # fmt: skip


@pytest.mark.parametrize("id_", CONTRADICTING)
def test_what_can_not_be_true_together_is_found_with_the_answers_that_meet(
    answered: Say, facts: Facts, id_: str
) -> None:
    found = {one.id: one for one in find(answered(**CONTRADICTING[id_]), facts)}
    assert id_ in found
    one = found[id_]
    given = {f"{section}.{name}" for section, table in CONTRADICTING[id_].items() for name in table}
    assert given & set(one.keys)
    assert set(one.keys) <= facts.questions.keys()
    assert set(one.roles) <= set(ROLES)
    assert one.text
    assert not one.text.endswith(".")


def test_every_rule_is_tried() -> None:
    assert {rule.id for rule in RULES} <= CONTRADICTING.keys()


def test_what_is_assumed_where_nothing_is_said_does_not_contradict_itself(answered: Say, facts: Facts) -> None:
    assert find(answered(), facts) == ()


@pytest.mark.parametrize(
    "team",
    [
        {"use_case": {"stage": "research", "models_in_production": 0}},
        {"infrastructure": {"kubernetes": "available", "kubernetes_skill": "none"}},
        {"use_case": {"llm": "self-hosted", "rag": True}, "infrastructure": {"gpu": "nvidia"}},
        {"use_case": {"workloads": ["streaming"], "latency_ms": 20}, "needs": {"deployment_patterns": ["canary"]}},
        {"current": {"tracking": "wandb"}, "organization": {"academic": True}},
        {"current": {"tracking": "wandb"}, "organization": {"budget_usd_per_year": 20_000}},
        {"infrastructure": {"cloud": "multi"}, "priorities": {"orchestration": "aws"}},
        {"organization": {"people": 5, "data_scientists": 2, "ml_engineers": 2, "platform_engineers": 1}},
    ],
)
def test_answers_of_a_team_that_may_well_exist_are_left_in_peace(
    answered: Say, facts: Facts, team: dict[str, Any]
) -> None:
    assert find(answered(**team), facts) == ()


def test_a_tool_that_is_gone_is_no_answers_fault(answered: Say, facts: Facts) -> None:
    gone = [tool for tool in facts.tools.values() if tool.status.value in DEAD]
    assert gone
    for tool in gone:
        for role in tool.roles:
            answers = answered(infrastructure={"hosting": "self-hosted-only"}, current={role: tool.id})
            assert find(answers, facts) == ()


def test_which_answers_were_given_makes_no_difference(answered: Say, facts: Facts) -> None:
    said = answered(use_case={"stage": "research"})
    written_down = Answers(said.values, frozenset(facts.questions), said.weights)
    assert find(said, facts) == find(written_down, facts) != ()


def test_a_price_that_no_source_gives_is_said_to_be_assumed(answered: Say, facts: Facts) -> None:
    found = find(answered(current={"monitoring": "fiddler"}), facts)
    (about_money,) = (one for one in found if one.id == "budget-monitoring")
    assert "(assumed: no source gives its price)" in about_money.text
