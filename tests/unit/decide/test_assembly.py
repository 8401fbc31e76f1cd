"""The whole stack: budget, requirements, hours and pairs decide beside the scores."""

import datetime
from collections.abc import Callable
from dataclasses import replace

import pytest

from stackproof.decide import Answers, Decision, decide
from stackproof.decide.choice import choose_all
from stackproof.facts import Facts
from stackproof.facts.model import Pair
from stackproof.roles import ROLES

AS_OF = datetime.date(2026, 11, 21)
Answered = Callable[..., Answers]
Decided = Callable[..., Decision]


def pair(kind: str, one: str, other: str) -> Pair:
    return Pair((one, other), kind, f"{one} and {other}", "tests", None, "high")


def tools(facts: Facts, answers: Answers) -> dict[str, tuple[str, ...]]:
    return {role: choice.tools for role, choice in choose_all(answers, facts).items()}


def test_two_tools_that_hinder_each_other_are_not_chosen_together(facts: Facts, answered: Answered) -> None:
    answers = answered()
    before = tools(replace(facts, pairs=()), answers)
    one, other = before["tracking"][0], before["orchestration"][0]
    hindered = replace(facts, pairs=(pair("conflicts", one, other),))
    after = tools(hindered, answers)
    assert (after["tracking"][0], after["orchestration"][0]) != (one, other)
    said = [
        reason
        for role in decide(answers, hindered, as_of=AS_OF).roles.values()
        for reason in role.reasons
        if reason.kind == "integration" and "makes the better whole stack" in reason.text
    ]
    assert said


def test_a_tool_that_requires_another_is_never_chosen_without_it(facts: Facts, answered: Answered) -> None:
    for collaboration in ("none", "central"):
        for budget in (0, 100000):
            answers = answered(
                organization={"budget_usd_per_year": budget},
                needs={"collaboration": collaboration, "hyperparameter_search": "primary"},
            )
            chosen = {name for named in tools(facts, answers).values() for name in named}
            assert "wandb-sweeps" not in chosen or "wandb" in chosen


def test_the_budget_holds_for_the_stack_as_a_whole(facts: Facts, answered: Answered) -> None:
    for budget in (0, 5000, 20000, 60000, 120000, 500000):
        answers = answered(
            organization={"people": 3000, "budget_usd_per_year": budget, "safety_critical": True},
            priorities={"tracking": "collaboration"},
        )
        picked = {
            one.pick.tool: one.pick.way.price.floor
            for choice in choose_all(answers, facts).values()
            for one in choice.elected
            if one.pick is not None
        }
        assert sum(picked.values()) <= budget


def test_a_team_without_hours_gets_a_stack_that_takes_fewer(facts: Facts, answered: Answered) -> None:
    """With overload weighed heavily, fewer people never get more to operate."""
    heavy = replace(facts, scales=replace(facts.scales, stack={**facts.scales.stack, "overload": 5.0}))
    common = {"infrastructure": {"kubernetes": "at-scale"}, "use_case": {"workloads": ["realtime"]}}
    few = decide(answered(organization={"ml_engineers": 1, "data_scientists": 1}, **common), heavy, as_of=AS_OF)
    light = decide(answered(organization={"ml_engineers": 1, "data_scientists": 1}, **common), facts, as_of=AS_OF)
    assert few.hours_per_month is not None
    assert light.hours_per_month is not None
    assert sum(few.hours_per_month) <= sum(light.hours_per_month)


def test_a_tool_in_two_roles_counts_once_in_cost_and_hours(decided: Decided) -> None:
    decision = decided(organization={"budget_usd_per_year": 0})
    chosen = [name for role in decision.roles.values() if role.verdict == "use" for name in (role.tool, *role.beside)]
    said = [item.text for item in decision.cost.assumptions if "of infrastructure a month" in item.text]
    assert len(said) == len(set(said))
    assert len(said) <= len(set(chosen))


def test_other_stacks_differ_in_kind_and_say_in_what(decided: Decided) -> None:
    decision = decided(
        organization={"people": 200, "budget_usd_per_year": 60000, "ml_engineers": 6, "platform_engineers": 2},
        infrastructure={"kubernetes": "at-scale", "kubernetes_skill": "some", "cloud": "aws"},
        use_case={"workloads": ["realtime"], "models_in_production": 20},
        needs={"lock_in": "accept"},
    )
    others = decision.alternative_stacks
    assert len(others) >= 2
    mine = {role: (c.tool, *c.beside) for role, c in decision.roles.items() if c.verdict == "use"}
    stacks = [mine, *(dict(other.roles) for other in others)]
    assert all(one != two for place, one in enumerate(stacks) for two in stacks[:place])
    for other in others:
        assert set(other.roles) <= set(ROLES)
        assert " instead of " in other.differs_because
        assert 0 < other.score <= 1
    kinds = {other.kind: other for other in others}
    if "cheapest" in kinds:
        cheapest, cost = kinds["cheapest"].cost.total, decision.cost.total
        assert cheapest is not None
        assert cost is not None
        assert sum(cheapest) <= sum(cost)
    if "fewest-to-operate" in kinds:
        assert decision.hours_per_month is not None
        assert sum(kinds["fewest-to-operate"].hours_per_month) <= sum(decision.hours_per_month)


def test_an_alternative_that_the_budget_forbids_says_so(decided: Decided) -> None:
    team = {"people": 3000, "data_scientists": 10, "ml_engineers": 10, "safety_critical": True}
    poor = decided(organization=team | {"budget_usd_per_year": 60000}, priorities={"tracking": "collaboration"})
    kept_back = {other.tool: other.why_not for role in poor.roles.values() for other in role.alternatives}
    assert "more than the budget" in kept_back["arize"]


@pytest.mark.parametrize("role", ROLES)
def test_the_trace_of_a_role_starts_with_its_gates(decided: Decided, role: str) -> None:
    path = decided().roles[role].path
    assert path[0].kind == "gate"
    assert all(step.source for step in path[0].below)
