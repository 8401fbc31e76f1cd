"""What a team says about itself, checked against the questions."""

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from stackproof.errors import RefusedInput, did_you_mean
from stackproof.facts.model import Facts, Question, Value

HIGHEST_WEIGHT = 10
MOST = 10**15
"""No number of an answer is larger."""


@dataclass(frozen=True, slots=True)
class Answers:
    """A value for every question, assumed where it was not given. `given`: the keys that were.

    `weights`: the user's own weights of criteria, 0 to 10.
    """

    values: Mapping[str, Value]
    given: frozenset[str]
    weights: Mapping[str, float] = field(default_factory=dict)

    def __getitem__(self, key: str) -> Value:
        return self.values[key]

    def text(self, key: str) -> str:
        """A single choice, "" where there is none."""
        value = self.values[key]
        return value if isinstance(value, str) else ""

    def number(self, key: str) -> float:
        value = self.values[key]
        return value if isinstance(value, (int, float)) else 0

    def names(self, key: str) -> tuple[str, ...]:
        """The chosen ones, in the order given."""
        value = self.values[key]
        return value if isinstance(value, tuple) else ()

    def changed(self, key: str, value: Value) -> "Answers":
        """The same team with one other answer."""
        return Answers({**self.values, key: value}, self.given | {key}, self.weights)

    def to_document(self) -> dict[str, dict[str, Any]]:
        """As answers.toml has it: every section, without the keys that have no answer."""
        document: dict[str, dict[str, Any]] = {}
        for key, value in self.values.items():
            section, _, name = key.partition(".")
            table = document.setdefault(section, {})
            if value is not None:
                table[name] = list(value) if isinstance(value, tuple) else value
        if self.weights:
            document["weights"] = dict(self.weights)
        return document


def parse_answers(document: Mapping[str, Any], facts: Facts, *, source: str = "answers.toml") -> Answers:
    """The answers in a document of the shape of answers.toml.

    Raises `RefusedInput` with every fault: file, key, what was given, what is allowed.
    """
    faults: list[str] = []
    values: dict[str, Value] = {key: question.default for key, question in facts.questions.items()}
    given: set[str] = set()
    sections = _sections(facts.questions)
    weights = _weights(document.get("weights", {}), facts, faults)
    for section, table in document.items():
        if section == "weights":
            continue
        if section not in sections:
            faults.append(_unknown("section", section, [*sections, "weights"]))
        elif not isinstance(table, Mapping):
            faults.append(f"{section}: got {table!r}. Allowed: a table, [{section}]")
        else:
            for name, value in table.items():
                key = f"{section}.{name}"
                if key not in facts.questions:
                    faults.append(_unknown("key", key, (k for k in facts.questions if k.startswith(f"{section}."))))
                    continue
                fault = answer_fault(facts.questions[key], value, facts)
                if fault:
                    faults.append(f"{key}: {fault}")
                else:
                    values[key] = tuple(dict.fromkeys(value)) if isinstance(value, (list, tuple)) else value
                    given.add(key)
    if faults:
        raise RefusedInput(
            f"{source} has {len(faults)} fault{'s' if len(faults) > 1 else ''}; nothing was decided",
            faults=[f"{source}: {fault}" for fault in faults],
            next_command="stackproof decide --help",
        )
    return Answers(values, frozenset(given), weights)


def answer_fault(question: Question, value: Any, facts: Facts) -> str:
    """What is wrong with an answer, "" when nothing is."""
    if question.type == "bool":
        return "" if isinstance(value, bool) else f"got {value!r}. Allowed: true, false"
    if question.type in ("int", "number"):
        return _number_fault(question, value)
    if question.type == "choices":
        return _choices_fault(question, value)
    allowed = sorted(facts.tools) if question.type == "tool" else question.allowed
    return _choice_fault(value, allowed)


def _sections(questions: Mapping[str, Question]) -> list[str]:
    return list(dict.fromkeys(key.partition(".")[0] for key in questions))


def _unknown(kind: str, name: str, names: Iterable[str]) -> str:
    known = list(names)
    return f"{name}: unknown {kind}{did_you_mean(name, known)}. Allowed: {', '.join(known)}"


def _number_fault(question: Question, value: Any) -> str:
    least = question.least if question.least is not None else 0
    kind = "a whole number" if question.type == "int" else "a number"
    allowed = f"Allowed: {kind}, at least {least:g}"
    if isinstance(value, bool) or not isinstance(value, int if question.type == "int" else (int, float)):
        return f"got {value!r}. {allowed}"
    if isinstance(value, int) and abs(value) > MOST:
        return f"got a number of {len(str(abs(value)))} digits. {allowed}, at most {MOST:,}"
    return "" if isfinite(value) and value >= least else f"got {value!r}. {allowed}"


def _choices_fault(question: Question, value: Any) -> str:
    allowed = f"Allowed: a list of any of {', '.join(question.allowed)}"
    if not isinstance(value, (list, tuple)):
        return f"got {_shown(value)}. {allowed}"
    wrong = [item for item in value if item not in question.allowed]
    if not wrong:
        return ""
    return f"got {', '.join(repr(item) for item in wrong)}{did_you_mean(str(wrong[0]), question.allowed)}. {allowed}"


def _choice_fault(value: Any, allowed: Iterable[str]) -> str:
    names = list(allowed)
    if isinstance(value, str) and value in names:
        return ""
    return f"got {_shown(value)}{did_you_mean(str(value), names)}. Allowed: {', '.join(names)}"


def _shown(value: Any) -> str:
    return value.isoformat() if isinstance(value, (datetime.date, datetime.time)) else repr(value)


def _weights(table: Any, facts: Facts, faults: list[str]) -> dict[str, float]:
    if not isinstance(table, Mapping):
        faults.append(f"weights: got {table!r}. Allowed: a table, [weights]")
        return {}
    known = list(dict.fromkeys(criterion.id for criterion in facts.criteria))
    for name, weight in table.items():
        if name not in known:
            faults.append(_unknown("criterion", f"weights.{name}", [f"weights.{one}" for one in known]))
        number = isinstance(weight, (int, float)) and not isinstance(weight, bool)
        if not number or not 0 <= weight <= HIGHEST_WEIGHT:
            faults.append(f"weights.{name}: got {weight!r}. Allowed: a number from 0 to {HIGHEST_WEIGHT}")
    return {name: table[name] for name in sorted(table)}
