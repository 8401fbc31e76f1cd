"""What a decision says, beyond which tool."""

import datetime
import json
from collections.abc import Callable
from dataclasses import replace

from stackproof.decide import Answers, Decision, decide, decided_stack
from stackproof.decide.markdown import decision_record
from stackproof.facts import Facts

Decided = Callable[..., Decision]

DOCUMENT_KEYS = [
    "stackproof", "schema", "as_of", "facts_digest", "answers", "assumed", "roles", "alternative_stacks", "cost",
    "resolution", "readiness", "conflicts",
]  # fmt: skip
ROLE_KEYS = [
    "verdict", "tool", "with", "until", "score", "interval", "stability", "environment", "hours_per_month", "because",
    "reasons", "warnings", "alternatives", "rejected", "flips", "migration",
]  # fmt: skip


def test_the_document_has_every_key_of_the_documented_shape(decided: Decided) -> None:
    document = json.loads(json.dumps(decided(sensitivity=True).to_document()))
    assert list(document) == DOCUMENT_KEYS
    assert all(list(role) == ROLE_KEYS for role in document["roles"].values())
    assert list(document["cost"]) == [
        "currency", "per", "licences", "infrastructure", "people", "total", "three_years", "assumptions",
    ]  # fmt: skip
    assert document["as_of"] == "2026-11-21"
    assert document["answers"]["organization"]["people"] == 12


def test_assumptions_say_for_which_roles_they_matter(decided: Decided) -> None:
    decision = decided(sensitivity=True, use_case={"workloads": ["realtime"]})
    assumed = {item.key: item for item in decision.assumed}
    assert "use_case.workloads" not in assumed
    assert "orchestration" in assumed["organization.pipeline_authors"].matters_for
    assert "automl" in assumed["needs.automl"].matters_for
    assert assumed["organization.engineer_usd_per_hour"].matters_for == ()


def test_a_dead_tool_in_use_gets_a_migration_from_what_the_facts_say(decided: Decided) -> None:
    migration = decided(current={"tracking": "neptune"}).roles["tracking"].migration
    assert migration is not None
    assert migration.source_tool == "neptune"
    assert any("neptune-exporter" in step for step in migration.steps)


def test_a_tool_that_stays_needs_no_migration(decided: Decided) -> None:
    assert decided(current={"tracking": "mlflow"}).roles["tracking"].migration is None


def test_the_weakest_question_comes_first(decided: Decided) -> None:
    readiness = decided(readiness={"reproduce": "yes", "notice": "partly", "trace": "no"}).readiness
    assert readiness.weakest == "trace"
    assert readiness.order[0] == "versioning"
    done = decided(readiness={"reproduce": "yes", "notice": "yes", "trace": "yes"}).readiness
    assert done.weakest is None
    assert done.because


def test_facts_from_after_the_day_of_the_decision_are_said_to_be_so(
    facts: Facts, answered: Callable[..., Answers]
) -> None:
    early = decide(answered(), facts, as_of=datetime.date(2026, 1, 1))
    assert any("is not recorded" in warned.text for warned in early.roles["tracking"].warnings)


def test_what_is_long_known_is_said_to_be_old(facts: Facts, answered: Callable[..., Answers]) -> None:
    late = decide(answered(), facts, as_of=datetime.date(2027, 11, 21))
    assert any("365 days old" in warned.text for warned in late.roles["tracking"].warnings)


def test_licences_are_a_range_and_name_the_unverified_price(decided: Decided) -> None:
    decision = decided(
        organization={"people": 100, "data_scientists": 5, "ml_engineers": 5, "budget_usd_per_year": 30000},
        needs={"collaboration": "central"},
    )
    assert decision.roles["tracking"].tool == "wandb"
    assert decision.cost.licences == (20000, 24000)
    assert any("not verified" in item.text for item in decision.cost.assumptions)


def test_the_total_is_the_sum_of_its_parts_each_tool_counted_once(decided: Decided) -> None:
    cost = decided(organization={"people": 100, "budget_usd_per_year": 30000}).cost
    parts = (cost.licences, cost.infrastructure, cost.people)
    assert cost.total == tuple(sum(part[end] for part in parts if part) for end in (0, 1))
    assert cost.three_years == tuple(3 * end for end in cost.total)


def test_two_paid_tools_share_one_budget(decided: Decided) -> None:
    """Either is affordable alone; together they are not, and the later role takes the next."""
    team = {"people": 3000, "data_scientists": 10, "ml_engineers": 10, "safety_critical": True}
    first = {"tracking": "collaboration"}
    rich = decided(organization=team | {"budget_usd_per_year": 200000}, priorities=first)
    poor = decided(organization=team | {"budget_usd_per_year": 60000}, priorities=first)
    assert (rich.roles["tracking"].tool, rich.roles["monitoring"].tool) == ("wandb", "arize")
    assert (poor.roles["tracking"].tool, poor.roles["monitoring"].tool) == ("wandb", "evidently")
    kept_back = {other.tool: other.why_not for other in poor.roles["monitoring"].alternatives}
    assert "more than the budget" in kept_back["arize"]


def test_a_paid_tool_is_outvoted_by_its_doubtful_lifecycle(decided: Decided, facts: Facts) -> None:
    at_scale = {"kubernetes": "at-scale", "kubernetes_skill": "strong"}
    organization = {"people": 3000, "budget_usd_per_year": 900000}
    use_case = {"workloads": ["realtime"]}
    needs = {"deployment_patterns": ["canary"]}
    decision = decided(organization=organization, infrastructure=at_scale, use_case=use_case, needs=needs)
    assert decision.roles["serving"].tool == "kserve"
    assert any("Seldon Core" in found.text and found.followed == "kserve" for found in decision.conflicts)


def test_the_record_is_in_the_form_of_madr(decided: Decided) -> None:
    text = decision_record(decided(sensitivity=True))
    headings = [line for line in text.splitlines() if line.startswith("## ")]
    assert headings[:4] == [
        "## Context and Problem Statement",
        "## Decision Drivers",
        "## Considered Options",
        "## Decision Outcome",
    ]
    assert "| tracking | use | mlflow |" in text


def test_tools_without_an_adapter_are_kept_in_the_stack(decided: Decided) -> None:
    stack = decided_stack(decided(), "team")
    assert stack.project == "team"
    assert (stack.roles["monitoring"].tool, stack.roles["monitoring"].environment) == ("evidently", "own")
    assert stack.roles["monitoring"].beside == ("prometheus", "grafana")
    assert stack.roles["serving"].tool == "embedded"
    assert "until" in stack.roles["serving"].deferred
    assert stack.roles["automl"].deferred.startswith("not needed")


def test_a_decision_does_not_depend_on_the_order_of_the_catalogue(
    facts: Facts, answered: Callable[..., Answers]
) -> None:
    backwards = replace(facts, tools=dict(reversed(facts.tools.items())))
    day = datetime.date(2026, 11, 21)
    one, other = decide(answered(), facts, as_of=day), decide(answered(), backwards, as_of=day)
    assert {role: c.tool for role, c in one.roles.items()} == {role: c.tool for role, c in other.roles.items()}
