"""Which tool fills each role: gates, then what is in reach, then the votes; the budget spans the whole stack."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from stackproof.decide.answers import Answers
from stackproof.decide.conditions import gate_closes, is_active
from stackproof.decide.reach import Rejection, Usable, reach
from stackproof.decide.votes import Available, Election, Standing, elect, priority_aspect
from stackproof.facts.model import DOUBTFUL, Facts, Gate, Tool
from stackproof.roles import ROLES

MOST = frozenset({"critical", "central"})


@dataclass(frozen=True, slots=True)
class Elected:
    """The tool that one aspect of a role elected. `standing` None: no rule named one that is in reach."""

    election: Election
    standing: Standing | None
    too_dear: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Choice:
    """What fills a role. `verdict` as in decision.json; `tool` None for skip and none.

    `by_default`: no rule named a tool in reach, so the soundest one left was taken.
    """

    role: str
    verdict: str
    tool: str | None
    beside: tuple[str, ...] = ()
    gate: Gate | None = None
    elected: tuple[Elected, ...] = ()
    by_default: bool = False

    @property
    def tools(self) -> tuple[str, ...]:
        """All tools in use; none for a role that waits."""
        return (self.tool, *self.beside) if self.verdict == "use" and self.tool else ()


Judged = Mapping[str, Usable | Rejection]


def choose_all(answers: Answers, facts: Facts, judged: Judged | None = None) -> dict[str, Choice]:
    """A choice for each of the nine roles, in their order."""
    judged = reach(facts, answers) if judged is None else judged
    purse = _Purse(answers.number("organization.budget_usd_per_year"), facts, judged)
    gates = {role: closed_gate(role, answers, facts) for role in ROLES}
    open_roles = [role for role in ROLES if gates[role] is None]
    floors = {role: _least_price(role, answers, facts, judged) for role in open_roles}
    choices: dict[str, Choice] = {}
    for role in ROLES:
        gate = gates[role]
        if gate is not None:
            tool = "embedded" if gate.verdict == "defer" else None
            choices[role] = Choice(role, gate.verdict, tool, gate=gate)
            continue
        purse.reserved = sum(floors[later] for later in open_roles[open_roles.index(role) + 1 :])
        choices[role] = _choose(role, answers, facts, purse)
        purse.pay(choices[role].tools)
    return choices


def closed_gate(role: str, answers: Answers, facts: Facts) -> Gate | None:
    return next((gate for gate in facts.gates if gate.role == role and gate_closes(gate, answers)), None)


class _Purse:
    """What can still be used and paid for while the roles are filled one after the other."""

    def __init__(self, budget: float, facts: Facts, judged: Judged) -> None:
        self.budget = budget
        self.facts = facts
        self.judged = judged
        self.spent = 0.0
        self.reserved = 0.0
        self.chosen: set[str] = set()

    def usable(self, name: str) -> Usable | None:
        way = self.judged.get(name)
        if not isinstance(way, Usable) or not set(way.tool.requires) <= self.chosen:
            return None
        return way

    def affordable(self, name: str) -> Usable | None:
        way = self.usable(name)
        if way is None or name in self.chosen:
            return way
        price = way.price.floor
        return way if price == 0 or self.spent + self.reserved + price <= self.budget else None

    def take(self, name: str) -> bool:
        """Pay for the tool if there is room for it."""
        if self.affordable(name) is None:
            return False
        self.pay([name])
        return True

    def pay(self, tools: Sequence[str]) -> None:
        for name in tools:
            way = self.judged.get(name)
            if isinstance(way, Usable) and name not in self.chosen:
                self.spent += way.price.floor
                self.chosen.add(name)


def _choose(role: str, answers: Answers, facts: Facts, purse: _Purse) -> Choice:
    elected = [_elect(role, aspect, answers, facts, purse) for aspect in active_aspects(role, answers, facts)]
    won = [found.standing for found in elected if found.standing is not None]
    if won:
        names = [name for standing in won for name in (standing.tool, *standing.beside)]
        tool, *beside = dict.fromkeys(names)
        return Choice(role, "use", tool, tuple(beside), elected=tuple(elected))
    left = soundest(role, facts, purse.affordable)
    if left is None:
        return Choice(role, "none", None, elected=tuple(elected))
    return Choice(role, "use", left, elected=tuple(elected), by_default=True)


def _elect(role: str, aspect: str, answers: Answers, facts: Facts, purse: _Purse) -> Elected:
    """Rules vote among all tools in reach; then the first one that the budget still has room for is taken."""
    election = elect(facts.trees[role], aspect, answers, purse.usable, facts)
    too_dear: list[str] = []
    for standing in election.standings:
        if purse.affordable(standing.tool) is not None:
            purse.pay([standing.tool])
            beside = tuple(name for name in standing.beside if purse.take(name))
            kept = Standing(standing.tool, standing.points, standing.votes, beside)
            return Elected(election, kept, tuple(too_dear))
        too_dear.append(standing.tool)
    return Elected(election, None, tuple(too_dear))


def active_aspects(role: str, answers: Answers, facts: Facts) -> list[str]:
    """The aspects that matter to this team: the stated priority's first, then what is critical, then as filed."""
    tree = facts.trees[role]
    stated = priority_aspect(tree, answers)
    active = [aspect for aspect in tree.aspects if aspect.name == stated or is_active(aspect, answers)]

    def order(place: int) -> tuple[bool, bool, int]:
        aspect = active[place]
        critical = bool(aspect.level) and answers[aspect.level] in MOST
        return aspect.name != stated, not critical, place

    return [active[place].name for place in sorted(range(len(active)), key=order)]


def candidates(role: str, facts: Facts) -> list[Tool]:
    """Every tool that the role could have: by its roles and parts, and those that the rules name."""
    named = {
        name for branch in facts.trees[role].branches for pick in branch.picks for name in (pick.tool, *pick.beside)
    }
    return [tool for tool in facts.tools.values() if role in tool.roles or role in tool.parts or tool.id in named]


def soundest(role: str, facts: Facts, available: Callable[[str], Usable | None]) -> str | None:
    """The tool to take where no rule names one: sound before doubtful, then as preferred, then by name."""
    found = [
        (str(tool.status.value) in DOUBTFUL, bool(way.drawback), way.price.floor, tool.id)
        for tool in facts.tools.values()
        if role in tool.roles and (way := available(tool.id)) is not None
    ]
    return min(found)[-1] if found else None


def _least_price(role: str, answers: Answers, facts: Facts, judged: Judged) -> float:
    """The least that the role can cost, so that an earlier one leaves enough for it."""

    def available(name: str) -> Usable | None:
        way = judged.get(name)
        return way if isinstance(way, Usable) else None

    elections = [
        elect(facts.trees[role], aspect, answers, available, facts) for aspect in active_aspects(role, answers, facts)
    ]
    named = [standing.tool for election in elections for standing in election.standings]
    if not named:
        named = [tool.id for tool in facts.tools.values() if role in tool.roles and available(tool.id)]
    return min((_floor(available, name) for name in named), default=0.0)


def _floor(available: Available, name: str) -> float:
    way = available(name)
    return 0.0 if way is None else way.price.floor
