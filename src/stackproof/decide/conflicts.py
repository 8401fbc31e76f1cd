"""Where the documents disagree with today's facts or with each other, and what was followed."""

from collections.abc import Iterator, Mapping

from stackproof.decide.answers import Answers
from stackproof.decide.choice import Choice, Elected, Judged
from stackproof.decide.citing import document, of_tool
from stackproof.decide.conditions import all_hold, branch_holds
from stackproof.decide.decision import ConflictFound
from stackproof.decide.reach import Rejection
from stackproof.decide.scoring import stated_ratings
from stackproof.decide.votes import top_by_source
from stackproof.facts.model import DEAD, DOUBTFUL, Branch, Contradiction, Facts, Gate, Rating, Tool


def conflicts(choice: Choice, answers: Answers, facts: Facts, judged: Judged) -> tuple[ConflictFound, ...]:
    """Those of one role: rules overtaken by events, documents that favour different tools, ratings that differ."""
    if choice.gate is not None:
        return tuple(_with_gate(choice, choice.gate, answers, facts))
    found: list[ConflictFound] = []
    for elected in choice.elected:
        found += _overtaken(choice, elected, facts, judged)
        found += _disagreeing(choice, elected, facts)
    found += [conflict for name in choice.tools for conflict in _rated_differently(choice.role, facts.tools[name])]
    return tuple(found)


def recorded(choices: Mapping[str, Choice], answers: Answers, facts: Facts) -> tuple[ConflictFound, ...]:
    """The contradictions that are written down and that this team meets, in their numbers' order."""
    return tuple(
        ConflictFound(f"{', '.join(one.roles) or 'the whole stack'}: {one.text}", one.sources, one.followed)
        for one in facts.contradictions
        if _is_met(one, choices, answers)
    )


def _is_met(one: Contradiction, choices: Mapping[str, Choice], answers: Answers) -> bool:
    if not all_hold(one.when, answers):
        return False
    roles = [choices[role] for role in (one.roles or choices) if role in choices]
    if not any(choice.verdict != "skip" for choice in roles):
        return False
    in_use = {answers.text(f"current.{choice.role}") for choice in roles}
    return not one.tools or bool(set(one.tools) & in_use.union(*map(_in_play, roles)))


def _in_play(choice: Choice) -> set[str]:
    """What is chosen, could have been, or is named by a rule that holds."""
    named = {pick.tool for one in choice.elected for branch in one.election.held for pick in branch.picks}
    running = {candidate.tool for one in choice.elected for candidate in one.slot.candidates}
    return {*choice.tools, *named, *running}


def _rated_differently(role: str, tool: Tool) -> Iterator[ConflictFound]:
    """Where a tool has several ratings of one criterion: what a document says, and what is known since."""
    by_criterion: dict[str, list[Rating]] = {}
    for rating in tool.ratings:
        if rating.role in ("", role) and rating.verified:
            by_criterion.setdefault(rating.criterion, []).append(rating)
    for criterion, ratings in by_criterion.items():
        if len({rating.value for rating in ratings}) > 1:
            says = "; ".join(f"{rating.value} ({rating.date or 'undated'})" for rating in ratings)
            followed = {rating.value for rating in stated_ratings(tool, criterion, role)}
            text = f"{role}: {tool.name} is rated differently on {criterion}: {says}"
            sources = tuple(of_tool(tool, rating.source, dated=rating.date is not None) for rating in ratings)
            yield ConflictFound(text, sources, " to ".join(sorted(followed)))


def _overtaken(choice: Choice, elected: Elected, facts: Facts, judged: Judged) -> Iterator[ConflictFound]:
    """A rule that holds names a tool first whose lifecycle forbids it, or speaks against it, today."""
    winner = elected.pick.tool if elected.pick else "none"
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
    if elected.pick is None or len(set(tops.values())) < 2:
        return
    part = f"{choice.role}, {elected.aspect}" if elected.aspect else choice.role
    says = ", ".join(f"{file} {tool}" for file, tool in sorted(tops.items()))
    files = tuple(f"{file}{'' if facts.sources[file].date else ' (undated)'}" for file in sorted(tops))
    text = f"{part}: the documents favour different ones: {says}"
    yield ConflictFound(text, files, elected.pick.tool)


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
