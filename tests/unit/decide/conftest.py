"""Facts, answers of every kind, and what must hold of any decision."""

import datetime
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from stackproof.decide import Answers, Decision, decide, parse_answers
from stackproof.decide.decision import Reason, Rejected, RoleDecision, Scored, Warned
from stackproof.facts import Facts, load_facts
from stackproof.facts.model import DEAD, DOUBTFUL, Mode, Tool
from stackproof.roles import ROLES

AS_OF = datetime.date(2026, 11, 21)
CITED = re.compile(
    r"^(00\d_[0-9a-f]{16}\.txt|facts of [a-z0-9, -]+: .|facts/[a-z]|proof of |your answers|stackproof: |"
    r"https?://|github\.com/|(documentation|README|release notes) of |articles on |background knowledge)"
)
UNDATED = re.compile(r"undated|no rating is known|^(stackproof: |facts/|your answers|background knowledge)")
"""Says that there is no date, or is of a kind that has none."""
SLIGHT = 1e-4
"""What rounding takes."""


@pytest.fixture(scope="session")
def facts() -> Facts:
    return load_facts()


@pytest.fixture(scope="session")
def answered(facts: Facts) -> Callable[..., Answers]:
    """Answers from sections given as keywords; what is left out is assumed."""

    def read(**sections: dict[str, Any]) -> Answers:
        return parse_answers(sections, facts)

    return read


@pytest.fixture(scope="session")
def decided(facts: Facts, answered: Callable[..., Answers]) -> Callable[..., Decision]:
    """The decision for sections given as keywords."""

    def run(*, sensitivity: bool = False, **sections: dict[str, Any]) -> Decision:
        return decide(answered(**sections), facts, as_of=AS_OF, sensitivity=sensitivity)

    return run


@pytest.fixture(scope="session")
def faults_of() -> Callable[[Decision, Answers, Facts], list[str]]:
    """What does not hold of a decision that must hold of all; the constraints are stated again, from the facts."""

    def find(decision: Decision, answers: Answers, facts: Facts) -> list[str]:
        assert tuple(decision.roles) == ROLES
        found = [fault for role, choice in decision.roles.items() for fault in _role_faults(role, choice, facts)]
        found += [fault for role, choice in decision.roles.items() for fault in _order_faults(role, choice, answers)]
        chosen = sorted({name for choice in decision.roles.values() for name in _chosen(choice)})
        found += [f"{name}: {fault}" for name in chosen for fault in _broken_constraints(facts.tools[name], answers)]
        floor = sum(_least_price(facts.tools[name], answers) for name in chosen)
        if floor > answers.number("organization.budget_usd_per_year"):
            found.append(f"the stack costs at least {floor}, above the budget")
        return [*found, *_cost_faults(decision)]

    return find


def _chosen(choice: RoleDecision) -> tuple[str, ...]:
    return (choice.tool or "", *choice.beside) if choice.verdict == "use" else ()


def _role_faults(role: str, choice: RoleDecision, facts: Facts) -> Iterator[str]:
    expected = {"use": True, "defer": True, "skip": False, "none": False}
    if choice.verdict not in expected or (choice.tool is not None) is not expected[choice.verdict]:
        yield f"{role}: verdict {choice.verdict} with tool {choice.tool}"
    if (choice.tool == "embedded") is not (choice.verdict == "defer"):
        yield f"{role}: verdict {choice.verdict} with tool {choice.tool}"
    if not choice.reasons:
        yield f"{role}: no reason"
    if choice.verdict == "none":
        relaxing = any(line.startswith(("Cheapest to relax: ", "No change of up to")) for line in choice.because)
        if len(choice.because) < 2 or not relaxing:
            yield f"{role}: none without the constraints and the cheapest to relax: {choice.because}"
    elif choice.because:
        yield f"{role}: {choice.verdict} because {choice.because}"
    cited: list[Reason | Warned | Rejected] = [*choice.reasons, *choice.warnings, *choice.rejected]
    for entry in cited:
        if not CITED.match(entry.source):
            yield f"{role}: no source that could be looked up: {entry}"
        if entry.date is None and not UNDATED.search(entry.source):
            yield f"{role}: a source without a date that does not say so: {entry}"
    yield from _lifecycle_faults(role, choice, facts)
    yield from _score_faults(role, choice)


def _lifecycle_faults(role: str, choice: RoleDecision, facts: Facts) -> Iterator[str]:
    struck = {entry.tool for entry in choice.rejected}
    for name in _chosen(choice):
        tool = facts.tools[name]
        status = str(tool.status.value)
        if status in DEAD or name in struck:
            yield f"{role}: {name} is chosen, {status}, struck out: {name in struck}"
        if status in DOUBTFUL and not any(tool.name in warned.text for warned in choice.warnings):
            yield f"{role}: {name} is {status}, and no warning says so"


