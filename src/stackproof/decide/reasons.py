"""Why a role was decided as it was, in sentences that each name their source."""

from collections.abc import Iterator

from stackproof.decide.choice import Choice, Elected, Judged, candidates
from stackproof.decide.citing import branch_reason, fact_reason, gate_reason, of_tool
from stackproof.decide.decision import Alternative, Reason, Rejected
from stackproof.decide.reach import Rejection
from stackproof.decide.votes import Vote
from stackproof.facts.model import DEAD, DOUBTFUL, Branch, Facts

MOST_ALTERNATIVES = 3


def reasons(choice: Choice, facts: Facts, judged: Judged) -> tuple[Reason, ...]:
    """The main one first: the gate, or the stated priority, or the rule with the most votes for the tool."""
    if choice.gate is not None:
        return (gate_reason(choice.gate, facts),)
    found = [reason for elected in choice.elected for reason in _of_aspect(elected, facts, judged)]
    if choice.by_default and choice.tool is not None:
        tool = facts.tools[choice.tool]
        text = f"No rule of the documents names a tool that is in reach; {tool.name} is the soundest one left"
        found.insert(0, fact_reason(tool, tool.status, text))
    if choice.verdict == "none":
        found = [*_of_nothing(choice, facts, judged), *found]
    return (*found, *_of_status(choice, facts))


def _of_aspect(elected: Elected, facts: Facts, judged: Judged) -> Iterator[Reason]:
    standing, election = elected.standing, elected.election
    if standing is None:
        yield from (_outvoted(branch, "", facts, judged) for branch in election.held)
        return
    votes = sorted(standing.votes, key=lambda vote: (vote.branch is not election.stated, -vote.points))
    for vote in votes:
        yield branch_reason(vote.branch, facts, _vote_text(vote, facts, stated=vote.branch is election.stated))
    voted = {id(vote.branch) for vote in votes}
    for branch in election.held:
        if id(branch) not in voted:
            yield _outvoted(branch, standing.tool, facts, judged)


def _vote_text(vote: Vote, facts: Facts, *, stated: bool) -> str:
    text = f"You named this job first. {vote.branch.text}" if stated else vote.branch.text
    if vote.replaces:
        gone, name = facts.tools[vote.replaces], facts.tools[vote.tool].name
        overtaken = gone.status.value in DEAD | DOUBTFUL
        text += f" (that is {gone.status.value}; {name} takes its place)" if overtaken else f" (as {name})"
    return f"{text} ({counted(vote.points)})"


def counted(points: float) -> str:
    return "1 vote" if points == 1 else f"{points:g} votes"


def _outvoted(branch: Branch, winner: str, facts: Facts, judged: Judged) -> Reason:
    """A branch that holds but didn't vote for the winner: recorded with what became of its tools."""
    fates = []
    for pick in branch.picks:
        way = judged[pick.tool]
        fate = f"out of reach: {way.kind}" if isinstance(way, Rejection) else "outvoted" if winner else "not taken"
        fates.append(f"{pick.tool} ({fate})")
    return branch_reason(branch, facts, f"Holds as well: {branch.text}. {', '.join(fates)}")


def _of_nothing(choice: Choice, facts: Facts, judged: Judged) -> Iterator[Reason]:
    for struck in rejected(choice, facts, judged):
        yield Reason(f"{facts.tools[struck.tool].name}: {struck.because}", "constraint", struck.source, struck.date)


def _of_status(choice: Choice, facts: Facts) -> Iterator[Reason]:
    for name in choice.tools:
        tool = facts.tools[name]
        if tool.status.verified:
            release = tool.facts.get("release")
            newest = f"; newest release {release.value}" if release else ""
            if release and "released" in release.more:
                newest += f" ({release.more['released']})"
            yield fact_reason(tool, tool.status, f"{tool.name} is {str(tool.status.value).replace('_', ', ')}{newest}")


def rejected(choice: Choice, facts: Facts, judged: Judged) -> tuple[Rejected, ...]:
    """Every candidate of the role that can't be used, in the order of the catalogue."""
    found = []
    for tool in candidates(choice.role, facts):
        way = judged[tool.id]
        if isinstance(way, Rejection):
            source = of_tool(tool, way.source, dated=way.date is not None)
            found.append(Rejected(tool.id, way.because, way.kind, source, way.date))
        elif tool.requires and tool.id not in choice.tools:
            found += _lacking(tool.id, choice, facts)
    return tuple(found)


def _lacking(name: str, choice: Choice, facts: Facts) -> list[Rejected]:
    """A tool that needs another one which wasn't chosen; nothing where it was in the running."""
    running = {standing.tool for elected in choice.elected for standing in elected.election.standings}
    tool = facts.tools[name]
    if name in running or choice.gate is not None:
        return []
    because = f"It needs {' and '.join(tool.requires)}, which was not chosen"
    status = tool.status
    source = of_tool(tool, status.source, dated=status.date is not None)
    return [Rejected(name, because, "capability", source, status.date)]


def alternatives(choice: Choice) -> tuple[Alternative, ...]:
    """The next best of the first aspect, with what kept each back."""
    if not choice.elected or choice.elected[0].standing is None:
        return ()
    first = choice.elected[0]
    won = choice.elected[0].standing
    others = [standing for standing in first.election.standings if standing.tool not in choice.tools]
    found = []
    for standing in others[:MOST_ALTERNATIVES]:
        why = f"The documents' rules give it {counted(standing.points)}, and {won.tool} {won.points:g}"
        if standing.tool in first.too_dear:
            why = "Together with the rest of the stack it would cost more than the budget"
        elif first.election.stated is not None:
            why += "; the job that you named first decides"
        found.append(Alternative(standing.tool, why))
    return tuple(found)
