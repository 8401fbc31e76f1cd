"""The decided stack, as stack.toml will say it."""

from stackproof.decide.decision import Decision, RoleDecision
from stackproof.errors import RefusedInput
from stackproof.roles import ROLES
from stackproof.roles.stack import RoleChoice, Stack

EMBEDDED = "embedded"


def decided_stack(decision: Decision, project: str) -> Stack:
    """A tool for each of the nine roles; `embedded` fills those that wait, are skipped or have none.

    Tools without an adapter are kept as decided. Raises `RefusedInput` for a decision of fewer roles.
    """
    missing = [role for role in ROLES if role not in decision.roles]
    if missing:
        raise RefusedInput("A stack needs a decision for every role", got=f"none for {', '.join(missing)}")
    return Stack(project, {role: _choice(decision.roles[role]) for role in ROLES})


def _choice(choice: RoleDecision) -> RoleChoice:
    if choice.verdict == "use" and choice.tool is not None:
        return RoleChoice(choice.tool, environment="own", beside=choice.beside)
    return RoleChoice(EMBEDDED, deferred=_deferred(choice))


def _deferred(choice: RoleDecision) -> str:
    if choice.verdict == "none":
        return f"no tool is left: {choice.because[-1]}" if choice.because else "no tool is left"
    if choice.verdict == "skip":
        return f"not needed: {choice.reasons[0].text}"
    return f"{choice.reasons[0].text}; until {choice.until}"
