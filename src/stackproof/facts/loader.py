"""Read the folder of facts and check it.

The shipped folder is checked against its schemas by the tests, so that loading it takes no schema
library; it is held against them only when something in it can't be read. Every other folder always is.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tomli

from stackproof.errors import RefusedInput, did_you_mean
from stackproof.facts.model import Criterion, Facts, Rating, Tool, Tree
from stackproof.facts.overlay import lay_over, own_folders
from stackproof.facts.reading import (
    priced,
    read_contradiction,
    read_criterion,
    read_gate,
    read_install,
    read_migration,
    read_operation,
    read_pair,
    read_question,
    read_scales,
    read_source,
    read_stack,
    read_tool,
    read_tree,
    read_votes,
)
from stackproof.facts.shape import find_faults, line_of

SHIPPED = Path(__file__).parent
TABLES = ("questions", "gates", "sources", "votes", "scales", "operation", "stacks", "contradictions", "installs")
FOLDERS = {"tools": "tool", "trees": "tree", "criteria": "criteria", "pairs": "pairs", "migrations": "migrations"}
"""Each folder of files, and the schema that they fit."""


def tools_of_facts() -> frozenset[str]:
    """The identifiers of all tools of the facts, the shipped and one's own, without reading any file.

    Raises `RefusedInput` as `own_folders`.
    """
    return frozenset(file.stem for folder in (SHIPPED, *own_folders()) for file in (folder / "tools").glob("*.toml"))


def load_facts(folder: Path | None = None, overlays: Sequence[Path] = ()) -> Facts:
    """The facts in `folder`, by default the shipped ones, with the user's own folders laid over them in order.

    Raises `RefusedInput` with every fault of every file: file, line where it is found, key, what is allowed.
    """
    texts = _texts(folder or SHIPPED)
    documents, faults = _parse(texts)
    if folder is not None:
        faults += schema_faults(texts, documents)
    if not faults:
        documents, faults = _with_overlays(documents, texts, overlays)
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
        raise RefusedInput("The facts have faults", faults=faults, next_command="stackproof catalog check")
    return facts


def _with_overlays(
    documents: dict[str, dict[str, Any]], texts: dict[str, str], overlays: Sequence[Path]
) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """The documents with each folder laid over, whose texts are added to `texts` for the digest."""
    faults = []
    for number, own in enumerate(overlays):
        laid = lay_over(documents, own)
        documents = laid.documents
        texts.update({f"{number}/{label}": text for label, text in laid.texts.items()})
        for name, label in laid.touched.items():
            faults += _faults_of(label, documents[name], laid.texts[label], _kind(name))
    return documents, faults


def schema_faults(texts: Mapping[str, str], documents: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Every fault of shape, each with its file and, where it is found, its line."""
    return [
        fault
        for name, document in documents.items()
        for fault in _faults_of(name, document, texts.get(name, ""), _kind(name))
    ]


def _faults_of(name: str, document: Mapping[str, Any], text: str, kind: str) -> list[str]:
    schema = json.loads((SHIPPED / "schema" / f"{kind}.json").read_text("utf-8"))
    found = []
    for fault in find_faults(document, schema):
        line = line_of(text, fault.path)
        found.append(f"{name}{f', line {line}' if line else ''}: {fault}")
    return found


def cross_faults(facts: Facts) -> list[str]:
    """Names that name nothing: tools, questions, documents, aspects."""
    found = _missing_questions(facts)
    for tool in facts.tools.values():
        for other in (*tool.requires, *tool.replaced_by):
            found += _unknown(f"tools/{tool.id}.toml", "tool", other, facts.tools)
        for document in tool.named_in:
            found += _unknown(f"tools/{tool.id}.toml", "source", document, facts.sources)
        for condition in (c for caution in tool.cautions for c in caution.when):
            found += _unknown(f"tools/{tool.id}.toml", "question", condition.key, facts.questions)
        found += _rating_faults(tool, facts)
    for tree in facts.trees.values():
        found += _tree_faults(tree, facts)
    for gate in facts.gates:
        found += _unknown("gates.toml", "source", gate.source, facts.sources)
        for condition in (*gate.when, *(c for group in gate.unless for c in group)):
            found += _unknown("gates.toml", "question", condition.key, facts.questions)
    found += [fault for criterion in facts.criteria for fault in _criterion_faults(criterion, facts)]
    return found + _naming_faults(facts)


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


def _missing_questions(facts: Facts) -> list[str]:
    """answers.toml has a fixed shape: a question that is left out has no answer to decide by."""
    shipped = re.findall(r'^key = "([^"]+)"', (SHIPPED / "questions.toml").read_text("utf-8"), re.MULTILINE)
    missing = [key for key in shipped if key not in facts.questions]
    return [f"questions.toml: the question {key!r} is missing; answers.toml has it" for key in missing]


