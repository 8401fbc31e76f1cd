"""What would change the decision: every single other answer, tried."""

from collections.abc import Iterator, Mapping

from stackproof.decide.answers import Answers
from stackproof.decide.choice import Choice, choose_all
from stackproof.decide.decision import Flip
from stackproof.decide.reach import CONSTRAINT_KEYS
from stackproof.facts.model import AllOf, Facts, Question, Value


def flips(answers: Answers, facts: Facts, chosen: Mapping[str, Choice]) -> dict[str, tuple[Flip, ...]]:
    """For each role, the single other answers that give it another tool or verdict, in the questions' order."""
    found: dict[str, list[Flip]] = {role: [] for role in chosen}
    for key in sorted(keys_that_matter(facts), key=list(facts.questions).index):
        for value in other_answers(facts.questions[key], answers[key]):
            changed = choose_all(answers.changed(key, value), facts)
            for role, choice in chosen.items():
                other = changed[role]
                if (other.verdict, other.tool) != (choice.verdict, choice.tool):
                    found[role].append(Flip(key, answers[key], value, other.tool, other.verdict))
    return {role: tuple(changes) for role, changes in found.items()}


def keys_that_matter(facts: Facts) -> frozenset[str]:
    """The answers that some rule, gate or constraint looks at, and the priorities."""
    looked_at = {key for role in facts.trees for key in keys_of_role(role, facts)}
    return frozenset(looked_at | set(CONSTRAINT_KEYS)) & facts.questions.keys()


def keys_of_role(role: str, facts: Facts) -> frozenset[str]:
    """The answers that the rules and gates of one role look at."""
    tree = facts.trees[role]
    conditions: list[AllOf] = [gate.when for gate in facts.gates if gate.role == role]
    conditions += [group for gate in facts.gates if gate.role == role for group in gate.unless]
    for aspect in tree.aspects:
        conditions += [aspect.when, *aspect.any]
    for branch in tree.branches:
        conditions += [branch.when, *branch.any, branch.given]
    keys = {condition.key for group in conditions for condition in group}
    priority = f"priorities.{role}"
    return frozenset(keys | ({priority} if priority in facts.questions else set()))


def other_answers(question: Question, current: Value) -> Iterator[Value]:
    """The other answers worth trying: each other choice, one choice more or less, the other buckets."""
    if question.type == "bool":
        yield current is not True
    elif question.type == "choice":
        yield from (name for name in question.allowed if name != current)
    elif question.type == "choices" and isinstance(current, tuple):
        for name in question.allowed:
            yield tuple(item for item in current if item != name) if name in current else (*current, name)
    elif question.type in ("int", "number"):
        for bucket in question.buckets:
            if bucket != current:
                yield int(bucket) if question.type == "int" else bucket
