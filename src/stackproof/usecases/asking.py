"""The interview: asks only what can still change the stack, what settles most first.

Pure but for its own state: no terminal, no clock. A question is worth asking while some other answer to it, all
else as it stands, changes the verdict or the tools of a role, or the readiness question to start with.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from stackproof.decide import contradictory
from stackproof.decide.answers import Answers, parse_answers
from stackproof.decide.choice import choose_all
from stackproof.decide.contradictory import Contradiction
from stackproof.decide.readiness import readiness
from stackproof.decide.sensitivity import keys_that_matter, other_answers
from stackproof.facts.model import AllOf, Facts, Question, Value
from stackproof.roles import ROLES

Outcome: TypeAlias = Mapping[str, str]
"""What each role comes to, in words, and under `START` the question of readiness to start with."""

START = "start with"
READINESS = ("readiness.reproduce", "readiness.notice", "readiness.trace")
DRAWN = 4
"""How many sets of random answers to everything open are kept to see what moves only together with others."""

PER_DRAW = 16
"""On how many of the open questions each of them tries another answer."""

LAST_DRAWN = 8
"""How many are tried before it is said that nothing moves any more."""

CHANGED = 0.4
"""The share of the open questions that such a set answers differently."""


@dataclass(frozen=True, slots=True)
class Moved:
    """What one role, or the question to start with, was and is."""

    what: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Effect:
    """What another answer to a question would move."""

    value: Value
    moves: tuple[Moved, ...]


@dataclass(frozen=True, slots=True)
class Together:
    """An answer that moves something only if others are different as well: these ones."""

    value: Value
    others: Mapping[str, Value]
    moves: tuple[Moved, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, and why it is asked.

    `effects`: what another answer would move by itself; empty where it does so only together with others.
    `left`: how many open questions can still change something, this one among them; `alone`: how many of them by
    themselves. `settles`: the contradiction for whose sake it is asked.
    """

    question: Question
    value: Value
    effects: tuple[Effect, ...]
    left: int
    alone: int
    settles: Contradiction | None = None

    @property
    def roles(self) -> tuple[str, ...]:
        """What can change, in the order of the roles."""
        moved = {move.what for effect in self.effects for move in effect.moves}
        return tuple(name for name in (*ROLES, START) if name in moved)


@dataclass(frozen=True, slots=True)
class _State:
    """Where the interview stands. `done`: the questions that are not asked again."""

    answers: Answers
    done: frozenset[str]
    forced: str = ""


@dataclass(frozen=True, slots=True)
class _Drawn:
    """Random answers to what is open, and for each open question another value and how much it then moves."""

    base: Mapping[str, Value]
    moves: Mapping[str, tuple[Value, int]]


