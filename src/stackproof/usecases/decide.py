"""Decide a stack from answers, explain one role, compare tools."""

import datetime
import json
import tomllib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from stackproof import __version__
from stackproof.decide import Answers, Decision, decide, decided_stack, parse_answers
from stackproof.decide.answers import answer_fault
from stackproof.errors import RefusedInput, UnknownName
from stackproof.facts import Facts, load_facts
from stackproof.facts.model import Fact, Question, Tool, Value
from stackproof.roles import ROLES

ASKED_SECTIONS = ("organization", "infrastructure", "use_case", "needs", "readiness")
"""The sections that an interactive decision asks; priorities and tools in use are for the file."""

DONT_KNOW = frozenset({"", "?", "don't know", "dont know"})
TRUTHS = {"y": True, "yes": True, "true": True, "n": False, "no": False, "false": False}
COMPARED = (
    "status",
    "licence",
    "licence_kind",
    "self_hosting",
    "release",
    "price_claimed",
    "frameworks",
    "cloud",
    "audit",
    "protocols",
    "documents_say",
    "documents_outdated",
)


def read_answers(path: Path | None, facts: Facts | None = None) -> Answers:
    """The answers in a file, or nothing but assumptions for None.

    Raises `RefusedInput` with every fault: file, key, what was given, what is allowed.
    """
    facts = facts or load_facts()
    if path is None:
        return parse_answers({}, facts)
    hint = "stackproof decide --help"
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise RefusedInput(
            f"The answers can't be read: {error.strerror}", got=str(path), allowed="a TOML file", next_command=hint
        ) from error
    except UnicodeDecodeError as error:
        raise RefusedInput("The answers are not UTF-8", got=str(path), next_command=hint) from error
    except tomllib.TOMLDecodeError as error:
        raise RefusedInput(f"{path.name} is not TOML: {error}", got=str(path), next_command=hint) from error
    return parse_answers(document, facts, source=path.name)


def decide_stack(
    answers_path: Path | None, *, as_of: datetime.date, role: str | None = None, sensitivity: bool = True
) -> Decision:
    """Decide from a file of answers, or from assumptions alone for None. `role`: keep only this one.

    Raises `RefusedInput` for answers with faults and `UnknownName` for a role that there is not.
    """
    facts = load_facts()
    return decide_for(read_answers(answers_path, facts), facts, as_of=as_of, role=role, sensitivity=sensitivity)


def decide_for(
    answers: Answers, facts: Facts, *, as_of: datetime.date, role: str | None = None, sensitivity: bool = True
) -> Decision:
    """Decide from answers already read. Raises `UnknownName` for a role that there is not."""
    if role is not None and role not in ROLES:
        raise UnknownName("role", role, ROLES)
    decision = decide(answers, facts, as_of=as_of, sensitivity=sensitivity, version=__version__)
    if role is None:
        return decision
    about = tuple(found for found in decision.conflicts if found.text.startswith(role))
    return replace(decision, roles={role: decision.roles[role]}, conflicts=about)


def explain(answers_path: Path | None, role: str, *, as_of: datetime.date) -> Decision:
    """The decision for one role, with what would change it. Raises like `decide_stack`."""
    return decide_stack(answers_path, as_of=as_of, role=role)


def decision_json(decision: Decision) -> str:
    return json.dumps(decision.to_document(), indent=2, ensure_ascii=False) + "\n"


def write_decision(decision: Decision, out: Path, *, project: str = "decided") -> list[Path]:
    """Write decision.json, decision.md, answers.toml and, for all nine roles, stack.toml into the folder `out`.

    Each file is replaced whole. Returns the files. Raises `RefusedInput` when `out` is no folder,
    `StorageFailed` or `StorageFull`.
    """
    import tomli_w

    from stackproof.decide.markdown import decision_record
    from stackproof.store.files import make_folders, write_durably

    if out.exists() and not out.is_dir():
        raise RefusedInput("The decision is written into a folder, and this is a file", got=str(out))
    make_folders(out)
    texts = {
        "decision.json": decision_json(decision),
        "decision.md": decision_record(decision),
        "answers.toml": tomli_w.dumps(dict(decision.answers)),
    }
    for name, text in texts.items():
        write_durably(out / name, text.encode())
    written = [out / name for name in texts]
    if len(decision.roles) == len(ROLES):
        from stackproof.stack.file import write_stack

        write_stack(decided_stack(decision, project), out / "stack.toml")
        written.append(out / "stack.toml")
    return written


def compare(tools: Sequence[str]) -> dict[str, dict[str, Any]]:
    """For each tool, what is known: key to value, detail, source, date, confidence. A key that is not known is absent.

    Raises `UnknownName`.
    """
    facts = load_facts()
    return {name: {key: stated(known) for key, known in _compared(find_tool(facts, name))} for name in tools}


def _compared(tool: Tool) -> list[tuple[str, Fact]]:
    return [(key, tool.facts[key]) for key in COMPARED if key in tool.facts]


def find_tool(facts: Facts, name: str) -> Tool:
    """Raises `UnknownName`."""
    if name not in facts.tools:
        raise UnknownName("tool", name, facts.tools, next_command="stackproof catalog")
    return facts.tools[name]


def stated(fact: Fact) -> dict[str, Any]:
    """A fact as a document. One that is not verified states no value."""
    value = list(fact.value) if isinstance(fact.value, tuple) else fact.value
    return {
        "value": value if fact.verified else None,
        "unverified": None if fact.verified else value,
        "detail": fact.detail or None,
        "since": fact.since.isoformat() if fact.since else None,
        "source": fact.source,
        "date": fact.date.isoformat() if fact.date else None,
        "confidence": fact.confidence,
        **fact.more,
    }


def questions_to_ask(facts: Facts) -> list[Question]:
    """In the order in which they are asked."""
    return [question for question in facts.questions.values() if question.key.partition(".")[0] in ASKED_SECTIONS]


def understood(question: Question, text: str, facts: Facts) -> Value:
    """What a person typed, as an answer; None for "don't know". Raises `RefusedInput` with what is allowed."""
    typed = text.strip()
    if typed.lower() in DONT_KNOW:
        return None
    value = _typed(question, typed)
    fault = answer_fault(question, value, facts)
    if fault:
        raise RefusedInput(f"That is no answer to {question.key}: {fault}")
    return tuple(value) if isinstance(value, list) else value


def _typed(question: Question, typed: str) -> Any:
    if question.type == "bool":
        return TRUTHS.get(typed.lower(), typed)
    if question.type == "choices":
        none = typed.lower() in ("none", "[]")
        return [] if none else [part.strip() for part in typed.split(",") if part.strip()]
    if question.type in ("int", "number"):
        try:
            return int(typed) if question.type == "int" else float(typed)
        except ValueError:
            return typed
    return typed
