"""Where no tool is left: which constraints together leave none, and the cheapest one to relax."""

from collections.abc import Iterator
from itertools import combinations, islice

from stackproof.decide.answers import Answers
from stackproof.decide.choice import Judged, candidates, choose_all
from stackproof.decide.reach import CONSTRAINT_KEYS, Rejection, price_of
from stackproof.facts.model import Facts, Value

MOST_TOGETHER = 3
MOST_TRIED = 400


def why_none(role: str, answers: Answers, facts: Facts, judged: Judged) -> tuple[str, ...]:
    """The constraints, each with what it strikes out; then the fewest to relax, those first that cost least."""
    struck: dict[str, list[str]] = {}
    for tool in candidates(role, facts):
        way = judged[tool.id]
        if isinstance(way, Rejection):
            struck.setdefault(way.key, []).append(tool.id)
    lines = [_line(key, struck[key], answers) for key in (*CONSTRAINT_KEYS, "") if key in struck]
    return (*lines, _cheapest(role, answers, facts))


def _line(key: str, tools: list[str], answers: Answers) -> str:
    if not key:
        return f"Lifecycle strikes out {', '.join(tools)}"
    return f"{key} = {_shown(answers[key])} strikes out {', '.join(tools)}"


def _cheapest(role: str, answers: Answers, facts: Facts) -> str:
    for together in range(1, MOST_TOGETHER + 1):
        tries = (
            change
            for keys in combinations(CONSTRAINT_KEYS, together)
            for change in _changes(keys, role, answers, facts)
        )
        for change in islice(tries, MOST_TRIED):
            relaxed = answers
            for key, value in change:
                relaxed = relaxed.changed(key, value)
            found = choose_all(relaxed, facts)[role]
            if found.tool is not None:
                changes = " and ".join(f"{key} = {_shown(value)}" for key, value in change)
                return f"Cheapest to relax: {changes}; then {found.tool} is left"
    return "No change of up to three constraints leaves a tool: every tool of this role is out of maintenance"


def _changes(
    keys: tuple[str, ...], role: str, answers: Answers, facts: Facts
) -> Iterator[tuple[tuple[str, Value], ...]]:
    """Every way of relaxing all of `keys` at once."""
    if not keys:
        yield ()
        return
    for value in _relaxed(keys[0], role, answers, facts):
        for rest in _changes(keys[1:], role, answers, facts):
            yield ((keys[0], value), *rest)


def _relaxed(key: str, role: str, answers: Answers, facts: Facts) -> list[Value]:
    """Looser values of one answer, the mildest first; none where it constrains nothing."""
    looser: dict[str, list[Value]] = {
        "infrastructure.licences": ["source-available", "any"],
        "infrastructure.hosting": ["either"],
        "infrastructure.kubernetes": ["available"],
        "infrastructure.cloud": ["aws", "gcp", "azure"],
        "infrastructure.databricks": [True],
        "infrastructure.gpu": ["nvidia"],
        "use_case.frameworks": [()],
        "needs.audit": [False],
        "organization.compliance": [()],
    }
    if key == "organization.budget_usd_per_year":
        return _budgets(role, answers, facts)
    return [value for value in looser.get(key, []) if value != answers[key]]


def _budgets(role: str, answers: Answers, facts: Facts) -> list[Value]:
    prices = {price_of(mode, answers).floor for tool in candidates(role, facts) for mode in tool.modes}
    return [price for price in sorted(prices) if price > answers.number("organization.budget_usd_per_year")]


def _shown(value: Value) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(value)}]"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:,.0f}" if isinstance(value, (int, float)) else str(value)
