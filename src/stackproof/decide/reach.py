"""Which tools a team can use at all: the dealbreakers, each with its reason."""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, replace

from stackproof.decide.answers import Answers
from stackproof.facts.model import DEAD, Facts, Mode, Tool

STRICT_ABOUT_AUDIT = frozenset({"finance", "hipaa"})

CONSTRAINT_KEYS = (
    "infrastructure.licences",
    "infrastructure.hosting",
    "organization.budget_usd_per_year",
    "infrastructure.kubernetes",
    "infrastructure.cloud",
    "infrastructure.databricks",
    "infrastructure.gpu",
    "use_case.frameworks",
    "needs.audit",
    "organization.compliance",
    "needs.lock_in",
    "organization.academic",
    "organization.data_scientists",
    "organization.ml_engineers",
)
"""The answers that strike tools out, those that cost least to change first."""


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars a year. `known` False: no source says how much; the range is what operation.toml assumes."""

    low: float
    high: float
    known: bool = True

    @property
    def floor(self) -> float:
        """The least that it certainly costs."""
        return self.low if self.known else max(self.low, 1.0)


FREE = Price(0, 0)


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a tool can't be used. `date` None: the source has none. `key`: the answer that strikes it out."""

    tool: str
    because: str
    kind: str
    source: str
    date: datetime.date | None
    key: str = ""


@dataclass(frozen=True, slots=True)
class Usable:
    """A tool in reach, the mode in which it is used and its price. `drawback`: what speaks against the mode.

    `meant`: whether this is the form that the documents speak of. `others`: the other modes in which it could be used.
    """

    tool: Tool
    mode: Mode
    price: Price
    drawback: str = ""
    meant: bool = True
    others: tuple["Usable", ...] = ()

    @property
    def ways(self) -> tuple["Usable", ...]:
        """Every mode in which it can be used, the preferred one first."""
        return (self, *self.others)


def price_of(mode: Mode, answers: Answers) -> Price:
    """What the mode costs this team. A seat for everyone who trains or builds models, at least one."""
    if mode.cost in ("free", "included") or ("academic" in mode.free_for and answers["organization.academic"]):
        return FREE
    if mode.usd_per_year is not None:
        return Price(*mode.usd_per_year)
    if mode.usd_per_seat_year is None:
        return Price(*(mode.assumed_usd_per_year or (0.0, 0.0)), known=False)
    seats = max(1, answers.number("organization.data_scientists") + answers.number("organization.ml_engineers"))
    if seats <= mode.free_seats:
        return FREE
    low, high = mode.usd_per_seat_year
    return Price(low * seats, high * seats)


def reach(facts: Facts, answers: Answers) -> Mapping[str, Usable | Rejection]:
    """Every tool, usable or struck out. What it requires beside it is not looked at here."""
    return {tool.id: judge(tool, answers) for tool in facts.tools.values()}


def judge(tool: Tool, answers: Answers) -> Usable | Rejection:
    """The first dealbreaker that strikes the tool, or the best way of using it."""
    return (
        _lifecycle(tool)
        or _licence(tool, answers)
        or _cloud(tool, answers)
        or _frameworks(tool, answers)
        or _gpu(tool, answers)
        or _audit(tool, answers)
        or _best_mode(tool, answers)
    )


def _lifecycle(tool: Tool) -> Rejection | None:
    status = tool.status
    if status.value not in DEAD:
        return None
    since = f" since {status.since}" if status.since else ""
    because = f"It is {status.value}{since}: {status.detail}"
    return Rejection(tool.id, because, "lifecycle", status.source, status.date)


def _limit(tool: Tool, fact: str, because: str, kind: str, key: str) -> Rejection:
    known = tool.facts[fact]
    return Rejection(tool.id, because, kind, known.source, known.date, key)


def _licence(tool: Tool, answers: Answers) -> Rejection | None:
    wanted, kind = answers.text("infrastructure.licences"), tool.text("licence_kind")
    if wanted == "any" or kind == "open-source" or (wanted == "source-available" and kind == wanted):
        return None
    because = f"Its licence is {kind} ({tool.text('licence')}), and you accept {wanted} licences"
    return _limit(tool, "licence_kind", because, "compliance", "infrastructure.licences")


def _cloud(tool: Tool, answers: Answers) -> Rejection | None:
    bound = tool.names("cloud")
    if not bound or _on_the_cloud(bound, answers):
        return None
    if "databricks" in bound:
        return _limit(tool, "cloud", "It needs Databricks, which you don't use", "cloud", "infrastructure.databricks")
    cloud = answers.text("infrastructure.cloud")
    yours = {"none": "you use no cloud", "multi": "you run on several and avoid lock-in"}.get(
        cloud, f"yours is {cloud}"
    )
    return _limit(tool, "cloud", f"It binds to {' or '.join(bound)}, and {yours}", "cloud", "infrastructure.cloud")


