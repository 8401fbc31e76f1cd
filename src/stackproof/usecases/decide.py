"""Decide a stack from answers, and write the decision down."""

import datetime
import json
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from stackproof import __version__
from stackproof.decide import Answers, Decision, decide, decided_stack, parse_answers
from stackproof.decide.answers import answer_fault
from stackproof.decide.contradictory import Contradiction, find
from stackproof.errors import RefusedInput, UnknownName
from stackproof.facts import Facts, load_facts
from stackproof.facts.model import Fact, Question, Tool, Value
from stackproof.roles import ROLES
from stackproof.roles.proof import Proof

DONT_KNOW = frozenset({"", "?", "don't know", "dont know"})
TRUTHS = {"y": True, "yes": True, "true": True, "n": False, "no": False, "false": False}
MOST_BYTES = 1_000_000
"""No file of answers is larger; one that is was named by mistake."""

FORMATS = ("text", "json", "markdown", "html")
PROOF_FOLDERS = (Path("proofs"), Path(".stackproof") / "proofs")
"""Where proofs are looked for when none are named: the first one that there is."""


@dataclass(frozen=True, slots=True)
class Request:
    """What to decide with. `overlays`: folders of the user's own facts. `proofs`: a folder of proofs, None for where
    they usually lie. `role`: keep only this one. `resolve`: ask whether the chosen packages install together."""

    as_of: datetime.date
    role: str | None = None
    sensitivity: bool = True
    overlays: tuple[Path, ...] = ()
    proofs: Path | None = None
    resolve: bool = False


def known_facts(overlays: Sequence[Path] = ()) -> Facts:
    """The shipped facts with the user's own laid over them: those refreshed, those of STACKPROOF_FACTS, `overlays`.

    Raises `RefusedInput` with every fault of every file.
    """
    from stackproof.facts.overlay import own_folders

    return load_facts(overlays=own_folders(overlays))


def read_answers(path: Path | None, facts: Facts | None = None) -> Answers:
    """The answers in a file, or nothing but assumptions for None.

    Raises `RefusedInput` with every fault: file, key, what was given, what is allowed.
    """
    facts = facts or load_facts()
    if path is None:
        return parse_answers({}, facts)
    return parse_answers(read_table(path, "The answers"), facts, source=path.name)


def read_table(path: Path, what: str) -> dict[str, Any]:
    """A TOML file, with or without a byte order mark. `what`: how a refusal names it.

    Raises `RefusedInput` for what can't be read, is too large, not UTF-8 or not TOML.
    """
    hint = "stackproof decide --help"
    try:
        if path.is_file() and path.stat().st_size > MOST_BYTES:
            allowed = f"a TOML file of at most {MOST_BYTES:,} bytes"
            raise RefusedInput(f"{what} can't be that large", got=str(path), allowed=allowed, next_command=hint)
        return tomllib.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        raise RefusedInput(
            f"{what} can't be read: {error.strerror}", got=str(path), allowed="a TOML file", next_command=hint
        ) from error
    except UnicodeDecodeError as error:
        raise RefusedInput(f"{what} are not UTF-8", got=str(path), next_command=hint) from error
    except (ValueError, RecursionError) as error:  # a number of too many digits, brackets within brackets
        raise RefusedInput(f"{path.name} is not TOML: {error}", got=str(path), next_command=hint) from error


def decide_stack(
    answers_path: Path | None, *, as_of: datetime.date, role: str | None = None, sensitivity: bool = True
) -> Decision:
    """Decide from a file of answers, or from assumptions alone for None. `role`: keep only this one.

    Raises `RefusedInput` for answers with faults and `UnknownName` for a role that there is not.
    """
    facts = known_facts()
    answers = read_answers(answers_path, facts)
    return decide_for(answers, facts, Request(as_of, role=role, sensitivity=sensitivity))


def decide_for(
    answers: Answers, facts: Facts, request: Request, *, told: Callable[[str], None] = lambda _: None
) -> Decision:
    """Decide from answers already read. `told`: gets a line for each thing that takes long.

    Raises like `check`, `RefusedInput` for proofs with faults, and `Unavailable` when a resolution was asked for and
    the package index can't be reached.
    """
    check(request)
    decision = decide(
        answers,
        facts,
        as_of=request.as_of,
        sensitivity=request.sensitivity,
        version=__version__,
        proofs=found_proofs(request.proofs),
    )
    if request.resolve:
        from stackproof.usecases.resolve import resolve

        decision = replace(decision, resolution=resolve(decision, facts, told=told))
    return decision if request.role is None else _only(decision, request.role)


def check(request: Request) -> None:
    """Raises `UnknownName` for a role that there is not."""
    if request.role is not None and request.role not in ROLES:
        raise UnknownName("role", request.role, ROLES)