def _rating_faults(tool: Tool, facts: Facts) -> list[str]:
    """Ratings on criteria or in words that there are not, and classes of operation that there are not."""
    file, found = f"tools/{tool.id}.toml", []
    for mode in tool.modes:
        if mode.operation:
            found += _unknown(file, "class of operation", mode.operation, facts.operation.classes)
    for rating in tool.ratings:
        scales = {c.scale for c in facts.criteria if c.scale and c.id == rating.criterion and _meets(rating, c, tool)}
        if not scales:
            rated = {criterion.id: None for criterion in facts.criteria if criterion.scale}
            found += _unknown(file, "rated criterion", rating.criterion, rated)
        for scale in scales:
            words = facts.scales.words.get(scale, {})
            found += _unknown(file, f"word for {rating.criterion}", rating.value, words)
    return found


def _meets(rating: Rating, criterion: Criterion, tool: Tool) -> bool:
    """Whether the rating is of this criterion: the same id may stand in several roles, on other scales."""
    if rating.role or not criterion.role:
        return criterion.role in ("", rating.role)
    return criterion.role in (*tool.roles, *tool.parts)


def _criterion_faults(criterion: Criterion, facts: Facts) -> list[str]:
    file = f"criteria/{criterion.role or 'common'}.toml"
    found = _unknown(file, "scale", criterion.scale, facts.scales.words) if criterion.scale else []
    if criterion.aspect and not criterion.role:
        found.append(f"{file}: {criterion.id} names the aspect {criterion.aspect!r} without its role")
    elif criterion.aspect:
        found += _unknown(
            file, "aspect", criterion.aspect, {one.name: one for one in facts.trees[criterion.role].aspects}
        )
    for change in criterion.changes:
        for condition in (*change.when, *(c for group in change.any for c in group)):
            found += _unknown(file, "question", condition.key, facts.questions)
    return found


def _naming_faults(facts: Facts) -> list[str]:
    """What pairs, migrations, stacks and contradictions name."""
    named = [("pairs", name) for pair in facts.pairs for name in pair.tools]
    named += [("migrations", name) for path in facts.migrations for name in (path.source_tool, path.target)]
    named += [("stacks.toml", name) for stack in facts.stacks for tools in stack.roles.values() for name in tools]
    named += [("installs.toml", name) for name in facts.installs]
    named += [("contradictions.toml", name) for one in facts.contradictions for name in one.tools]
    found = [fault for file, name in named if name != "*" for fault in _unknown(file, "tool", name, facts.tools)]
    conditions = [("stacks.toml", c) for stack in facts.stacks for c in stack.when]
    conditions += [("contradictions.toml", c) for one in facts.contradictions for c in one.when]
    for file, condition in conditions:
        found += _unknown(file, "question", condition.key, facts.questions)
    return found


def _unknown(file: str, kind: str, name: str, names: Mapping[str, object]) -> list[str]:
    return [] if name in names else [f"{file}: there is no {kind} named {name!r}{did_you_mean(name, names)}"]


def _texts(folder: Path) -> dict[str, str]:
    files = [
        *(folder / f"{name}.toml" for name in TABLES),
        *(file for name in FOLDERS for file in sorted(folder.glob(f"{name}/*.toml"))),
    ]
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
            documents[name] = tomli.loads(text)
        except tomli.TOMLDecodeError as error:
            faults.append(f"{name}: this is not TOML: {error}")
    return documents, faults


def _kind(name: str) -> str:
    folder, _, _ = name.rpartition("/")
    return FOLDERS.get(folder, Path(name).stem)


def _digest(texts: Mapping[str, str]) -> str:
    digest = hashlib.sha256()
    for name in sorted(texts):
        digest.update(f"{name}\0{texts[name]}\0".encode())
    return f"sha256:{digest.hexdigest()}"


def _build(documents: Mapping[str, Mapping[str, Any]], digest: str) -> Facts:
    def all_of(kind: str) -> list[tuple[str, Mapping[str, Any]]]:
        return [(Path(name).stem, document) for name, document in documents.items() if _kind(name) == kind]

    operation = read_operation(documents["operation.toml"])
    tools = [priced(read_tool(document), operation) for _, document in all_of("tool")]
    trees = [read_tree(document) for _, document in all_of("tree")]
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
        criteria=tuple(read_criterion(table) for _, each in all_of("criteria") for table in each["criteria"]),
        scales=read_scales(documents["scales.toml"]),
        operation=operation,
        pairs=tuple(read_pair(table) for _, each in all_of("pairs") for table in each["pairs"]),
        migrations=tuple(
            read_migration(table, role) for role, each in all_of("migrations") for table in each["migrations"]
        ),
        stacks=tuple(read_stack(table) for table in documents["stacks.toml"]["stacks"]),
        contradictions=tuple(read_contradiction(table) for table in documents["contradictions.toml"]["contradictions"]),
        installs={one.tool: one for one in map(read_install, documents["installs.toml"]["installs"])},
    )


__all__ = ["SHIPPED", "cross_faults", "load_facts", "schema_faults"]