class Interview:
    """Questions one by one; `answer` or `leave_open` each, `back` at will, until `next_question` is None."""

    def __init__(self, facts: Facts, answers: Answers | None = None) -> None:
        """`answers`: what is known already and is not asked."""
        start = answers or parse_answers({}, facts)
        self.facts = facts
        self._state = _State(start, start.given)
        self._before: list[tuple[_State, str]] = []
        self._moved: tuple[Moved, ...] = ()
        self._effects: dict[str, tuple[_State, tuple[Effect, ...]]] = {}
        self._drawn: list[tuple[_State, _Drawn]] = []
        self._outcome: tuple[_State, Outcome] | None = None
        self._accepted: set[str] = set()
        self._compared = compared_with(facts)
        watched = {*keys_that_matter(facts), *READINESS}
        self.keys: tuple[str, ...] = tuple(key for key in facts.questions if key in watched)

    @property
    def answers(self) -> Answers:
        """All that was said so far; the rest is assumed."""
        return self._state.answers

    @property
    def asked(self) -> int:
        """How many questions were answered or left open."""
        return len(self._before)

    @property
    def could_change(self) -> tuple[str, ...]:
        """The open questions of which it is known that another answer changes something, alone or with others."""
        return tuple(key for key in self._open() if self._weight(key) > 0)

    @property
    def left_out(self) -> tuple[str, ...]:
        """The questions that were never asked, in their order."""
        return tuple(key for key in self.facts.questions if key not in self._state.done)

    def moved(self) -> tuple[Moved, ...]:
        """What the last answer moved; when one went back, what that moved."""
        return self._moved

    def next_question(self) -> Asked | None:
        """The one that settles most: whose other answers move most roles, alone and together with others that are
        open. None when nothing moves any more.

        A question that would settle a contradiction with what is merely assumed comes before all others.
        """
        if self._state.forced:
            return self._ask(self._state.forced)
        for found in self.contradictions():
            open_keys = [key for key in found.keys if key not in self._state.done]
            if open_keys:
                return replace(self._ask(open_keys[0]), settles=found)
        self._draw_up_to(1 if self._drawn else 2)
        key = self._heaviest() or self._last_look()
        return self._ask(key) if key else None

    def together(self, key: str) -> Together | None:
        """For a question that moves something only together with others: one such case, with as few others as
        taking them out one by one leaves. None where none was drawn."""
        for _, drawn in self._drawn:
            found = drawn.moves.get(key)
            if found is not None and found[1]:
                return self._reduced(key, found[0], drawn.base)
        return None

    def answer(self, key: str, value: Value) -> tuple[Moved, ...]:
        """Take an answer to any question, asked or not, and say what it moved."""
        return self._go(key, _State(self.answers.changed(key, value), self._state.done | {key}))

    def leave_open(self, key: str) -> tuple[Moved, ...]:
        """Don't know: what is assumed stands, and the question is not asked again."""
        return self._go(key, _State(self.answers, self._state.done | {key}))

    def back(self) -> str | None:
        """Undo the last answer; its key, whose question is the next one. None at the beginning."""
        if not self._before:
            return None
        now = self._now()
        self._state, key = self._before.pop()
        self._state = replace(self._state, forced=key)
        self._moved = differences(now, self._now())
        return key

    def contradictions(self) -> tuple[Contradiction, ...]:
        """Those that were not accepted as they are."""
        found = contradictory.find(self.answers, self.facts)
        return tuple(one for one in found if one.id not in self._accepted)

    def accept(self, found: Contradiction) -> None:
        """Both stand: it is not asked about again."""
        self._accepted.add(found.id)

    def ask_again(self, key: str) -> None:
        """Make this question the next one."""
        self._state = replace(self._state, forced=key)

    def _go(self, key: str, state: _State) -> tuple[Moved, ...]:
        self._before.append((replace(self._state, forced=""), key))
        before = self._now()
        self._state = state
        self._moved = differences(before, self._now())
        return self._moved

    def _ask(self, key: str) -> Asked:
        left = {key, *self.could_change}
        alone = [name for name in self._open() if self._effects.get(name, (None, ()))[1]]
        return Asked(self.facts.questions[key], self.answers[key], self._fresh(key), len(left), len(alone))

    def _open(self) -> list[str]:
        return [key for key in self.keys if key not in self._state.done]

    def _fresh(self, key: str) -> tuple[Effect, ...]:
        """What other answers to this question move, as things stand."""
        known = self._effects.get(key)
        if known is None or known[0] is not self._state:
            self._effects[key] = (self._state, tuple(self._tried(key)))
        return self._effects[key][1]

    def _tried(self, key: str) -> Iterator[Effect]:
        now = self._now()
        for value in self.worth_trying(key):
            moves = differences(now, outcome(self.answers.changed(key, value), self.facts))
            if moves:
                yield Effect(value, moves)

    def worth_trying(self, key: str) -> list[Value]:
        """The other answers that are tried for a question, as things stand."""
        return values_to_try(key, self.answers, self.facts, self._compared.get(key, ()))

    def _now(self) -> Outcome:
        if self._outcome is None or self._outcome[0] is not self._state:
            self._outcome = (self._state, outcome(self.answers, self.facts))
        return self._outcome[1]

    def _heaviest(self) -> str | None:
        """The open question of most weight. What was found before the last answer stands as an estimate until a
        question comes to the top: then it is tried anew. None when no weight is left."""
        while True:
            weights = {key: self._weight(key) for key in self._open()}
            top = max(weights, key=weights.__getitem__, default=None)
            if top is None or weights[top] == 0:
                return None
            if self._effects[top][0] is self._state:
                return top
            self._fresh(top)

    def _last_look(self) -> str | None:
        """Before it is said that nothing moves: every open question is tried anew, and fresh random answers."""
        for key in self._open():
            self._fresh(key)
        if not any(self._effects[key][1] for key in self._open()):
            self._drawn = [one for one in self._drawn if one[0] is self._state]
            self._draw_up_to(LAST_DRAWN)
        return self._heaviest()

    def _weight(self, key: str) -> float:
        """How many roles an answer is expected to move, were all answers alike likely: alone, and as was drawn."""
        tried = len(self.worth_trying(key))
        effects = self._effects[key][1] if key in self._effects else self._fresh(key)
        alone = sum(len(effect.moves) for effect in effects)
        drawn = [one.moves[key][1] for _, one in self._drawn if key in one.moves]
        return alone / (tried + 1) + sum(drawn) / (2 * max(len(drawn), 1))

    def _draw_up_to(self, count: int) -> None:
        """Draw until there are `count` sets of random answers for the state as it is. Of older ones the newest stay."""
        number = sum(state is self._state for state, _ in self._drawn)
        self._drawn += [(self._state, self._draw(place)) for place in range(number, count)]
        self._drawn = self._drawn[-max(DRAWN, count) :]

    def _draw(self, number: int) -> _Drawn:
        """The same state draws the same answers."""
        chance = random.Random(100 * len(self._before) + number)  # noqa: S311  # which answers are tried is no secret
        values = {key: self.worth_trying(key) for key in self._open()}
        picked = {key: chance.choice(tries) for key, tries in values.items() if tries}
        looked_at = chance.sample(sorted(picked), min(PER_DRAW, len(picked)))
        base = {key: value for key, value in picked.items() if chance.random() < CHANGED}
        there = with_answers(self.answers, base)
        now = outcome(there, self.facts)
        moves = {}
        for key in looked_at:
            other = self.answers[key] if key in base else picked[key]
            moves[key] = (other, len(differences(now, outcome(there.changed(key, other), self.facts))))
        return _Drawn(base, moves)

    def _reduced(self, key: str, value: Value, base: Mapping[str, Value]) -> Together | None:
        others = {name: other for name, other in base.items() if name != key and name in self._open()}
        moves = self._moves(key, value if value != self.answers[key] else base[key], others)
        if not moves:
            return None
        value = value if value != self.answers[key] else base[key]
        for name in list(others):
            fewer = {other: others[other] for other in others if other != name}
            still = self._moves(key, value, fewer)
            if still:
                others, moves = fewer, still
        return Together(value, others, moves)

    def _moves(self, key: str, value: Value, others: Mapping[str, Value]) -> tuple[Moved, ...]:
        """What the answer moves where the others are different as well."""
        there = with_answers(self.answers, others)
        return differences(outcome(there, self.facts), outcome(there.changed(key, value), self.facts))


