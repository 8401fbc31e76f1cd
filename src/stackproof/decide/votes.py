"""The sources' trees and tables, counted: every rule that holds has its vote.

A tool's votes don't depend on which other tools are in reach, so that adding or losing one never reorders the rest.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from stackproof.decide.answers import Answers
from stackproof.decide.conditions import branch_holds
from stackproof.facts.model import DEAD, DOUBTFUL, Branch, Facts, Pick, Tree


@dataclass(frozen=True, slots=True)
class Vote:
    """What one branch gives one tool. `replaces`: the tool in whose place it stands, "" for none."""

    tool: str
    points: float
    branch: Branch
    beside: tuple[str, ...] = ()
    replaces: str = ""


@dataclass(frozen=True, slots=True)
class Election:
    """One aspect of a role. `votes`: by tool, in the order of the branches. `held`: every branch that holds.

    `stated`: the tools of the team's stated priority, which go first, in their order; and its branch.
    """

    aspect: str
    votes: Mapping[str, tuple[Vote, ...]]
    held: tuple[Branch, ...]
    stated: tuple[str, ...] = ()
    stated_branch: Branch | None = None

    def points(self, tool: str) -> float:
        return round(sum(vote.points for vote in self.votes.get(tool, ())), 6)

    def beside(self, tool: str) -> tuple[str, ...]:
        """The tools that fill the role together with it, as its votes name them."""
        return tuple(dict.fromkeys(name for vote in self.votes.get(tool, ()) for name in vote.beside if name != tool))


def elect(tree: Tree, aspect: str, answers: Answers, facts: Facts) -> Election:
    """Count the votes of one aspect."""
    priority = stated_priority(tree.role, answers)
    held: list[Branch] = []
    votes: list[Vote] = []
    stated: Branch | None = None
    for branch in tree.branches:
        named = bool(priority) and branch.priority == priority
        if branch.aspect == aspect and branch_holds(branch, answers, stated=named):
            held.append(branch)
            votes += _votes(branch, tree.role, facts)
            stated = branch if named and stated is None else stated
    by_tool: dict[str, list[Vote]] = {}
    for vote in _refined(votes, held):
        by_tool.setdefault(vote.tool, []).append(vote)
    first = [vote for vote in _refined(votes, held) if vote.branch is stated]
    ordered = tuple(dict.fromkeys(vote.tool for vote in sorted(first, key=lambda vote: -vote.points)))
    counted = {tool: tuple(given) for tool, given in by_tool.items()}
    return Election(aspect, counted, tuple(held), ordered, stated)


def priority_aspect(tree: Tree, answers: Answers) -> str | None:
    """The aspect of the stated priority's branch, None where there is none."""
    priority = stated_priority(tree.role, answers)
    named = (branch.aspect for branch in tree.branches if priority and branch.priority == priority)
    return next(named, None)


def stated_priority(role: str, answers: Answers) -> str:
    key = f"priorities.{role}"
    return answers.text(key) if key in answers.values else ""


def _votes(branch: Branch, role: str, facts: Facts) -> Iterator[Vote]:
    weight = facts.votes.weights[branch.kind]
    if branch.kind == "guide" and not (branch.when or branch.any or branch.given):
        weight *= facts.votes.factors["for_everyone"]
    for place, pick in enumerate(branch.picks):
        yield from _pick_votes(pick, weight * _share(place, facts), branch, role, facts)


def _share(place: int, facts: Facts) -> float:
    order = facts.votes.order
    return order[min(place, len(order) - 1)]


def _pick_votes(pick: Pick, share: float, branch: Branch, role: str, facts: Facts) -> Iterator[Vote]:
    """For the tool, and where its lifecycle forbids it or is doubtful for those that replace it in the role."""
    status = str(facts.tools[pick.tool].status.value)
    if status not in DEAD:
        yield Vote(pick.tool, share * facts.votes.factors.get(status, 1), branch, pick.beside)
    if not branch.strict and (status in DEAD or status in DOUBTFUL):
        left = share if status in DEAD else share * facts.votes.replacement
        named = {other.tool for other in branch.picks}
        others = [
            name for name in facts.tools[pick.tool].replaced_by if name not in named and _fills(name, role, facts)
        ]
        for place, name in enumerate(others):
            yield Vote(name, left * _share(place, facts), branch, replaces=pick.tool)


def _fills(name: str, role: str, facts: Facts) -> bool:
    tool = facts.tools[name]
    return role in tool.roles or role in tool.parts


def _refined(votes: Sequence[Vote], held: Sequence[Branch]) -> list[Vote]:
    """A form of a tool that a branch that holds names gets the votes of the tool too."""
    forms = [(branch.refines, branch.picks[0].tool) for branch in held if branch.refines]
    shared = [
        replace(vote, tool=form, replaces=vote.replaces or vote.tool, beside=())
        for vote in votes
        for of, form in forms
        if vote.tool == of
    ]
    return [*votes, *shared]


def top_by_source(election: Election) -> Mapping[str, str]:
    """For each document, the tool that its branches gave most points to."""
    points: dict[str, dict[str, float]] = {}
    for tool, votes in election.votes.items():
        for vote in votes:
            of_source = points.setdefault(vote.branch.source, {})
            of_source[tool] = of_source.get(tool, 0) + vote.points
    return {source: max(tools, key=lambda name: tools[name]) for source, tools in points.items()}
