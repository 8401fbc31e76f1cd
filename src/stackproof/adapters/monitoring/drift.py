"""Watching a stream of rows: when to look, which column is in alarm, what is reported."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from stackproof.adapters.monitoring.calibration import Plan, plan_of
from stackproof.adapters.monitoring.columns import Rows, Texts, from_lists
from stackproof.adapters.monitoring.hints import hint_of
from stackproof.adapters.monitoring.looking import Breach, breaches
from stackproof.adapters.monitoring.reference import Encoded, Reference, encode
from stackproof.adapters.monitoring.wording import effect_of
from stackproof.roles.monitoring import ColumnKind, Finding, Policy

ROWS_AT_ONCE = 4096


@dataclass(slots=True)
class Watch:
    """Compares the latest rows of a stream with the reference. Not to be used by two threads at once."""

    columns: Mapping[str, ColumnKind]
    policy: Policy
    reference: Reference
    position: int = 0
    in_alarm: frozenset[str] = frozenset()
    _plan: Plan = field(init=False)
    _latest: Encoded = field(init=False)

    def __post_init__(self) -> None:
        self._plan = plan_of(self.policy, self.columns)
        no_numbers: list[list[float | None]] = [[] for _ in self.reference.numeric]
        no_texts: list[Texts] = [[] for _ in self.reference.categorical]
        self._latest = encode(self.reference, from_lists(no_numbers, no_texts, 0))

    def observe(self, rows: Rows) -> list[Finding]:
        """Take rows in order; the findings of the looks that became due, in order of the looks."""
        findings: list[Finding] = []
        for start in range(0, rows.count, ROWS_AT_ONCE):
            findings += self._take(rows.part(start, min(start + ROWS_AT_ONCE, rows.count)))
        return findings

    def latest(self, count: int) -> Rows:
        """The latest `count` rows, at most a window of them."""
        held = self._latest.rows
        return held.part(held.count - min(count, held.count), held.count)

    def resume(self, position: int, in_alarm: frozenset[str], rows: Rows) -> None:
        """Go on from where another watch was: its position, its alarms, and at least its latest rows."""
        self.position, self.in_alarm = position, in_alarm
        self._latest = encode(self.reference, rows)

    def _take(self, rows: Rows) -> Iterator[Finding]:
        held = self._latest.followed_by(encode(self.reference, rows))
        first = self.position + rows.count - held.rows.count
        end = self.position + rows.count
        next_look = (self.position // self.policy.every + 1) * self.policy.every
        for look in range(next_look, end + 1, self.policy.every):
            yield from self._look(held, look - first, look)
        self.position = end
        self._latest = held.part(max(0, held.rows.count - self.policy.window), held.rows.count)

    def _look(self, held: Encoded, stop: int, position: int) -> list[Finding]:
        lengths = dict.fromkeys(min(size, position) for size in self._plan.sizes)
        found: dict[str, list[Breach]] = {}
        for length in lengths:
            for breach in breaches(self.reference, held.part(stop - length, stop), self._plan.threshold):
                found.setdefault(self._name(breach), []).append(breach)
        findings = [
            self._finding(name, min(tests, key=_strength), held, stop, position)
            for name, tests in found.items()
            if name not in self.in_alarm
        ]
        self.in_alarm = frozenset(found)
        order = list(self.columns)
        return sorted(findings, key=lambda finding: (finding.p_value, order.index(finding.column)))

    def _name(self, breach: Breach) -> str:
        columns = self.reference.numeric if breach.is_numeric else self.reference.categorical
        return columns[breach.place].name

    def _finding(self, name: str, breach: Breach, held: Encoded, stop: int, position: int) -> Finding:
        window = held.rows.part(stop - breach.rows, stop)
        return Finding(
            column=name,
            test=str(breach.test),
            statistic=breach.statistic,
            p_value=breach.p_value,
            threshold=self._plan.threshold,
            effect=effect_of(breach, self.reference, window),
            first=position - breach.rows,
            last=position - 1,
            hint=hint_of(breach, self.reference, window),
        )


def _strength(breach: Breach) -> tuple[float, int]:
    """By p-value; on equal ones (both may round to 0) the longer window."""
    return breach.p_value, -breach.rows
