"""The sources' trees and tables, counted: every rule that holds has its vote."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from stackproof.decide.answers import Answers
from stackproof.decide.conditions import branch_holds
from stackproof.decide.reach import Usable
from stackproof.facts.model import DEAD, DOUBTFUL, Branch, Facts, Pick, Tree

Available: TypeAlias = Callable[[str], Usable | None]


@dataclass(frozen=True, slots=True)
class Vote:
    """What one branch gives one tool. `replaces`: the tool in whose place it stands, "" for none."""

    tool: str
    points: float
    branch: Branch
    beside: tuple[str, ...] = ()
    replaces: str = ""


@dataclass(frozen=True, slots=True)
class Standing:
    """A tool's votes in one aspect of a role."""

    tool: str
    points: float
    votes: tuple[Vote, ...]
    beside: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Election:
    """One aspect of a role. `standings`: most points first; on equal points the one voted for earlier.

    `held`: every branch that holds. `stated`: the branch of the team's stated priority that goes first, if any.
    """

    aspect: str
    standings: tuple[Standing, ...]
    held: tuple[Branch, ...]
    stated: Branch | None = None


def elect(tree: Tree, aspect: str, answers: Answers, available: Available, facts: Facts) -> Election:
    """Count one aspect. `available` gives the way of using a tool, None where it can't be used."""
    priority = _priority(tree.role, answers)
    held: list[Branch] = []
    votes: list[Vote] = []
    stated: Branch | None = None
    for branch in tree.branches:
        named = bool(priority) and branch.priority == priority
        if branch.aspect != aspect or not branch_holds(branch, answers, stated=named):
            continue
        held.append(branch)
        given = list(_votes(branch, available, facts))
        votes += given
        if named and given and stated is None:
            stated = branch
    return Election(aspect, _rank(_refined(votes, held, available), stated), tuple(held), stated)


def priority_aspect(tree: Tree, answers: Answers) -> str | None:
    """The aspect of the stated priority's branch, None where there is none."""
    priority = _priority(tree.role, answers)
    named = (branch.aspect for branch in tree.branches if priority and branch.priority == priority)
    return next(named, None)


def _priority(role: str, answers: Answers) -> str:
    key = f"priorities.{role}"
    return answers.text(key) if key in answers.values else ""


def _votes(branch: Branch, available: Available, facts: Facts) -> Iterator[Vote]:
    weight, order = facts.votes.weights[branch.kind], facts.votes.order
    place = 0
    for pick in branch.picks:
        share = weight * order[min(place, len(order) - 1)]
        given = list(_pick_votes(pick, share, branch, available, facts))
        place += bool(given)
        yield from given


def _pick_votes(pick: Pick, share: float, branch: Branch, available: Available, facts: Facts) -> Iterator[Vote]:
    """For the tool, and where its lifecycle is doubtful for the first that replaces it."""
    tool = facts.tools[pick.tool]
    status = str(tool.status.value)
    usable = available(pick.tool)
    if usable is not None:
        points = share * facts.votes.factors.get(status, 1) * _form_factor(usable, facts)
        beside = tuple(name for name in pick.beside if available(name) is not None)
        yield Vote(pick.tool, points, branch, beside)
    if status in DEAD or status in DOUBTFUL:
        left = share if usable is None else share * facts.votes.replacement
        named = {other.tool for other in branch.picks}
        for name in tool.replaced_by:
            other = available(name)
            if other is not None and name not in named:
                yield Vote(name, left * _form_factor(other, facts), branch, replaces=pick.tool)
                return


def _refined(votes: Sequence[Vote], held: Sequence[Branch], available: Available) -> list[Vote]:
    """The votes for a tool go to that form of it which a branch that holds names."""
    forms = {
        branch.refines: branch.picks[0].tool
        for branch in held
        if branch.refines and available(branch.picks[0].tool) is not None
    }
    return [
        replace(vote, tool=forms[vote.tool], replaces=vote.replaces or vote.tool) if vote.tool in forms else vote
        for vote in votes
    ]


def _form_factor(usable: Usable, facts: Facts) -> float:
    return facts.votes.factors["other_form"] if usable.drawback else 1


def _rank(votes: Sequence[Vote], stated: Branch | None) -> tuple[Standing, ...]:
    by_tool: dict[str, list[Vote]] = {}
    for vote in votes:
        by_tool.setdefault(vote.tool, []).append(vote)
    standings = [_standing(tool, given) for tool, given in by_tool.items()]
    ranked = sorted(standings, key=lambda standing: -standing.points)
    if stated is None:
        return tuple(ranked)
    first = max((v for v in votes if v.branch is stated), key=lambda vote: vote.points).tool
    return tuple(sorted(ranked, key=lambda standing: standing.tool != first))


def _standing(tool: str, votes: Sequence[Vote]) -> Standing:
    points = round(sum(vote.points for vote in votes), 6)
    beside = tuple(dict.fromkeys(name for vote in votes for name in vote.beside if name != tool))
    return Standing(tool, points, tuple(votes), beside)


def top_by_source(election: Election) -> Mapping[str, str]:
    """For each document, the tool that its branches gave most points to."""
    points: dict[str, dict[str, float]] = {}
    for standing in election.standings:
        for vote in standing.votes:
            of_source = points.setdefault(vote.branch.source, {})
            of_source[standing.tool] = of_source.get(standing.tool, 0) + vote.points
    return {source: max(tools, key=lambda name: tools[name]) for source, tools in points.items()}
