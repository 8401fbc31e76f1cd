"""From the tools in use to the chosen ones."""

from stackproof.decide.answers import Answers
from stackproof.decide.choice import Choice
from stackproof.decide.citing import fact_reason
from stackproof.decide.decision import Migration, Reason
from stackproof.facts.model import Facts, MigrationPath

ANY = "*"


def migration(choice: Choice, answers: Answers, facts: Facts) -> Migration | None:
    """None where no tool is in use, the role waits, or the tool stays and nothing about it has to be moved."""
    path = _path(choice, answers, facts)
    current = answers.text(f"current.{choice.role}")
    if path is None:
        moves = current and choice.verdict == "use" and current not in choice.tools
        return Migration(current, ("No migration path is recorded for these tools",)) if moves else None
    if path.source_tool == path.target == current:
        return Migration(current, (f"If an old version still runs: {path.steps[0]}", *path.steps[1:]), path.effort_days)
    return Migration(current, path.steps, path.effort_days)


def reasons_of(choice: Choice, answers: Answers, facts: Facts) -> tuple[Reason, ...]:
    """What the way from the tool in use rests on."""
    path = _path(choice, answers, facts)
    if path is None:
        return ()
    current = facts.tools[answers.text(f"current.{choice.role}")]
    found = []
    known = current.facts.get("migration")
    if known is not None and known.verified and known.value not in ("none", "none found", "-"):
        found.append(fact_reason(current, known, f"Known of leaving {current.name}: {known.value}"))
    dated = "" if path.date or path.source.startswith("stackproof") else " (undated)"
    text = f"The way from {current.name}; its effort in days is {path.effort_source.removeprefix('stackproof: ')}"
    if not path.works:
        text = f"The way from {current.name} that the document names no longer works; the steps are what works instead"
    source = path.source if path.source != "stackproof" else "stackproof: an assumption"
    found.append(Reason(text, "fact", f"{source}{dated}", path.date))
    return tuple(found)


def _path(choice: Choice, answers: Answers, facts: Facts) -> MigrationPath | None:
    """The path from the tool in use to the pick; of a tool that stays, from its old version."""
    current = answers.text(f"current.{choice.role}")
    if not current or choice.verdict != "use" or choice.tool is None:
        return None
    if current in choice.tools:
        stays = [path for path in facts.migrations if path.role == choice.role]
        return next((path for path in stays if path.source_tool == path.target == current), None)
    return find_path(choice.role, current, choice.tool, facts)


def find_path(role: str, current: str, target: str, facts: Facts) -> MigrationPath | None:
    """The path that fits closest: between both tools, then from the one, then to the other, then any."""
    for source_tool, to in ((current, target), (current, ANY), (ANY, target), (ANY, ANY)):
        for path in facts.migrations:
            if path.role == role and (path.source_tool, path.target) == (source_tool, to):
                return path
    return None