def _only(decision: Decision, role: str) -> Decision:
    about = tuple(found for found in decision.conflicts if found.text.startswith(role))
    return replace(decision, roles={role: decision.roles[role]}, conflicts=about)


def found_proofs(folder: Path | None) -> tuple[Proof, ...]:
    """Those measured on this machine, in `folder` or where they usually lie; none where there is none.

    Raises `RefusedInput` for a folder that was named and is none, and for proofs with faults.
    """
    named = next((place for place in PROOF_FOLDERS if place.is_dir()), None) if folder is None else folder
    if named is None:
        return ()
    if not named.is_dir():
        raise RefusedInput("There is no such folder of proofs", got=str(named), allowed="a folder of proof files")
    from stackproof.usecases.proofs import read_proofs, this_machine

    return read_proofs(named, this_machine())


def contradictions(answers: Answers, facts: Facts) -> tuple[Contradiction, ...]:
    """Answers that can't all be true of one team."""
    return find(answers, facts)


def decision_json(decision: Decision) -> str:
    return json.dumps(decision.to_document(), indent=2, ensure_ascii=False) + "\n"


def rendered(decision: Decision, format_: str, facts: Facts) -> str:
    """The whole decision as "json", "markdown" or "html". `facts`: those that it was decided with."""
    if format_ == "json":
        return decision_json(decision)
    names = {tool.id: tool.name for tool in facts.tools.values()}
    if format_ == "markdown":
        from stackproof.decide.markdown import decision_record

        return decision_record(decision, names=names)
    from stackproof.usecases.decision_page import decision_page

    return decision_page(decision, names=names, pairs=facts.pairs)


def write_decision(decision: Decision, out: Path, facts: Facts, *, project: str = "decided") -> list[Path]:
    """Write decision.json, decision.md, decision.html, answers.toml and, for all nine roles, stack.toml into `out`.

    Each file is replaced whole. `facts`: those that it was decided with. Returns the files.
    Raises `RefusedInput` when `out` is no folder, `StorageFailed` or `StorageFull`.
    """
    from stackproof.store.files import make_folders, write_durably

    if out.exists() and not out.is_dir():
        raise RefusedInput("The decision is written into a folder, and this is a file", got=str(out))
    texts = {
        "decision.json": rendered(decision, "json", facts),
        "decision.md": rendered(decision, "markdown", facts),
        "decision.html": rendered(decision, "html", facts),
        "answers.toml": answers_text(decision.answers),
    }
    make_folders(out)
    for name, text in texts.items():
        write_durably(out / name, text.encode())
    written = [out / name for name in texts]
    if len(decision.roles) == len(ROLES):
        from stackproof.stack.file import write_stack
        from stackproof.stack.live import fillings

        stack = decided_stack(decision, project)
        notes = {one.role: f"{one.because}: {one.by} fills it" for one in fillings(stack) if one.because}
        write_stack(stack, out / "stack.toml", notes)
        written.append(out / "stack.toml")
    return written


def answers_text(document: Mapping[str, Any]) -> str:
    """Answers as answers.toml has them."""
    import tomli_w

    return tomli_w.dumps(dict(document))


def given_answers(answers: Answers) -> dict[str, dict[str, Any]]:
    """Only what was said, without what is assumed."""
    said = {
        section: {name: value for name, value in table.items() if f"{section}.{name}" in answers.given}
        for section, table in answers.to_document().items()
        if section != "weights"
    }
    weights = {"weights": dict(answers.weights)} if answers.weights else {}
    return {section: table for section, table in said.items() if table} | weights


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


def understood(question: Question, text: str, facts: Facts) -> Value:
    """What a person typed, as an answer; None for "don't know". Raises `RefusedInput` with what is allowed."""
    typed = text.strip()
    if typed.lower() in DONT_KNOW:
        return None
    value = _typed(question, typed)
    fault = answer_fault(question, value, facts)
    if fault:
        raise RefusedInput(f"That is no answer to {question.key}: {fault}")
    return tuple(dict.fromkeys(value)) if isinstance(value, list) else value


def _typed(question: Question, typed: str) -> Any:
    if question.type == "bool":
        return TRUTHS.get(typed.lower(), typed)
    if question.type == "choices":
        none = typed.lower() in ("none", "[]")
        return [] if none else [part for part in typed.replace(",", " ").split() if part]
    if question.type in ("int", "number"):
        number = _number(typed.replace("_", "").replace(",", ""), whole=question.type == "int")
        return typed if number is None else number
    return typed


def _number(typed: str, *, whole: bool) -> int | float | None:
    """None where it is no number."""
    try:
        return int(typed) if whole else float(typed)
    except ValueError:
        return None
