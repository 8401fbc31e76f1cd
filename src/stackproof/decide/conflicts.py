"""Where the documents disagree with today's facts or with each other, and what was followed."""

from collections.abc import Iterator

from stackproof.decide.answers import Answers
from stackproof.decide.choice import Choice, Elected, Judged
from stackproof.decide.citing import document, of_tool
from stackproof.decide.conditions import branch_holds
from stackproof.decide.decision import ConflictFound
from stackproof.decide.reach import Rejection
from stackproof.decide.votes import top_by_source
from stackproof.facts.model import DEAD, DOUBTFUL, Branch, Facts, Gate


def conflicts(choice: Choice, answers: Answers, facts: Facts, judged: Judged) -> tuple[ConflictFound, ...]:
    if choice.gate is not None:
        return tuple(_with_gate(choice, choice.gate, answers, facts))
    found: list[ConflictFound] = []
    for elected in choice.elected:
        found += _overtaken(choice, elected, facts, judged)
        found += _disagreeing(choice, elected, facts)
    return tuple(found)


def _overtaken(choice: Choice, elected: Elected, facts: Facts, judged: Judged) -> Iterator[ConflictFound]:
    """A rule that holds names a tool first whose lifecycle forbids it, or speaks against it, today."""
    winner = elected.standing.tool if elected.standing else "none"
    by_tool: dict[str, list[Branch]] = {}
    for branch in elected.election.held:
        first = branch.picks[0].tool
        if first != winner and _is_overtaken(first, facts, judged):
            by_tool.setdefault(first, []).append(branch)
    for name, branches in by_tool.items():
        tool = facts.tools[name]
        says = "; ".join(dict.fromkeys(branch.text for branch in branches))
        since = f" since {tool.status.since}" if tool.status.since else ""
        text = f"{choice.role}: the documents say {tool.name} ({says}); today it is {tool.status.value}{since}"
        sources = [document(facts, branch.source, branch.place) for branch in branches]
        today = of_tool(tool, tool.status.source, dated=tool.status.date is not None)
        yield ConflictFound(text, (*dict.fromkeys(sources), today), winner)


def _is_overtaken(name: str, facts: Facts, judged: Judged) -> bool:
    status, way = facts.tools[name].status, judged[name]
    if status.value in DEAD:
        return True
    costly = isinstance(way, Rejection) and way.kind == "budget"
    return status.value in DOUBTFUL and status.verified and (costly or not isinstance(way, Rejection))


def _disagreeing(choice: Choice, elected: Elected, facts: Facts) -> Iterator[ConflictFound]:
    tops = top_by_source(elected.election)
    if elected.standing is None or len(set(tops.values())) < 2:
        return
    part = f"{choice.role}, {elected.election.aspect}" if elected.election.aspect else choice.role
    says = ", ".join(f"{file} {tool}" for file, tool in sorted(tops.items()))
    files = tuple(f"{file}{'' if facts.sources[file].date else ' (undated)'}" for file in sorted(tops))
    text = f"{part}: of the tools in reach the documents favour different ones: {says}"
    yield ConflictFound(text, files, elected.standing.tool)


def _with_gate(choice: Choice, gate: Gate, answers: Answers, facts: Facts) -> Iterator[ConflictFound]:
    """Another document recommends a tool for a role that can wait."""
    if gate.verdict != "defer":
        return
    for branch in facts.trees[choice.role].branches:
        bound = branch.when or branch.any
        if bound and branch.source != gate.source and branch_holds(branch, answers):
            sources = (document(facts, branch.source, branch.place), document(facts, gate.source, gate.place))
            text = f"{choice.role}: one document says {branch.text}, another that the role can wait"
            yield ConflictFound(text, sources, f"{gate.verdict}: {gate.text}")
            return
