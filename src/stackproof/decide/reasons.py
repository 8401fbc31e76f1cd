"""Why a role was decided as it was, in sentences that each name their source."""

from collections.abc import Collection, Iterator

from stackproof.decide.answers import Answers
from stackproof.decide.assembly import Candidate
from stackproof.decide.choice import Choice, Elected, Judged, candidates
from stackproof.decide.citing import branch_reason, fact_reason, gate_reason, of_tool, pair_source, pair_text
from stackproof.decide.decision import Alternative, CriterionScore, Reason, Rejected
from stackproof.decide.reach import Rejection
from stackproof.decide.scoring import point
from stackproof.decide.votes import Vote
from stackproof.facts.model import DEAD, DOUBTFUL, Branch, Facts

MOST_ALTERNATIVES = 3
MOST_CRITERIA = 4


def reasons(choice: Choice, answers: Answers, facts: Facts, judged: Judged) -> tuple[Reason, ...]:
    """The main one first: the gate, or the stated priority, or the rule with the most votes for the tool."""
    if choice.gate is not None:
        return (gate_reason(choice.gate, facts),)
    found = [reason for elected in choice.elected for reason in _of_aspect(elected, answers, facts, judged)]
    if choice.verdict == "none":
        found = [*_of_nothing(choice, facts, judged), *found]
    return (*found, *_of_pairs(choice, facts), *_of_status(choice, facts))


def _of_aspect(elected: Elected, answers: Answers, facts: Facts, judged: Judged) -> Iterator[Reason]:
    pick, election = elected.pick, elected.election
    if pick is None:
        yield from (_outvoted(branch, elected, facts, judged) for branch in election.held)
        return
    votes = sorted(
        election.votes.get(pick.tool, ()),
        key=lambda vote: (vote.branch is not election.stated_branch, not _meant(vote), -vote.points),
    )
    if not votes:
        yield _without_votes(pick, facts)
    for vote in votes:
        yield branch_reason(vote.branch, facts, _vote_text(vote, facts, stated=vote.branch is election.stated_branch))
    yield from _of_criteria(elected, pick, facts)
    yield from _of_assembly(elected, pick, facts)
    voted = {id(vote.branch) for vote in votes}
    for branch in election.held:
        if id(branch) not in voted:
            yield _outvoted(branch, elected, facts, judged)


def _meant(vote: Vote) -> bool:
    """Whether the rule names the tool first, or one whose place it takes."""
    return vote.branch.picks[0].tool in (vote.tool, vote.replaces)


def _without_votes(pick: Candidate, facts: Facts) -> Reason:
    tool = facts.tools[pick.tool]
    text = (
        f"No rule that holds names a tool in reach; {tool.name} scores best on the criteria ({pick.scored.score:.2f})"
    )
    return fact_reason(tool, tool.status, text)


def _of_criteria(elected: Elected, pick: Candidate, facts: Facts) -> Iterator[Reason]:
    """The criteria that put the pick furthest ahead of its nearest rival; of the pick alone where it has none."""
    rival = next((c for c in elected.slot.candidates if c.tool != pick.tool), None)
    caution = facts.scales.caution
    theirs = {one.id: one for one in rival.scored.criteria} if rival else {}
    total = sum(one.weight for one in pick.scored.criteria) or 1

    def lead(one: CriterionScore) -> float:
        other = theirs.get(one.id)
        return one.weight * (point(one.rating, caution) - (point(other.rating, caution) if other else 0)) / total

    leading = sorted(pick.scored.criteria, key=lambda one: -lead(one))
    for one in [one for one in leading if one.id != "documents" and one.known and lead(one) > 0][:MOST_CRITERIA]:
        other = theirs.get(one.id)
        against = f", {facts.tools[rival.tool].name}: {other.word}" if rival and other else ""
        why = f" ({one.because})" if one.because else ""
        name = facts.tools[pick.tool].name
        text = f"{one.name}, weight {one.weight:g}{why}: {name}: {one.word}{against}"
        yield Reason(text, "proof" if one.measured else "criterion", one.source, one.date)


def _of_assembly(elected: Elected, pick: Candidate, facts: Facts) -> Iterator[Reason]:
    """Where a tool with a better score had to stand back for the sake of the whole stack."""
    best = elected.slot.candidates[0]
    if best.tool != pick.tool:
        better, name = facts.tools[best.tool].name, facts.tools[pick.tool].name
        text = (
            f"{better} scores {best.scored.score:.2f} by itself and {name} {pick.scored.score:.2f}; {name} makes the "
            "better whole stack within the budget, the people's hours and what is known to work together"
        )
        yield Reason(text, "integration", "facts/scales.toml: stack", None)


def _of_pairs(choice: Choice, facts: Facts) -> Iterator[Reason]:
    """What is known of pairs within the role; pairs across roles are told by the whole stack."""
    for pair in facts.pairs:
        if set(pair.tools) <= set(choice.tools):
            yield Reason(pair_text(pair), "integration", pair_source(pair), pair.date)


