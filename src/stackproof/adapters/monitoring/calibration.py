"""How the false alarms that a policy allows are shared out among the tests. See docs/explanation/noticing.md."""

from collections.abc import Mapping
from dataclasses import dataclass

from stackproof.errors import RefusedInput
from stackproof.roles.monitoring import ColumnKind, Policy

SMALLEST_WINDOW = 25
TESTS_OF_A_COLUMN = {
    ColumnKind.NUMERIC: 2,  # the distribution, the missing share
    ColumnKind.CATEGORICAL: 3,  # the common values, the share of the others, the missing share
}
LARGEST_FALSE_ALARM_SHARE = 0.05
MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Plan:
    """`sizes`: the nested windows, in rows, longest first. `threshold`: each test's bound for its p-value."""

    sizes: tuple[int, ...]
    threshold: float


def plan_of(policy: Policy, columns: Mapping[str, ColumnKind]) -> Plan:
    """The plan that keeps the policy's bound.

    A million predictions have 10^6/every looks, a look has (tests of all columns) x (windows) tests,
    and a test raises a false alarm with a probability of at most the threshold. So the expected
    number of false alarms is at most the product, however the tests depend on each other
    (Boole's inequality). A look's own share is never taken above 5 %.
    """
    check_policy(policy)
    sizes = window_sizes(policy)
    per_look = min(policy.false_alarms_per_million * policy.every / MILLION, LARGEST_FALSE_ALARM_SHARE)
    tests = sum(TESTS_OF_A_COLUMN[kind] for kind in columns.values()) * len(sizes)
    return Plan(sizes, per_look / tests)


def window_sizes(policy: Policy) -> tuple[int, ...]:
    """The window, and its halves down to what arrives between looks, but not below 25 rows."""
    sizes = [policy.window]
    while sizes[-1] // 2 >= max(SMALLEST_WINDOW, policy.every):
        sizes.append(sizes[-1] // 2)
    return tuple(sizes)


def check_policy(policy: Policy) -> None:
    """Raises `RefusedInput` with every fault of the policy."""
    faults = []
    if policy.window < 1:
        faults.append(f"window is {policy.window}; allowed: at least 1")
    if policy.every < 1:
        faults.append(f"every is {policy.every}; allowed: at least 1")
    if not 0 < policy.false_alarms_per_million <= MILLION:
        faults.append(f"false_alarms_per_million is {policy.false_alarms_per_million}; allowed: above 0, up to 1000000")
    if faults:
        raise RefusedInput("This monitoring policy cannot be kept", faults=faults)
