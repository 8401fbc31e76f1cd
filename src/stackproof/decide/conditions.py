"""Does a condition of the facts hold for these answers?"""

from collections.abc import Sequence

from stackproof.decide.answers import Answers
from stackproof.facts.model import AllOf, Aspect, Branch, Condition, Gate


def holds(condition: Condition, answers: Answers) -> bool:
    """A condition on an answer that there is not holds only for `given = false`."""
    answer, value = answers[condition.key], condition.value
    if condition.op == "given":
        return (answer is not None) is value
    if answer is None:
        return False
    if isinstance(answer, tuple):
        return _holds_on_list(condition.op, set(answer), value)
    if condition.op == "is":
        return answer == value
    if condition.op == "in":
        return isinstance(value, tuple) and answer in value
    return _compares(condition.op, answer, value)


def _holds_on_list(op: str, answer: set[str], value: object) -> bool:
    wanted = set(value) if isinstance(value, tuple) else {value}
    if op == "has":
        return bool(answer & wanted)
    if op == "lacks":
        return not answer & wanted
    return bool(answer) and answer <= wanted


def _compares(op: str, answer: object, value: object) -> bool:
    if not isinstance(answer, (int, float)) or not isinstance(value, (int, float)):
        return False
    if op == "below":
        return answer < value
    if op == "above":
        return answer > value
    return answer >= value if op == "at_least" else answer <= value


def all_hold(conditions: AllOf, answers: Answers) -> bool:
    return all(holds(condition, answers) for condition in conditions)


def any_group_holds(groups: Sequence[AllOf], answers: Answers) -> bool:
    """True where no group is named."""
    return not groups or any(all_hold(group, answers) for group in groups)


def is_active(aspect: Aspect, answers: Answers) -> bool:
    return all_hold(aspect.when, answers) and any_group_holds(aspect.any, answers)


def branch_holds(branch: Branch, answers: Answers, *, stated: bool = False) -> bool:
    """`stated`: the team named this branch's priority, so that its `when` and `any` are not asked."""
    need = stated or (all_hold(branch.when, answers) and any_group_holds(branch.any, answers))
    return need and all_hold(branch.given, answers)


def gate_closes(gate: Gate, answers: Answers) -> bool:
    reopened = bool(gate.unless) and any_group_holds(gate.unless, answers)
    return all_hold(gate.when, answers) and not reopened
