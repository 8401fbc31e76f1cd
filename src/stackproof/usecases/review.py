"""An earlier decision held against what is known today: what changed since, tool by tool.

The old answers are decided again with today's facts. What the decision recorded of each chosen tool (its reasons of
kind "fact" and its warnings) is compared with what would be recorded now.
"""

import datetime
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stackproof.decide import Answers, Decision, parse_answers
from stackproof.decide.answers import answer_fault
from stackproof.decide.decision import SCHEMA, Reason, RoleDecision, Warned
from stackproof.decide.reach import Rejection, reach
from stackproof.errors import RefusedInput
from stackproof.facts.expiry import expired
from stackproof.facts.model import DOUBTFUL, Facts, Tool
from stackproof.usecases.decide import Request, decide_for, read_answers

FILE = "decision.json"
MOST_BYTES = 50_000_000
SCORE_MOVED = 0.005
"""Scores that differ by less are the same when rounded."""

_STATEMENT = {
    "type": "object",
    "properties": {"text": {"type": "string"}, "source": {"type": "string"}},
    "required": ["text", "source"],
}
_ROLE = {
    "type": "object",
    "properties": {
        "verdict": {"enum": ["use", "defer", "skip", "none"]},
        "tool": {"type": ["string", "null"]},
        "with": {"type": "array", "items": {"type": "string"}},
        "reasons": {"type": "array", "items": _STATEMENT},
        "warnings": {"type": "array", "items": _STATEMENT},
        "score": {"type": ["number", "null"]},
    },
    "required": ["verdict", "tool", "with", "reasons", "warnings"],
}
SHAPE: dict[str, Any] = {
    "type": "object",
    "properties": {
        "as_of": {"type": "string"},
        "facts_digest": {"type": "string"},
        "answers": {"type": "object", "additionalProperties": {"type": "object"}},
        "assumed": {"type": "array", "items": {"type": "object", "required": ["key"]}},
        "roles": {"type": "object", "minProperties": 1, "additionalProperties": _ROLE},
    },
    "required": ["as_of", "facts_digest", "answers", "assumed", "roles"],
}
"""What of decision.json is read; other keys are let be."""


@dataclass(frozen=True, slots=True)
class Statement:
    text: str
    source: str
    date: str | None


@dataclass(frozen=True, slots=True)
class Changed:
    """Something said of a tool. `before` None: it is new. `after` None: it is not said any more."""

    before: Statement | None
    after: Statement | None


@dataclass(frozen=True, slots=True)
class ToolReview:
    """One tool that was chosen. `verdict`: "sound", "doubtful" or "unsound"; `because`: why, None for a sound one."""

    tool: str
    roles: tuple[str, ...]
    verdict: str
    because: Statement | None
    changes: tuple[Changed, ...]


@dataclass(frozen=True, slots=True)
class RoleReview:
    """One role then and now, in words. `why`: the main reason for what is decided now."""

    role: str
    before: str
    after: str
    score_before: float | None
    score_after: float | None
    why: Statement

    @property
    def changed(self) -> bool:
        return self.before != self.after

    @property
    def score_moved(self) -> bool:
        if self.score_before is None or self.score_after is None:
            return False
        return not self.changed and abs(self.score_after - self.score_before) >= SCORE_MOVED


@dataclass(frozen=True, slots=True)
class Review:
    """`decided`: the day of the old decision. `same_facts`: nothing that is known has changed since.

    `notes`: what of the old decision could not be taken over as it stands.
    """

    file: str
    decided: datetime.date
    as_of: datetime.date
    same_facts: bool
    tools: tuple[ToolReview, ...]
    roles: tuple[RoleReview, ...]
    notes: tuple[str, ...]

    @property
    def sound(self) -> bool:
        """Whether every tool that was chosen can still be used."""
        return all(tool.verdict != "unsound" for tool in self.tools)


def review(path: Path, facts: Facts, *, as_of: datetime.date, proofs: Path | None = None) -> Review:
    """Review a decision: its folder, or its decision.json.

    Raises `RefusedInput` where there is none, or where it is not one that this version can read.
    """
    file = path / FILE if path.is_dir() else path
    document = read_decision(file)
    notes: list[str] = []
    answers = _old_answers(document, facts, notes)
    notes += _edited(file.with_name("answers.toml"), answers, facts)
    request = Request(as_of, sensitivity=False, proofs=proofs)
    now = decide_for(answers, facts, request)
    return Review(
        file=str(file),
        decided=datetime.date.fromisoformat(document["as_of"]),
        as_of=as_of,
        same_facts=document["facts_digest"] == facts.digest,
        tools=tuple(_tools(document, now, answers, facts)),
        roles=tuple(_role(role, then, now.roles[role]) for role, then in document["roles"].items()),
        notes=tuple(notes),
    )


