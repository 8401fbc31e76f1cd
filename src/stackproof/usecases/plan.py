"""What applying a stack.toml would change; applying it; and checking what runs."""

from dataclasses import asdict, dataclass
from typing import Any

from stackproof.adapters import registry
from stackproof.errors import RefusedInput, StackproofError
from stackproof.ledger import Entity
from stackproof.roles import ROLES
from stackproof.roles.stack import Stack
from stackproof.stack.live import EMBEDDED, LiveStack, checked_options, fillings
from stackproof.stack.workspace import Workspace
from stackproof.store import new_id


@dataclass(frozen=True, slots=True)
class Change:
    """One role. `action`: "add", "change" or "keep". `runs` fills the role; `because` says why it is not `tool`."""

    role: str
    action: str
    before: str
    tool: str
    runs: str
    environment: str
    because: str


@dataclass(frozen=True, slots=True)
class Checked:
    """The health of one role."""

    role: str
    tool: str
    runs: str
    ok: bool
    version: str
    capabilities: tuple[str, ...]
    detail: str


def plan(workspace: Workspace, stack: Stack) -> list[Change]:
    """For each role what applying `stack` would change, compared with what was applied last.

    Raises `UnknownName` or `RefusedInput` for an option that a tool does not have.
    """
    applied = last_applied(workspace)
    changes = []
    for filling in fillings(stack):
        choice = stack.roles[filling.role]
        if choice.options and filling.by == choice.tool:
            checked_options(
                filling.role,
                choice.tool,
                choice.options,
                registry.load(registry.find(filling.role, choice.tool)).options,
            )
        now = {"tool": choice.tool, "environment": choice.environment, "options": dict(choice.options)}
        before = applied.get(filling.role)
        action = "add" if before is None else "keep" if before == now else "change"
        changes.append(
            Change(
                filling.role, action, "" if before is None else before["tool"],
                choice.tool, filling.by, choice.environment, filling.because,
            )
        )  # fmt: skip
    return changes


def last_applied(workspace: Workspace) -> dict[str, Any]:
    """Role to {tool, environment, options} as applied last; empty when nothing was applied yet."""
    found = workspace.ledger.find("stack", limit=1)
    roles: Any = found[0].attributes["roles"] if found else {}
    return dict(roles)


def apply(workspace: Workspace, stack: Stack) -> list[Change]:
    """Check that each role's adapter works, then record the stack as applied.

    Nothing is recorded when one is not healthy: `RefusedInput` names them all.
    """
    changes = plan(workspace, stack)
    live = LiveStack(stack, workspace.home)
    try:
        sick = [f"{c.role}: {h.detail}" for c in changes if not (h := live.health(c.role)).ok]
    finally:
        live.close()
    if sick:
        raise RefusedInput(
            "The stack cannot be applied: not every role works", faults=sick, next_command="stackproof check"
        )
    at = workspace.clock()
    roles = {
        role: {key: asdict(choice)[key] for key in ("tool", "environment", "options")}
        for role, choice in stack.roles.items()
    }
    workspace.ledger.record(Entity(new_id("stack", now=at), "stack", at, {"project": stack.project, "roles": roles}))
    return changes


def check(workspace: Workspace) -> list[Checked]:
    """The health of what fills each role, in the order of the roles. Never raises for a sick one."""
    by_role = {filling.role: filling for filling in fillings(workspace.stack)}
    results = []
    for role in ROLES:
        filling = by_role[role]
        health = workspace.live.health(role)
        results.append(
            Checked(
                role, filling.tool, filling.by, health.ok, health.version,
                _capabilities(role, filling.by), filling.because or health.detail,
            )
        )  # fmt: skip
    return results


def _capabilities(role: str, tool: str) -> tuple[str, ...]:
    try:
        return tuple(sorted(registry.load(registry.find(role, tool or EMBEDDED)).capabilities))
    except StackproofError:
        return ()
