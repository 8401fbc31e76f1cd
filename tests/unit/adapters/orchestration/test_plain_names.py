import re

from hypothesis import given
from hypothesis import strategies as st

from stackproof.adapters.orchestration.plain_names import plain_name

ALLOWED = "[a-z][a-z0-9_]*"


def test_a_name_that_the_tool_takes_stays() -> None:
    assert plain_name("train_2", ALLOWED, 20) == "train_2"


def test_a_name_that_it_refuses_is_one_that_looks_alike() -> None:
    assert re.fullmatch("train_2_[0-9a-f]{10}", plain_name("Train 2!", ALLOWED, 40))
    assert re.fullmatch("class_[0-9a-f]{10}", plain_name("class", ALLOWED, 40, ["class"]))
    assert re.fullmatch("n_[0-9a-f]{10}", plain_name("", ALLOWED, 40))


@given(st.lists(st.text(), unique=True))
def test_two_names_stay_two_and_each_is_taken(names: list[str]) -> None:
    plain = [plain_name(name, ALLOWED, 30) for name in names]
    assert len(set(plain)) == len(names)
    assert all(re.fullmatch(ALLOWED, name) and len(name) <= 30 for name in plain)


def test_a_text_that_is_no_unicode_has_a_name() -> None:
    assert plain_name("\udc80", ALLOWED, 30) != plain_name("\udc81", ALLOWED, 30)