def outcome(answers: Answers, facts: Facts) -> Outcome:
    """What the interview watches: each role in words, and the question to start with."""
    found = {}
    for role, choice in choose_all(answers, facts).items():
        waits = {"defer": "can wait", "skip": "not needed", "none": "no tool is left"}
        found[role] = waits.get(choice.verdict) or " + ".join((choice.tool or "", *choice.beside))
    found[START] = readiness(answers, facts).weakest or "nothing: all three are a yes"
    return found


def differences(before: Outcome, after: Outcome) -> tuple[Moved, ...]:
    return tuple(Moved(name, before[name], after[name]) for name in before if before[name] != after[name])


def values_to_try(key: str, answers: Answers, facts: Facts, compared: Sequence[Value]) -> list[Value]:
    """The other answers worth trying: those of the sensitivity analysis, each choice alone, the tools that a rule
    names, and both sides of every limit that a rule compares a number with."""
    question, current = facts.questions[key], answers[key]
    values = list(other_answers(question, current))
    if question.type == "choices":
        values += [(), *((name,) for name in question.allowed)]
    elif question.type == "tool":
        values += compared
    elif question.type == "int":
        limits = [int(limit) for limit in compared if isinstance(limit, (int, float))]
        least = question.least or 0
        values += [side for limit in limits for side in (limit - 1, limit + 1) if side >= least]
    return [value for value in dict.fromkeys(values) if value != current]


def compared_with(facts: Facts) -> dict[str, list[Value]]:
    """For each question, every single value that some rule compares its answer with."""
    found: dict[str, dict[Value, None]] = {}
    for condition in (condition for group in _groups(facts) for condition in group):
        values = condition.value if isinstance(condition.value, tuple) else (condition.value,)
        found.setdefault(condition.key, {}).update(dict.fromkeys(values))
    return {key: list(values) for key, values in found.items()}


def _groups(facts: Facts) -> Iterator[AllOf]:
    for gate in facts.gates:
        yield from (gate.when, *gate.unless)
    for tree in facts.trees.values():
        for aspect in tree.aspects:
            yield from (aspect.when, *aspect.any)
        for branch in tree.branches:
            yield from (branch.when, *branch.any)
    for criterion in facts.criteria:
        yield from (group for change in criterion.changes for group in (change.when, *change.any))


def with_answers(answers: Answers, values: Mapping[str, Value]) -> Answers:
    """The same team with other answers."""
    for key, value in values.items():
        answers = answers.changed(key, value)
    return answers
