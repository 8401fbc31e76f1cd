"""Every statement of the four source documents, and what of Stackproof carries it.

`statements/*.toml` lists them. A statement names the rules, ratings and facts that it became (`carried_by`) or says
why it became none (`not_carried`). The sources themselves are not shipped: where they are at hand, `left_over` and
`stale` hold the lists against them.
"""

import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

FENCE = "```"
FRONT_MATTER = "---"
RULE = re.compile(r"(-{3,}|\*{3,}|_{3,})$")
TABLE_RULE = re.compile(r"\|[\s:|-]+\|$")
BULLET = re.compile(r"[-*+]\s+\S")
NUMBERED = re.compile(r"\d+\.\s+\S")
LABEL = re.compile(r"\*\*[^*]+\*\*:?$")
LABELLED = re.compile(r"\*\*[^*]+\*\*:?\s+\S")
ENDED = re.compile(r"[.?!:][\"'”’)]*$")
SENTENCE_END = re.compile(r"[.?!][\"'”’)]*\s+(?=[\"'“‘(]*[A-Z])")
ABBREVIATIONS = ("vs.", "e.g.", "i.e.", "etc.")

WORDS = {
    "jobs": "the jobs that the team puts first (`priorities.jobs`) give votes and weights",
    "proofs": "figures measured on your machine replace ratings",
    "readiness": "the three questions, and what to do first for the weakest",
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a statement stands. `line` counts from 1; `part` is its sentence, from 1, or 0 for the whole line."""

    line: int
    part: int = 0
    words: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """A heading of a source. `name` is its path: "Model Serving Platform Selection, Decision Tree"."""

    source: str
    line: int
    name: str


@dataclass(frozen=True, slots=True)
class Statement:
    """What one place of a source says, in our words. Exactly one of `carried_by` and `not_carried` is given."""

    source: str
    line: int
    part: int
    says: str
    carried_by: tuple[str, ...]
    not_carried: str
    file: str

    @property
    def place(self) -> str:
        sentence = f", sentence {self.part}" if self.part else ""
        return f"line {self.line}{sentence}"


def split_source(text: str) -> list[Place]:
    """The places of a source that need an entry, in its order.

    A bullet, a table row, a line of a drawn tree that holds words and a line with a bold label are one statement each;
    prose is one for each sentence. Headings, bold labels alone, table headers, rules, code and front matter are none.
    """
    return [place for number, kind, line in _lines(text) if kind != "heading" for place in _places(number, kind, line)]


def sections_of(text: str, source: str) -> list[Section]:
    """The headings of a source, without its title, in its order. A bold label is none."""
    found: list[Section] = []
    above = ""
    for number, kind, line in _lines(text):
        if kind != "heading" or LABEL.match(line):
            continue
        level, name = len(line) - len(line.lstrip("#")), line.lstrip("# ")
        if level == 2 or level == 0:
            above = name
        if not (number == 1 or (level == 1 and "## " in text)):
            found.append(Section(source, number, f"{above}, {name}" if level > 2 else name))
    return found


def read_statements(folder: Path) -> list[Statement]:
    """The statements of every file of `folder`, by source and place. Raises `OSError` or `tomllib.TOMLDecodeError`."""
    found = [
        Statement(
            source=table["source"],
            line=table["line"],
            part=table.get("part", 0),
            says=table["says"],
            carried_by=tuple(table.get("carried_by", ())),
            not_carried=table.get("not_carried", ""),
            file=file.name,
        )
        for file in sorted(folder.glob("*.toml"))
        for table in _read(file).get("statements", ())
    ]
    return sorted(found, key=lambda statement: (statement.source, statement.line, statement.part))


def read_sections(folder: Path) -> list[Section]:
    """The headings that the statements of `folder` stand under, by source and line. Raises as `read_statements`."""
    tables = [table for file in sorted(folder.glob("*.toml")) for table in _read(file).get("sections", ())]
    return sorted(
        (Section(table["source"], table["line"], table["name"]) for table in tables),
        key=lambda section: (section.source, section.line),
    )


def read_documents(folder: Path) -> dict[str, dict[str, Any]]:
    """Every file of the facts in `folder` by its name below it, statements left out. Raises as `read_statements`."""
    return {
        file.relative_to(folder).as_posix(): _read(file)
        for file in sorted(folder.rglob("*.toml"))
        if file.parent.name != "statements"
    }


def left_over(statements: Iterable[Statement], texts: Mapping[str, str]) -> list[tuple[str, Place]]:
    """The places of the sources in `texts` (file name to text) that no statement covers, each with its file name."""
    covered = {(statement.source, statement.line, statement.part) for statement in statements}
    return [
        (source, place)
        for source, text in texts.items()
        for place in split_source(text)
        if (source, place.line, place.part) not in covered
    ]


def stale(statements: Iterable[Statement], texts: Mapping[str, str]) -> list[Statement]:
    """The statements of sources in `texts` that stand at no place of theirs. A heading may have one, but needs none."""
    real = {
        (source, place.line, place.part)
        for source, text in texts.items()
        for number, kind, line in _lines(text)
        for place in _places(number, kind, line)
    }
    return [s for s in statements if s.source in texts and (s.source, s.line, s.part) not in real]


def twice(statements: Iterable[Statement]) -> list[Statement]:
    """The statements whose place another one has as well."""
    listed = list(statements)
    count = Counter((s.source, s.line, s.part) for s in listed)
    return [s for s in listed if count[s.source, s.line, s.part] > 1]


def undecided(statements: Iterable[Statement]) -> list[Statement]:
    """The statements that have both or neither of `carried_by` and `not_carried`."""
    return [s for s in statements if bool(s.carried_by) == bool(s.not_carried)]


def unresolved(
    documents: Mapping[str, Mapping[str, Any]], statements: Iterable[Statement]
) -> list[tuple[Statement, str]]:
    """The references in `carried_by` that name nothing in `documents` (file name to content), with their statements."""
    return [
        (s, reference) for s in statements for reference in s.carried_by if not _names_something(reference, documents)
    ]


def coverage_page(statements: Sequence[Statement], sections: Sequence[Section], titles: Mapping[str, str]) -> str:
    """The page docs/reference/sources.md, as Markdown. `titles`: file name and title of each source, in order."""
    parts = [
        "# What the sources say, and what carries it\n\n",
        "Stackproof's rules come from four documents. Here is every statement of theirs, in our words, beside the\n",
        "rules, ratings and facts that it became, or the reason why it became none. The documents themselves are not\n",
        "shipped; a line number counts the lines of the document. A reference such as `gates.toml#serving-research`\n",
        "names an entry of a file of `src/stackproof/facts/`.\n",
        "Three words name what spans all roles:\n\n",
        "".join(f"- `{word}`: {meaning}\n" for word, meaning in WORDS.items()),
        "\n| source | statements | carried | not carried |\n|---|---|---|---|\n",
    ]
    parts += [_count(source, title, statements) for source, title in titles.items()]
    for source, title in titles.items():
        parts.append(f"\n## {title}\n\n`{source}`\n")
        own = [statement for statement in statements if statement.source == source]
        parts += _tables(own, [section for section in sections if section.source == source])
    return "".join(parts)


def _tables(statements: Sequence[Statement], sections: Sequence[Section]) -> Iterator[str]:
    starts = [*sections, Section("", 1 << 30, "")]
    before = [s for s in statements if s.line < starts[0].line]
    yield from _table("Opening", before)
    for section, following in pairwise(starts):
        yield from _table(section.name, [s for s in statements if section.line <= s.line < following.line])


def _table(name: str, statements: Sequence[Statement]) -> Iterator[str]:
    if statements:
        yield f"\n### {name}\n\n| place | in our words | carried by |\n|---|---|---|\n"
    for s in statements:
        carriers = ", ".join(f"`{reference}`" for reference in s.carried_by)
        yield f"| {s.place} | {_cell(s.says)} | {carriers or f'not carried: {_cell(s.not_carried)}'} |\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def _count(source: str, title: str, statements: Iterable[Statement]) -> str:
    own = [statement for statement in statements if statement.source == source]
    carried = sum(1 for statement in own if statement.carried_by)
    return f"| {title} (`{source}`) | {len(own)} | {carried} | {len(own) - carried} |\n"


def _read(file: Path) -> dict[str, Any]:
    return tomllib.loads(file.read_text("utf-8"))


def _lines(text: str) -> Iterator[tuple[int, str, str]]:
    """Number, kind (heading, item, prose) and content of each line that says something."""
    lines = [line.strip() for line in text.splitlines()]
    fence: str | None = None
    for index, line in _after_front_matter(lines):
        if line.startswith(FENCE):
            fence = line.removeprefix(FENCE) if fence is None else None
        elif fence is not None:
            if fence == "" and re.search(r"\w", line):
                yield index + 1, "item", line
        elif line and not RULE.match(line) and not _is_table_head(lines, index):
            yield index + 1, _kind(lines, index), line


def _after_front_matter(lines: Sequence[str]) -> Iterator[tuple[int, str]]:
    start = 0
    if lines and lines[0] == FRONT_MATTER and FRONT_MATTER in lines[1:]:
        start = lines.index(FRONT_MATTER, 1) + 1
    yield from enumerate(lines[start:], start)


def _is_table_head(lines: Sequence[str], index: int) -> bool:
    below = lines[index + 1] if index + 1 < len(lines) else ""
    return bool(TABLE_RULE.match(lines[index]) or (lines[index].startswith("|") and TABLE_RULE.match(below)))


def _kind(lines: Sequence[str], index: int) -> str:
    line = lines[index]
    if line.startswith("#") or LABEL.match(line):
        return "heading"
    if line.startswith("|") or BULLET.match(line) or LABELLED.match(line):
        return "item"
    if NUMBERED.match(line) and any(NUMBERED.match(other) for other in _neighbours(lines, index)):
        return "item"
    return "prose" if ENDED.search(line) else "heading"


def _neighbours(lines: Sequence[str], index: int) -> list[str]:
    return [*lines[max(index - 1, 0) : index], *lines[index + 1 : index + 2]]


def _places(number: int, kind: str, line: str) -> list[Place]:
    sentences = _sentences(line) if kind == "prose" else [line]
    if len(sentences) == 1:
        return [Place(number, 0, line)]
    return [Place(number, part, sentence) for part, sentence in enumerate(sentences, 1)]


def _sentences(line: str) -> list[str]:
    found = []
    start = 0
    for end in SENTENCE_END.finditer(line):
        if not line[: end.end()].rstrip().endswith(ABBREVIATIONS):
            found.append(line[start : end.end()].strip())
            start = end.end()
    return [*found, line[start:].strip()]


def _names_something(reference: str, documents: Mapping[str, Mapping[str, Any]]) -> bool:
    if reference in WORDS:
        return True
    file, _, name = reference.partition("#")
    document = documents.get(file)
    if document is None:
        return False
    return (not name and "#" not in reference) or name in _entries(document)


def _entries(document: Mapping[str, Any]) -> Iterator[str]:
    """The names by which the parts of a file are referred to."""
    for key, value in document.items():
        yield key
        if isinstance(value, dict):
            yield from (f"{key}.{name}" for name in value)
        elif isinstance(value, list):
            yield from (name for table in value if isinstance(table, dict) for name in _identities(key, table))


def _identities(key: str, table: Mapping[str, Any]) -> Iterator[str]:
    """`migrations/x.toml#a-b`, `pairs/x.toml#a+b`, `tools/x.toml#ratings.cost`, and whatever a table is called."""
    yield from (str(table[name]) for name in ("id", "number", "key") if name in table)
    if "criterion" in table:
        yield f"{key}.{table['criterion']}"
    if "name" in table:
        yield f"{key}.{table['name']}"
    if "from" in table and "to" in table:
        yield f"{table['from']}-{table['to']}"
    if key == "pairs":
        yield "+".join(table["tools"])


__all__ = [
    "WORDS",
    "Place",
    "Section",
    "Statement",
    "coverage_page",
    "left_over",
    "read_documents",
    "read_sections",
    "read_statements",
    "sections_of",
    "split_source",
    "stale",
    "twice",
    "undecided",
    "unresolved",
]
