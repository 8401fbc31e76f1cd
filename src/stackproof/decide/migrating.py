"""From the tools in use to the chosen ones."""

from stackproof.decide.answers import Answers
from stackproof.decide.choice import Choice
from stackproof.decide.decision import Migration
from stackproof.facts.model import Facts, MigrationPath

ANY = "*"


def migration(choice: Choice, answers: Answers, facts: Facts) -> Migration | None:
    """None where no tool is in use, the role waits, or the tool stays and nothing about it has to be moved."""
    current = answers.text(f"current.{choice.role}")
    if not current or choice.verdict != "use" or choice.tool is None:
        return None
    if current in choice.tools:
        return _upgrade(choice.role, current, facts)
    path = find_path(choice.role, current, choice.tool, facts)
    if path is None:
        return Migration(current, (*_known(current, facts), "No migration path is recorded for these tools"))
    return Migration(current, (*_known(current, facts), *_told(path)), path.effort_days)


def _upgrade(role: str, tool: str, facts: Facts) -> Migration | None:
    """The tool stays, and an old version of it has to be left."""
    for path in facts.migrations:
        if path.role == role and path.works and path.source_tool == path.target == tool:
            return Migration(tool, _told(path), path.effort_days)
    return None


def _told(path: MigrationPath) -> tuple[str, ...]:
    """Its steps, what no longer works said before them and what they rest on after them."""
    overtaken = () if path.works else ("The way that the document names no longer works; instead:",)
    dated = f", {path.date}" if path.date else "" if path.source.startswith("stackproof") else " (undated)"
    return (*overtaken, *path.steps, f"({path.source}{dated}; effort: {path.effort_source})")


def find_path(role: str, current: str, target: str, facts: Facts) -> MigrationPath | None:
    """The path that fits closest: between both tools, then from the one, then to the other, then any."""
    for source_tool, to in ((current, target), (current, ANY), (ANY, target), (ANY, ANY)):
        for path in facts.migrations:
            if path.role == role and (path.source_tool, path.target) == (source_tool, to):
                return path
    return None


def _known(current: str, facts: Facts) -> list[str]:
    """What the facts of the tool in use say about leaving it."""
    known = facts.tools[current].facts.get("migration")
    if known is None or not known.verified or known.value in ("none", "none found", "-"):
        return []
    dated = f"read {known.date}" if known.date else "undated"
    return [f"Known of {facts.tools[current].name}: {known.value} (facts of {current}, {dated})"]