def _vote_text(vote: Vote, facts: Facts, *, stated: bool) -> str:
    text = f"You named this job first. {vote.branch.text}" if stated else vote.branch.text
    if vote.replaces:
        gone, name = facts.tools[vote.replaces], facts.tools[vote.tool].name
        overtaken = gone.status.value in DEAD | DOUBTFUL
        text += f" (that is {gone.status.value}; {name} takes its place)" if overtaken else f" (as {name})"
    return f"{text} ({counted(vote.points)})"


def counted(points: float) -> str:
    return "1 vote" if points == 1 else f"{points:g} votes"


def _outvoted(branch: Branch, elected: Elected, facts: Facts, judged: Judged) -> Reason:
    """A branch that holds but didn't vote for the winner: recorded with what became of its tools."""
    fates = [f"{pick.tool} ({_fate(pick.tool, elected, judged)})" for pick in branch.picks]
    return branch_reason(branch, facts, f"Holds as well: {branch.text}. {', '.join(fates)}")


def _fate(tool: str, elected: Elected, judged: Judged) -> str:
    way = judged[tool]
    if isinstance(way, Rejection):
        return f"out of reach: {way.kind}"
    scored = next((one for one in elected.slot.candidates if one.tool == tool), None)
    if scored is None or elected.pick is None:
        return "not taken"
    less = scored.scored.score <= elected.pick.scored.score
    return "scores less" if less else "scores more by itself, and stands back for a stated priority or the whole stack"


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


def rejected(
    choice: Choice, facts: Facts, judged: Judged, chosen: Collection[str] | None = None
) -> tuple[Rejected, ...]:
    """Every candidate of the role that can't be used, in the order of the catalogue.

    `chosen`: the tools of the whole stack, to tell what lacks a tool that it requires; None leaves that out.
    """
    found = []
    for tool in candidates(choice.role, facts):
        way = judged[tool.id]
        if isinstance(way, Rejection):
            source = (
                of_tool(tool, way.source, dated=way.date is not None)
                if way.key or way.kind == "lifecycle"
                else way.source
            )
            found.append(Rejected(tool.id, way.because, way.kind, source, way.date))
        elif chosen is not None and choice.gate is None and not set(tool.requires) <= set(chosen):
            found += _lacking(tool.id, choice, facts)
    return tuple(found)


def _lacking(name: str, choice: Choice, facts: Facts) -> list[Rejected]:
    """A tool that needs another one which wasn't chosen."""
    tool = facts.tools[name]
    because = f"It needs {' and '.join(tool.requires)} chosen beside it"
    source = of_tool(tool, tool.status.source, dated=tool.status.date is not None)
    return [Rejected(name, because, "capability", source, tool.status.date)]


def alternatives(choice: Choice, facts: Facts, chosen: Collection[str], left: float) -> tuple[Alternative, ...]:
    """The next best of each aspect, the first aspect's first, with what kept each back.

    `chosen`: the tools of the whole stack. `left`: US dollars a year that the other roles leave of the budget.
    """
    found: dict[str, Alternative] = {}
    for elected in choice.elected:
        if elected.pick is None:
            continue
        others = [one for one in elected.slot.candidates if one.tool not in choice.tools and one.tool not in found]
        for other in others[:MOST_ALTERNATIVES]:
            if set(other.way.tool.requires) <= set(chosen):
                found[other.tool] = Alternative(
                    other.tool, why_not(other, elected, facts, left), round(other.scored.score, 4)
                )
    return tuple(found.values())[: MOST_ALTERNATIVES + len(choice.elected) - 1]


def why_not(other: Candidate, elected: Elected, facts: Facts, left: float) -> str:
    """In one sentence: the budget, or the criteria on which it falls behind the pick most."""
    pick = elected.pick
    if pick is None:
        return "nothing was picked"
    if other.worth > pick.worth and other.way.price.floor > left:
        return f"Together with the rest of the stack it would cost more than the budget; ${left:,.0f} are left for it"
    if other.worth > pick.worth:
        return f"It scores more by itself ({other.scored.score:.2f}); with the rest of the stack it is worth less"
    if pick.tool in elected.election.stated and other.tool not in elected.election.stated:
        return "The job that you named first decides"
    caution = facts.scales.caution
    mine = {one.id: one for one in other.scored.criteria}
    behind = sorted(
        (one for one in pick.scored.criteria if one.id in mine),
        key=lambda one: one.weight * (point(mine[one.id].rating, caution) - point(one.rating, caution)),
    )
    lost = [f"{one.name} ({mine[one.id].word}, against {one.word})" for one in behind[:2]]
    return f"{other.scored.score:.2f} against {pick.scored.score:.2f}; behind on {' and '.join(lost)}"
