"""What the page calls things: roles, tools, verdicts, answers, amounts."""

from collections.abc import Iterable, Mapping
from datetime import date

from stackproof.decide.decision import Flip, RoleDecision
from stackproof.roles import ROLES

Range = tuple[float, float]

VERDICTS = {"use": "use", "defer": "can wait", "skip": "not needed", "none": "no tool is left"}
JOBS = {
    "tracking": "experiments and models",
    "features": "the same feature in training and serving",
    "serving": "predictions for others",
    "orchestration": "steps, in order and on time",
    "tuning": "hyperparameters",
    "monitoring": "drift, errors, latency",
    "validation": "checks of data",
    "versioning": "which data it was",
    "automl": "models found by search",
}
EMBEDDED = "embedded"
NBSP = "\u00a0"
NOTHING = "–"
_SMALL = ("No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten", "Eleven", "Twelve")


def role_title(role: str) -> str:
    return "AutoML" if role == "automl" else role[:1].upper() + role[1:]


def anchor(role: str) -> str:
    """The id of a role's part of the page."""
    return f"role-{role}" if role in ROLES else "why"


def tool_name(tool: str | None, names: Mapping[str, str]) -> str:
    """Without what the name says in brackets: KServe, not KServe (formerly KFServing)."""
    return "no tool" if tool is None else names.get(tool, tool).partition(" (")[0] or tool


def tool_names(tools: Iterable[str], names: Mapping[str, str]) -> str:
    """MLflow, Prefect and Optuna."""
    return in_a_row([tool_name(tool, names) for tool in tools])


def in_a_row(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}" if parts else ""


def tools_of(choice: RoleDecision) -> tuple[str, ...]:
    """What a team installs for the role: nothing where it waits or is left out."""
    if choice.verdict != "use" or choice.tool is None:
        return ()
    return (choice.tool, *choice.beside)


def picked(choice: RoleDecision, names: Mapping[str, str]) -> str:
    """What stands in the role's box: its first tool, or the verdict where there is none."""
    return tool_name(choice.tool, names) if tools_of(choice) else VERDICTS[choice.verdict].capitalize()


def flipped(flip: Flip, names: Mapping[str, str]) -> str:
    """What would stand there instead."""
    if flip.verdict == "use" and flip.tool is not None:
        return tool_name(flip.tool, names)
    return VERDICTS.get(flip.verdict, flip.verdict).capitalize()


def instead_of(choice: RoleDecision, names: Mapping[str, str]) -> str:
    """What another pick would replace."""
    without = {"defer": "waiting", "skip": "going without", "none": "nothing"}
    return picked(choice, names) if tools_of(choice) else without.get(choice.verdict, choice.verdict)


def was(choice: RoleDecision, names: Mapping[str, str]) -> str:
    """What stands beside another pick."""
    without = {"defer": "was waiting", "skip": "was not needed", "none": "had no tool"}
    return f"was {picked(choice, names)}" if tools_of(choice) else without.get(choice.verdict, choice.verdict)


def counted(count: int, what: str, many: str = "") -> str:
    """One tool, six tools, 13 tools."""
    number = _SMALL[count] if count < len(_SMALL) else str(count)
    return f"{number} {what if count == 1 else many or what + 's'}"


def question(key: str) -> str:
    """`use_case.models_in_production` is Models in production."""
    section, _, name = key.rpartition(".")
    if section in ("priorities", "current"):
        name = f"{'first job of' if section == 'priorities' else 'in use today for'} {name}"
    words = name.replace("_", " ").replace("-", " ").strip() or key
    return words[:1].upper() + words[1:]


def answer(value: object) -> str:
    """An answer as a person would say it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(str(item) for item in value) or "none"
    if isinstance(value, int | float):
        return f"{value:,}"
    return "none" if value is None else str(value)


def day(when: date) -> str:
    """21 November 2026."""
    return f"{when.day} {when:%B %Y}"


def usd(amount: Range | None, unknown: str = "not priced") -> str:
    """$600 to $2,400."""
    if amount is None:
        return unknown
    low, high = (f"${bound:,.0f}" for bound in amount)
    return low if low == high else f"{low} to {high}"


def usd_tick(amount: float) -> str:
    """A round amount on an axis: $0, $800, $25k, $1.5M."""
    for unit, letter in ((1e6, "M"), (1e3, "k")):
        if amount >= unit:
            return f"${amount / unit:g}{letter}"
    return f"${amount:g}"


def hours(amount: Range | None, unknown: str = "not known") -> str:
    """2 to 6 h."""
    if amount is None:
        return unknown
    low, high = (f"{bound:.0f}" if bound == round(bound) else f"{bound:.1f}" for bound in amount)
    return f"{low if low == high else f'{low} to {high}'}{NBSP}h"


def days(amount: Range) -> str:
    low, high = (f"{bound:g}" for bound in amount)
    return f"{low if low == high else f'{low} to {high}'} {'day' if high == '1' else 'days'}"


def score(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.2f}"


def interval(between: Range) -> str:
    low, high = (f"{bound:.2f}" for bound in between)
    return low if low == high else f"{low}–{high}"