def _order_faults(role: str, choice: RoleDecision, answers: Answers) -> Iterator[str]:
    """Best first, save where the team stated a priority, whose tools go before better ones."""
    if answers.values.get(f"priorities.{role}") is not None:
        return
    for ranking in choice.rankings:
        scores = [scored.score for scored in ranking.tools]
        if scores != sorted(scores, reverse=True):
            yield f"{role}: a ranking out of order: {scores}"


def _score_faults(role: str, choice: RoleDecision) -> Iterator[str]:
    for scored in (scored for ranking in choice.rankings for scored in ranking.tools):
        yield from (f"{role}: {fault}" for fault in _rating_faults(scored))
    if choice.verdict == "use":
        low, high = choice.interval or (1, 0)
        if choice.score is None or not low - SLIGHT <= choice.score <= high + SLIGHT:
            yield f"{role}: {choice.tool} scores {choice.score} in {choice.interval}"
    if choice.stability is not None and not 0 <= choice.stability <= 1:
        yield f"{role}: stability {choice.stability}"


def _rating_faults(scored: Scored) -> Iterator[str]:
    low, high = scored.interval
    if not 0 <= low <= scored.score <= high <= 1:
        yield f"{scored.tool} scores {scored.score} in {scored.interval}"
    for one in scored.criteria:
        if not 0 <= one.rating[0] <= one.rating[1] <= 1 or not 0 <= one.weight <= 10 or not one.source:
            yield f"{scored.tool}: {one}"


def _broken_constraints(tool: Tool, answers: Answers) -> Iterator[str]:
    if not _allowed_modes(tool, answers):
        yield "no form of it keeps to the hosting and Kubernetes that there are"
    licences, kind = answers["infrastructure.licences"], tool.text("licence_kind")
    allowed = {"open-source-only": ("open-source",), "source-available": ("open-source", "source-available")}
    if licences != "any" and kind not in allowed[str(licences)]:
        yield f"its licence is {kind}"
    used, supported = set(answers.names("use_case.frameworks")), set(tool.names("frameworks"))
    if supported and not used <= supported:
        yield f"it supports {sorted(supported)} only"
    if tool.text("gpu") not in ("", answers["infrastructure.gpu"]):
        yield "it needs other GPUs"
    strict = {"finance", "hipaa"} & set(answers.names("organization.compliance"))
    if tool.text("audit") == "no" and (strict or answers["needs.audit"]):
        yield "it has no audit"
    if not _on_a_cloud_of_theirs(set(tool.names("cloud")), answers):
        yield f"it binds to {tool.names('cloud')}"


def _on_a_cloud_of_theirs(bound: set[str], answers: Answers) -> bool:
    cloud = answers["infrastructure.cloud"]
    if not bound or cloud in bound:
        return True
    if "databricks" in bound:
        return answers["infrastructure.databricks"] is True
    return cloud == "multi" and answers["needs.lock_in"] == "accept"


def _allowed_modes(tool: Tool, answers: Answers) -> list[Mode]:
    forbidden = {"self-hosted-only": "managed", "managed-only": "self-hosted"}.get(
        answers.text("infrastructure.hosting")
    )
    return [
        mode
        for mode in tool.modes
        if mode.hosting != forbidden and not (mode.kubernetes and answers["infrastructure.kubernetes"] == "none")
    ]


def _least_price(tool: Tool, answers: Answers) -> float:
    """The least that it certainly costs in US dollars a year; 1 where it costs an amount that no source gives."""
    return min((_price(mode, answers) for mode in _allowed_modes(tool, answers)), default=0.0)


def _price(mode: Mode, answers: Answers) -> float:
    builders = answers.number("organization.data_scientists") + answers.number("organization.ml_engineers")
    seats = max(1, builders)
    if mode.cost in ("free", "included") or ("academic" in mode.free_for and answers["organization.academic"]):
        return 0
    if mode.usd_per_year is not None:
        return mode.usd_per_year[0]
    if mode.usd_per_seat_year is None:
        return 1
    return 0 if seats <= mode.free_seats else mode.usd_per_seat_year[0] * seats


def _cost_faults(decision: Decision) -> Iterator[str]:
    cost = decision.cost
    parts = [cost.licences, cost.infrastructure, cost.people]
    for part in (*parts, cost.total, cost.three_years, decision.hours_per_month):
        if part is not None and not 0 <= part[0] <= part[1]:
            yield f"a range that is none: {part}"
    known = [part for part in parts if part is not None]
    if cost.total is not None:
        sums = (sum(part[0] for part in known), sum(part[1] for part in known))
        if any(abs(one - other) > 1 for one, other in zip(sums, cost.total, strict=True)):
            yield f"the parts {known} don't add up to {cost.total}"
        if cost.three_years is None or abs(cost.three_years[1] - 3 * cost.total[1]) > 3:
            yield f"three years {cost.three_years} are not three times {cost.total}"
    if not cost.assumptions:
        yield "a cost without assumptions"