def read_decision(file: Path) -> dict[str, Any]:
    """A decision.json, checked as far as it is read. Raises `RefusedInput` with every fault."""
    allowed = "the folder that stackproof decide --out wrote, or its decision.json"
    hint = "stackproof decide --answers answers.toml --out decided"
    try:
        if file.stat().st_size > MOST_BYTES:
            raise RefusedInput("A decision can't be that large", got=str(file), allowed=allowed, next_command=hint)
        document = json.loads(file.read_text("utf-8-sig"))
    except OSError as error:
        raise RefusedInput(
            f"The decision can't be read: {error.strerror}", got=str(file), allowed=allowed, next_command=hint
        ) from error
    except UnicodeDecodeError as error:
        raise RefusedInput(f"{file.name} is not UTF-8", got=str(file), allowed=allowed, next_command=hint) from error
    except (ValueError, RecursionError) as error:
        raise RefusedInput(
            f"{file.name} is not JSON: {error}", got=str(file), allowed=allowed, next_command=hint
        ) from error
    _check(document, file, hint)
    return dict(document)


def _check(document: Any, file: Path, hint: str) -> None:
    schema = document.get("schema") if isinstance(document, Mapping) else None
    if not isinstance(schema, int) or "stackproof" not in document:
        raise RefusedInput(f"{file.name} is no decision of Stackproof", got=str(file), next_command=hint)
    if schema > SCHEMA:
        raise RefusedInput(
            f"{file.name} was written by a newer Stackproof ({document['stackproof']})",
            got=f"schema {schema}",
            allowed=f"schema {SCHEMA} or older",
            next_command="stackproof --version",
        )
    from stackproof.facts.shape import faults

    found = faults(document, SHAPE, file.name) or _faults_of_meaning(document, file)
    if found:
        raise RefusedInput(f"{file.name} has faults", got=str(file), faults=found, next_command=hint)


def _faults_of_meaning(document: Mapping[str, Any], file: Path) -> list[str]:
    from stackproof.roles import ROLES

    found = [
        f"{file.name}: roles.{role}: unknown role. Allowed: {', '.join(ROLES)}"
        for role in document["roles"]
        if role not in ROLES
    ]
    try:
        datetime.date.fromisoformat(document["as_of"])
    except ValueError:
        found.append(f"{file.name}: as_of: got {document['as_of']!r}. Allowed: a day, 2026-11-21")
    return found


def _old_answers(document: Mapping[str, Any], facts: Facts, notes: list[str]) -> Answers:
    """The answers that were decided with; those that this version doesn't know are left out, and noted."""
    assumed = {item["key"] for item in document["assumed"]}
    kept: dict[str, dict[str, Any]] = {}
    for section, table in document["answers"].items():
        for name, value in table.items():
            key = f"{section}.{name}"
            if section == "weights":
                fault = _fault_of_weight(name, value, facts)
            elif key in assumed:
                continue
            else:
                question = facts.questions.get(key)
                fault = "no such question any more" if question is None else answer_fault(question, value, facts)
            if fault:
                notes.append(f"The old answer {key} is left out: {fault.partition('. Allowed')[0]}")
            else:
                kept.setdefault(section, {})[name] = value
    return parse_answers(kept, facts)


def _fault_of_weight(name: str, value: Any, facts: Facts) -> str:
    try:
        parse_answers({"weights": {name: value}}, facts)
    except RefusedInput:
        return "no such criterion any more, or no weight from 0 to 10"
    return ""


def _edited(file: Path, old: Answers, facts: Facts) -> Iterator[str]:
    """Where the answers beside the decision are no longer those that it was made with."""
    if not file.is_file():
        return
    try:
        new = read_answers(file, facts)
    except RefusedInput as refused:
        yield f"{file.name} beside the decision can't be read; the answers in {FILE} are used. {refused.what}"
        return
    differing = [key for key in facts.questions if new[key] != old[key]]
    if differing or dict(new.weights) != dict(old.weights):
        keys = ", ".join(differing) or "weights"
        yield f"{file.name} was changed since ({keys}); this reviews the decision as it was made"


