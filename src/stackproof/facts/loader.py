"""Read the folder of facts and check it.

The shipped folder is checked against its schemas by the tests, so that loading it takes no schema
library; it is held against them only when something in it can't be read. Every other folder always is.
"""

import hashlib
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stackproof.errors import RefusedInput, did_you_mean
from stackproof.facts.model import Facts, Tree
from stackproof.facts.reading import read_gate, read_question, read_source, read_tool, read_tree, read_votes
from stackproof.facts.shape import find_faults, line_of

SHIPPED = Path(__file__).parent
TABLES = ("questions", "gates", "sources", "votes")


def load_facts(folder: Path | None = None) -> Facts:
    """The facts in `folder`, by default the shipped ones.

    Raises `RefusedInput` with every fault of every file: file, line where it is found, key, what is allowed.
    """
    texts = _texts(folder or SHIPPED)
    documents, faults = _parse(texts)
    if folder is not None:
        faults += schema_faults(texts, documents)
    if not faults:
        try:
            facts = _build(documents, _digest(texts))
        except (KeyError, TypeError, ValueError, AttributeError):
            faults = schema_faults(texts, documents)
            if not faults:
                raise
        else:
            faults = cross_faults(facts)
    if faults:
        raise RefusedInput("The facts have faults", faults=faults, next_command="stackproof catalog")
    return facts


def schema_faults(texts: Mapping[str, str], documents: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Every fault of shape, each with its file and, where it is found, its line."""
    found = []
    for name, document in documents.items():
        schema = json.loads((SHIPPED / "schema" / f"{_kind(name)}.json").read_text("utf-8"))
        for fault in find_faults(document, schema):
            line = line_of(texts[name], fault.path)
            found.append(f"{name}{f', line {line}' if line else ''}: {fault}")
    return found


def cross_faults(facts: Facts) -> list[str]:
    """Names that name nothing: tools, questions, documents, aspects."""
    found = []
    for tool in facts.tools.values():
        for other in (*tool.requires, *tool.replaced_by):
            found += _unknown(f"tools/{tool.id}.toml", "tool", other, facts.tools)
        for document in tool.named_in:
            found += _unknown(f"tools/{tool.id}.toml", "source", document, facts.sources)
        for condition in (c for caution in tool.cautions for c in caution.when):
            found += _unknown(f"tools/{tool.id}.toml", "question", condition.key, facts.questions)
    for tree in facts.trees.values():
        found += _tree_faults(tree, facts)
    for gate in facts.gates:
        found += _unknown("gates.toml", "source", gate.source, facts.sources)
        for condition in (*gate.when, *(c for group in gate.unless for c in group)):
            found += _unknown("gates.toml", "question", condition.key, facts.questions)
    return found


def _tree_faults(tree: Tree, facts: Facts) -> list[str]:
    name = f"trees/{tree.role}.toml"
    found = []
    aspects = {aspect.name: aspect for aspect in tree.aspects}
    conditions = [c for aspect in tree.aspects for c in (*aspect.when, *(c for g in aspect.any for c in g))]
    for branch in tree.branches:
        found += _unknown(name, "source", branch.source, facts.sources)
        found += _unknown(name, "aspect", branch.aspect, aspects)
        conditions += [*branch.when, *branch.given, *(c for group in branch.any for c in group)]
        named = [tool for pick in branch.picks for tool in (pick.tool, *pick.beside)]
        for tool in (*named, *([branch.refines] if branch.refines else [])):
            found += _unknown(name, "tool", tool, facts.tools)
    for condition in conditions:
        found += _unknown(name, "question", condition.key, facts.questions)
    return found


def _unknown(file: str, kind: str, name: str, names: Mapping[str, object]) -> list[str]:
    return [] if name in names else [f"{file}: there is no {kind} named {name!r}{did_you_mean(name, names)}"]


def _texts(folder: Path) -> dict[str, str]:
    files = [*(folder / f"{name}.toml" for name in TABLES), *sorted(folder.glob("t*/*.toml"))]
    try:
        return {file.relative_to(folder).as_posix(): file.read_text("utf-8") for file in files}
    except OSError as error:
        raise RefusedInput("A file of the facts can't be read", got=f"{error.filename}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise RefusedInput("A file of the facts is not UTF-8", got=str(error)) from error


def _parse(texts: Mapping[str, str]) -> tuple[dict[str, dict[str, Any]], list[str]]:
    documents: dict[str, dict[str, Any]] = {}
    faults = []
    for name, text in texts.items():
        try:
            documents[name] = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            faults.append(f"{name}: this is not TOML: {error}")
    return documents, faults


def _kind(name: str) -> str:
    folder, _, _ = name.rpartition("/")
    return {"tools": "tool", "trees": "tree"}.get(folder, Path(name).stem)


def _digest(texts: Mapping[str, str]) -> str:
    digest = hashlib.sha256()
    for name in sorted(texts):
        digest.update(f"{name}\0{texts[name]}\0".encode())
    return f"sha256:{digest.hexdigest()}"


def _build(documents: Mapping[str, Mapping[str, Any]], digest: str) -> Facts:
    tools = [read_tool(document) for name, document in documents.items() if _kind(name) == "tool"]
    trees = [read_tree(document) for name, document in documents.items() if _kind(name) == "tree"]
    questions = [read_question(table) for table in documents["questions.toml"]["questions"]]
    sources = [read_source(table) for table in documents["sources.toml"]["sources"]]
    return Facts(
        tools={tool.id: tool for tool in tools},
        questions={question.key: question for question in questions},
        trees={tree.role: tree for tree in trees},
        gates=tuple(read_gate(table) for table in documents["gates.toml"]["gates"]),
        sources={source.file: source for source in sources},
        votes=read_votes(documents["votes.toml"]),
        digest=digest,
    )


__all__ = ["SHIPPED", "cross_faults", "load_facts", "schema_faults"]
