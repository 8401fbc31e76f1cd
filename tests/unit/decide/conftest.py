"""Facts, and answers of every kind."""

import datetime
from collections.abc import Callable
from typing import Any

import pytest

from stackproof.decide import Answers, Decision, decide, parse_answers
from stackproof.facts import Facts, load_facts

AS_OF = datetime.date(2026, 11, 21)


@pytest.fixture(scope="session")
def facts() -> Facts:
    return load_facts()


@pytest.fixture(scope="session")
def answered(facts: Facts) -> Callable[..., Answers]:
    """Answers from sections given as keywords; what is left out is assumed."""

    def read(**sections: dict[str, Any]) -> Answers:
        return parse_answers(sections, facts)

    return read


@pytest.fixture(scope="session")
def decided(facts: Facts, answered: Callable[..., Answers]) -> Callable[..., Decision]:
    """The decision for sections given as keywords."""

    def run(*, sensitivity: bool = False, **sections: dict[str, Any]) -> Decision:
        return decide(answered(**sections), facts, as_of=AS_OF, sensitivity=sensitivity)

    return run
