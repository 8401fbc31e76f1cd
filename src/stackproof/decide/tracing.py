"""The whole trace of one role, in the order in which it was decided."""

from collections.abc import Iterator

from stackproof.decide.answers import Answers
from stackproof.decide.choice import Choice, Elected, Judged, candidates
from stackproof.decide.citing import document, of_tool
from stackproof.decide.conditions import gate_closes, holds
from stackproof.decide.decision import Ranking, Step
from stackproof.decide.reach import Rejection
from stackproof.decide.reasons import counted
from stackproof.facts.model import Branch, Condition, Facts, Value

WORDS = {
    "is": "is", "in": "is one of", "below": "is below", "above": "is above", "at_least": "is at least",
    "at_most": "is at most", "has": "has any of", "lacks": "has none of", "only": "has only", "given": "is given:",
}  # fmt: skip


def path(choice: Choice, answers: Answers, facts: Facts, judged: Judged) -> tuple[Step, ...]:
    """Gates, dealbreakers, then for each aspect its rules, its ranking and the pick."""
    steps = [_gates(choice, answers, facts)]
    if choice.gate is None:
        steps.append(_dealbreakers(choice, facts, judged))
        steps += [_aspect(elected, answers, facts) for elected in choice.elected]
    return tuple(steps)


def rankings(choice: Choice) -> tuple[Ranking, ...]:
    """The tools in reach for each aspect, best first, on every criterion."""
    return tuple(
        Ranking(
            one.aspect,
            tuple(candidate.scored for candidate in one.slot.candidates),
            one.pick.tool if one.pick else None,
        )
        for one in choice.elected
    )


def _gates(choice: Choice, answers: Answers, facts: Facts) -> Step:
    below = [
        Step(
            f"{gate.verdict}: {gate.text}",
            "gate",
            gate_closes(gate, answers),
            document(facts, gate.source, gate.place),
            facts.sources[gate.source].date,
            tuple(_condition(condition, answers) for condition in gate.when),
        )
        for gate in facts.gates
        if gate.role == choice.role
    ]
    text = "Is the role needed yet?" if below else "The role has no gate: it is always decided"
    return Step(text, "gate", choice.gate is None, below=tuple(below))


def _dealbreakers(choice: Choice, facts: Facts, judged: Judged) -> Step:
    below = []
    for tool in candidates(choice.role, facts):
        way = judged[tool.id]
        if isinstance(way, Rejection):
            source = of_tool(tool, way.source, dated=way.date is not None)
            below.append(Step(f"{tool.name}: {way.because}", way.kind, None, source, way.date))
    many = "1 tool" if len(below) == 1 else f"{len(below)} tools"
    return Step(f"Dealbreakers strike out {many}", "constraint", None, below=tuple(below))


def _aspect(elected: Elected, answers: Answers, facts: Facts) -> Step:
    about = elected.aspect or "the whole role"
    role = elected.slot.role
    branches = [one for one in facts.trees[role].branches if one.aspect == elected.aspect]
    rules = [_branch(branch, branch in elected.election.held, answers, facts) for branch in branches]
    held = sum(1 for rule in rules if rule.held)
    below = (
        Step(f"{held} of {len(rules)} rules hold", "tree", None, below=tuple(rules)),
        Step("Scores of the tools in reach", "criterion", None, below=tuple(_scores(elected, facts))),
    )
    pick = elected.pick
    text = f"{about}: {facts.tools[pick.tool].name} is picked" if pick else f"{about}: no tool is left"
    return Step(text, "aspect", pick is not None, below=below)


def _branch(branch: Branch, held: bool, answers: Answers, facts: Facts) -> Step:
    conditions = [*branch.when, *(c for group in branch.any for c in group), *branch.given]
    return Step(
        branch.text,
        branch.kind,
        held,
        document(facts, branch.source, branch.place),
        facts.sources[branch.source].date,
        tuple(_condition(condition, answers) for condition in conditions),
    )


def _condition(condition: Condition, answers: Answers) -> Step:
    text = f"{condition.key} {WORDS[condition.op]} {_shown(condition.value)} (yours: {_shown(answers[condition.key])})"
    return Step(
        text, "answer", holds(condition, answers), "your answer" if condition.key in answers.given else "assumed"
    )


def _shown(value: Value) -> str:
    if isinstance(value, tuple):
        return ", ".join(value) or "none"
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _scores(elected: Elected, facts: Facts) -> Iterator[Step]:
    for candidate in elected.slot.candidates:
        scored = candidate.scored
        low, high = scored.interval
        votes = counted(elected.election.points(candidate.tool))
        text = f"{facts.tools[candidate.tool].name}: {scored.score:.2f}, between {low:.2f} and {high:.2f}; {votes}"
        below = tuple(
            Step(
                f"{one.name}: {one.word} ({one.rating[0]:.2f} to {one.rating[1]:.2f}), weight {one.weight:g}"
                f"{f', {one.because}' if one.because else ''}",
                "proof" if one.measured else "criterion",
                None,
                one.source,
                one.date,
            )
            for one in scored.criteria
        )
        yield Step(text, "score", candidate is elected.pick, below=below)