def _tools(then: Mapping[str, Any], now: Decision, answers: Answers, facts: Facts) -> Iterator[ToolReview]:
    """Each tool that was in use, once, in the order of the roles."""
    roles: dict[str, list[str]] = {}
    for role, choice in then["roles"].items():
        if choice["verdict"] == "use":
            for name in (choice["tool"], *choice["with"]):
                roles.setdefault(name, []).append(role)
    judged = reach(facts, answers)
    for name, filled in roles.items():
        tool = facts.tools.get(name)
        way = judged.get(name)
        verdict, because = _verdict(name, tool, way if isinstance(way, Rejection) else None, now.as_of)
        said_now = [s for role in filled if role in now.roles for s in _said_now(name, now.roles[role])]
        chosen = any(name in _names(now.roles[role]) for role in filled if role in now.roles)
        said_then = [s for role in filled for s in _said_then(name, then["roles"][role])]
        changes = [one for one in _differences(said_then, said_now) if chosen and not _is(one.after, because)]
        yield ToolReview(name, tuple(filled), verdict, because, tuple(changes))


def _verdict(
    name: str, tool: Tool | None, struck: Rejection | None, as_of: datetime.date
) -> tuple[str, Statement | None]:
    if tool is None:
        text = "Stackproof knows no tool of this name any more, so that nothing vouches for it"
        return "unsound", Statement(text, "the facts", None)
    if struck is not None:
        return "unsound", Statement(struck.because, f"facts of {name}: {struck.source}", _day(struck.date))
    status = tool.status
    if status.value in DOUBTFUL or not status.verified:
        words = str(status.value).replace("_", ", ") if status.verified else "not verified: look before you rely on it"
        text = f"Its lifecycle is {words}{f'. {status.detail}' if status.detail and status.verified else ''}"
        return "doubtful", Statement(text, f"facts of {name}: {status.source}", _day(status.date))
    old = expired(status, as_of, tool.name)
    if old is not None:
        return "doubtful", Statement(old.text, f"facts of {name}: {status.source}", _day(status.date))
    return "sound", None


def _is(said: Statement | None, because: Statement | None) -> bool:
    """Whether a statement says again why a tool is doubtful."""
    return said is not None and because is not None and said.text == because.text


def _names(choice: RoleDecision) -> tuple[str, ...]:
    return (choice.tool, *choice.beside) if choice.verdict == "use" and choice.tool else ()


def _said_then(name: str, choice: Mapping[str, Any]) -> Iterator[Statement]:
    facts = [reason for reason in choice["reasons"] if reason.get("kind") == "fact"]
    for said in (*facts, *choice["warnings"]):
        if said["source"].startswith(f"facts of {name}:"):
            yield Statement(said["text"], said["source"], said.get("date"))


def _said_now(name: str, choice: RoleDecision) -> Iterator[Statement]:
    facts: list[Reason | Warned] = [reason for reason in choice.reasons if reason.kind == "fact"]
    for said in (*facts, *choice.warnings):
        if said.source.startswith(f"facts of {name}:"):
            yield Statement(said.text, said.source, _day(said.date))


def _differences(then: Iterable[Statement], now: Iterable[Statement]) -> Iterator[Changed]:
    """What is said otherwise, what is said no more, what is new. Ages in days grow by themselves and don't count."""
    before = {_ageless(one.text): one for one in then}
    after = {_ageless(one.text): one for one in now}
    gone = [one for text, one in before.items() if text not in after]
    new = [one for text, one in after.items() if text not in before]
    for one in gone:
        match = next((other for other in new if _begins_alike(one.text, other.text)), None)
        if match is not None:
            new.remove(match)
        yield Changed(one, match)
    yield from (Changed(None, one) for one in new)


def _ageless(text: str) -> str:
    return re.sub(r"\d+ days", "so many days", text)


def _begins_alike(one: str, other: str) -> bool:
    """Whether both speak of the same: their first three words are equal, as in "MLflow is active; ..."."""
    return one.split()[:3] == other.split()[:3]


def _role(role: str, then: Mapping[str, Any], now: RoleDecision) -> RoleReview:
    before = _in_words(then["verdict"], [then["tool"] or "", *then["with"]])
    after = _in_words(now.verdict, [now.tool or "", *now.beside])
    main = now.reasons[0]
    why = Statement(main.text, main.source, _day(main.date))
    return RoleReview(role, before, after, then.get("score"), now.score, why)


def _in_words(verdict: str, tools: list[str]) -> str:
    waits = {"defer": "can wait", "skip": "not needed", "none": "no tool is left"}
    return waits.get(verdict) or " + ".join(tools)


def _day(day: datetime.date | None) -> str | None:
    return None if day is None else day.isoformat()