def _on_the_cloud(bound: tuple[str, ...], answers: Answers) -> bool:
    cloud = answers.text("infrastructure.cloud")
    several = cloud == "multi" and answers["needs.lock_in"] == "accept" and "databricks" not in bound
    return cloud in bound or several or ("databricks" in bound and answers["infrastructure.databricks"] is True)


def _frameworks(tool: Tool, answers: Answers) -> Rejection | None:
    supported = tool.names("frameworks")
    missing = [name for name in answers.names("use_case.frameworks") if name not in supported]
    if not supported or not missing:
        return None
    because = f"It supports {', '.join(supported)} only, and you use {', '.join(missing)}"
    return _limit(tool, "frameworks", because, "framework", "use_case.frameworks")


def _gpu(tool: Tool, answers: Answers) -> Rejection | None:
    needed = tool.text("gpu")
    if not needed or answers["infrastructure.gpu"] == needed:
        return None
    because = f"It needs GPUs of {needed}, and yours are: {answers['infrastructure.gpu']}"
    return _limit(tool, "gpu", because, "capability", "infrastructure.gpu")


def _audit(tool: Tool, answers: Answers) -> Rejection | None:
    strict = STRICT_ABOUT_AUDIT & set(answers.names("organization.compliance"))
    if tool.text("audit") != "no" or not (strict or answers["needs.audit"]):
        return None
    rules = f" ({', '.join(sorted(strict))})" if strict else ""
    key = "organization.compliance" if strict else "needs.audit"
    because = f"It has no audit logs or role-based access, which you need{rules}"
    return _limit(tool, "audit", because, "compliance", key)


def _best_mode(tool: Tool, answers: Answers) -> Usable | Rejection:
    blocked: list[list[Rejection]] = []
    usable: list[Usable] = []
    for mode in tool.modes:
        faults = _mode_faults(tool, mode, answers)
        if faults:
            blocked.append(faults)
        else:
            drawback, meant = _drawback(tool, mode, answers), not _is_paid_form(tool, mode)
            usable.append(Usable(tool, mode, price_of(mode, answers), drawback, meant))
    free = [way for way in usable if way.price == FREE]
    if free:  # a preference alone doesn't make a team buy what nobody states the price of
        usable = [way for way in usable if way.price.known]
    if usable:
        first, *others = sorted(usable, key=lambda way: (bool(way.drawback), way.price.floor))
        return replace(first, others=tuple(others))
    return _joined(blocked)


def _mode_faults(tool: Tool, mode: Mode, answers: Answers) -> list[Rejection]:
    faults = []
    hosting = answers.text("infrastructure.hosting")
    forbidden = {"self-hosted-only": "managed", "managed-only": "self-hosted"}.get(hosting)
    if mode.hosting == forbidden:
        faults.append((f"its {mode.hosting} form is excluded by {hosting}", "hosting", "infrastructure.hosting"))
    if mode.kubernetes and answers["infrastructure.kubernetes"] == "none":
        faults.append((f"its {mode.hosting} form needs Kubernetes", "kubernetes", "infrastructure.kubernetes"))
    price, budget = price_of(mode, answers), answers.number("organization.budget_usd_per_year")
    if price.floor > budget:
        cost = f"at least ${price.low:,.0f} a year"
        cost += "" if price.known else " (assumed: no source gives its price)"
        text = f"its {mode.hosting} form costs {cost}, and the budget is ${budget:,.0f}"
        faults.append((text, "budget", "organization.budget_usd_per_year"))
    return [Rejection(tool.id, text, kind, mode.source, mode.date, key) for text, kind, key in faults]


def _joined(blocked: list[list[Rejection]]) -> Rejection:
    """One rejection for all modes; its kind is that of the mode that is nearest to being usable."""
    nearest = min(blocked, key=len)[0]
    texts = dict.fromkeys(fault.because for faults in blocked for fault in faults)
    because = "; ".join(texts)
    return Rejection(
        nearest.tool, because[0].upper() + because[1:], nearest.kind, nearest.source, nearest.date, nearest.key
    )


def _drawback(tool: Tool, mode: Mode, answers: Answers) -> str:
    hosting = answers.text("infrastructure.hosting")
    unwanted = {"self-hosted-preferred": "managed", "managed-preferred": "self-hosted"}.get(hosting)
    if mode.hosting == unwanted:
        return "which is not what you prefer"
    return "while the documents mean its free one" if _is_paid_form(tool, mode) else ""


def _is_paid_form(tool: Tool, mode: Mode) -> bool:
    """A form on request of a tool that is free otherwise: the documents speak of the free one."""
    return mode.cost == "quote" and any(other.cost == "free" for other in tool.modes)
