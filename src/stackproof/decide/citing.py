"""How a source is named: a document with its place, or the facts of a tool."""

from stackproof.decide.decision import Reason, Warned
from stackproof.facts.model import Branch, Fact, Facts, Gate, Pair, Tool


def document(facts: Facts, file: str, place: str) -> str:
    """The document's file name and the place in it; one without a date says so."""
    undated = "" if facts.sources[file].date else " (undated)"
    return f"{file}: {place}{undated}"


def of_tool(tool: Tool, source: str, *, dated: bool) -> str:
    """The facts of a tool, and what they rest on."""
    return f"facts of {tool.id}: {source}{'' if dated else ' (undated)'}"


def branch_reason(branch: Branch, facts: Facts, text: str) -> Reason:
    kind = "tree" if branch.kind == "tree" else "table"
    source = document(facts, branch.source, branch.place)
    return Reason(text, kind, source, facts.sources[branch.source].date)


def gate_reason(gate: Gate, facts: Facts) -> Reason:
    source = document(facts, gate.source, gate.place)
    return Reason(gate.text, "gate", source, facts.sources[gate.source].date)


def fact_reason(tool: Tool, fact: Fact, text: str) -> Reason:
    return Reason(text, "fact", of_tool(tool, fact.source, dated=fact.date is not None), fact.date)


def fact_warning(tool: Tool, fact: Fact, text: str) -> Warned:
    return Warned(text, of_tool(tool, fact.source, dated=fact.date is not None), fact.date)


def pair_source(pair: Pair) -> str:
    """What is known of a pair; without a date it says so."""
    return f"{pair.source}{'' if pair.date else ' (undated)'}"


def pair_text(pair: Pair) -> str:
    """What is known of a pair; what is not sure says so."""
    return f"{pair.text}{' (confidence low)' if pair.confidence == 'low' else ''}"
