"""What applying a stack.toml would change; applying it; and checking what runs."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from stackproof.adapters import registry
from stackproof.envs.environments import Environments, user_locks
from stackproof.errors import Conflict, NotFound, RefusedInput
from stackproof.ledger import Entity
from stackproof.roles.stack import Stack
from stackproof.stack.live import EMBEDDED, Filling, LiveStack, checked_options, fillings
from stackproof.stack.project import STACK_FILE
from stackproof.stack.tool_environments import ToolEnvironments, lives_apart
from stackproof.stack.workspace import Workspace
from stackproof.store import new_id
from stackproof.store.files import write_durably
from stackproof.usecases.environments import own_tools, prepare


@dataclass(frozen=True, slots=True)
class Change:
    """One role. `action`: "add", "change" or "keep". `runs` fills the role; `because` says why it is not `tool`.

    `installs`: the tools for which an environment is going to be made, as "mlflow, py3.11"; empty when all are there.
    """

    role: str
    action: str
    before: str
    tool: str
    runs: str
    environment: str
    because: str
    installs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Checked:
    """One tool of one role. `installed`: "" for one that needs no environment of its own, else "yes" or "no".

    `ok`: reachable, and works. `fills_in`: capability of the role that the tool lacks to the tool that has it instead.
    """

    role: str
    tool: str
    runs: str
    ok: bool
    version: str
    installed: str
    capabilities: tuple[str, ...]
    fills_in: Mapping[str, str]
    detail: str


def plan(workspace: Workspace, stack: Stack) -> list[Change]:
    """For each role what applying `stack` would change, compared with what was applied last.

    Raises `UnknownName` or `RefusedInput` for an option that a tool does not have.
    """
    applied = last_applied(workspace)
    changes = []
    for filling in fillings(stack):
        choice = stack.roles[filling.role]
        _check_options(stack, filling)
        now = {"tool": choice.tool, "environment": choice.environment, "options": dict(choice.options)}
        before = applied.get(filling.role)
        action = "add" if before is None else "keep" if before == now else "change"
        changes.append(
            Change(
                filling.role, action, "" if before is None else before["tool"],
                choice.tool, filling.by, choice.environment, filling.because,
                _to_install(workspace.environments, stack, filling),
            )
        )  # fmt: skip
    return changes


def _check_options(stack: Stack, filling: Filling) -> None:
    choice = stack.roles[filling.role]
    if choice.options and filling.by == choice.tool:
        allowed = registry.load(registry.find(filling.role, choice.tool)).options
        checked_options(filling.role, choice.tool, choice.options, allowed)


def _to_install(environments: ToolEnvironments, stack: Stack, filling: Filling) -> tuple[str, ...]:
    choice = stack.roles[filling.role]
    apart = [tool for tool in (filling.by, *filling.beside) if lives_apart(choice, tool)]
    return tuple(tool for tool in apart if not environments.installed(tool))


def last_applied(workspace: Workspace) -> dict[str, Any]:
    """Role to {tool, environment, options} as applied last; empty when nothing was applied yet."""
    found = workspace.ledger.find("stack", limit=1)
    roles: Any = found[0].attributes["roles"] if found else {}
    return dict(roles)


def apply(workspace: Workspace, stack: Stack, environments: Environments | None = None) -> list[Change]:
    """Make the environments that the stack's tools need, check that each tool works, then record the stack as applied.

    `environments`: where they are made; the user's when left out. Nothing is recorded when a tool is not healthy:
    `RefusedInput` names them all. Raises `Conflict` for a stack of another project, and as `Environments.ensure`.
    """
    if stack.project != workspace.project.name:
        raise Conflict(
            "The stack is of another project",
            got=stack.project,
            allowed=workspace.project.name,
            next_command=f'set project = "{workspace.project.name}" in it',
        )
    changes = plan(workspace, stack)
    environments = environments or Environments()
    folder, locks, at = workspace.project.folder, user_locks(), workspace.clock()
    prepare(stack.project, folder, own_tools(stack, locks), environments, locks=locks, now=at)
    sick = _sick(workspace, stack, environments)
    if sick:
        raise RefusedInput(
            "The stack cannot be applied: not every role works", faults=sick, next_command="stackproof check"
        )
    roles = {
        role: {key: asdict(choice)[key] for key in ("tool", "environment", "options")}
        for role, choice in stack.roles.items()
    }
    workspace.ledger.record(Entity(new_id("stack", now=at), "stack", at, {"project": stack.project, "roles": roles}))
    return changes


def _sick(workspace: Workspace, stack: Stack, environments: Environments) -> list[str]:
    apart = ToolEnvironments(workspace.project.folder, environments)
    live = LiveStack(stack, workspace.home, apart)
    try:
        health = {(f.role, tool): live.health(f.role, tool) for f in fillings(stack) for tool in (f.by, *f.beside)}
    finally:
        live.close()
        apart.close()
    return [f"{role}, {tool}: {found.detail}" for (role, tool), found in health.items() if not found.ok]


def take_over(workspace: Workspace, file: Path) -> Path:
    """Make a stack file, as it is, the project's own; returns where it lies now. The one before is replaced."""
    target = workspace.project.folder / STACK_FILE
    if file.resolve() != target.resolve():
        write_durably(target, file.read_bytes())
    return target


def check(workspace: Workspace) -> list[Checked]:
    """Each tool of each role, in the order of the roles. Never raises for a sick one."""
    return [
        _checked(workspace, filling, tool)
        for filling in fillings(workspace.stack)
        for tool in (filling.by, *filling.beside)
    ]


def _checked(workspace: Workspace, filling: Filling, tool: str) -> Checked:
    role, main = filling.role, tool == filling.by
    health = workspace.live.health(role, tool)
    capabilities = _capabilities(role, tool)
    wanted = _capabilities(role, EMBEDDED) - capabilities if main else ()
    apart = lives_apart(workspace.stack.roles[role], tool)
    return Checked(
        role=role,
        tool=filling.tool if main else tool,
        runs=tool,
        ok=health.ok,
        version=health.version,
        installed=("yes" if workspace.environments.installed(tool) else "no") if apart else "",
        capabilities=tuple(sorted(capabilities)),
        fills_in={name: workspace.live.tool(role, name) for name in sorted(wanted)},
        detail=" ".join(part for part in (filling.because if main else "", health.detail) if part),
    )


def _capabilities(role: str, tool: str) -> frozenset[str]:
    """None where what the adapter needs is not installed; its health says so."""
    try:
        return registry.load(registry.find(role, tool)).capabilities
    except NotFound:
        return frozenset()
