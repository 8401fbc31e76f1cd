"""What was read long ago says how old it is, each kind by its own measure."""

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackproof.facts.expiry import FRESH_DAYS, age, expired, kind_of, not_yet_known, undated
from stackproof.facts.model import Fact, Mode, Rating

READ = datetime.date(2026, 4, 25)


def fact(key: str, date: datetime.date | None = READ) -> Fact:
    return Fact(key, "something", "a page", date, "high")


def mode(cost: str) -> Mode:
    return Mode("managed", cost, "a page", READ, "medium")


def after(days: int) -> datetime.date:
    return READ + datetime.timedelta(days=days)


@pytest.mark.parametrize(
    ("key", "kind", "days"),
    [
        ("price", "price", 180),
        ("price_claimed", "price", 180),
        ("release", "release", 90),
        ("status", "lifecycle", 180),
        ("licence", "rest", 365),
        ("anything_else", "rest", 365),
    ],
)
def test_each_kind_is_fresh_for_its_own_time_and_not_a_day_longer(key: str, kind: str, days: int) -> None:
    assert kind_of(key) == kind
    assert expired(fact(key), after(days)) is None
    found = expired(fact(key), after(days + 1))
    assert found is not None
    assert (found.kind, found.age, found.fresh_for) == (kind, days + 1, days)


def test_an_expired_fact_says_of_what_how_old_and_how_long_it_would_be_fresh() -> None:
    found = expired(fact("price"), after(210), of="Weights & Biases")
    assert found is not None
    assert found.text == (
        "What is known of the price of Weights & Biases is 210 days old; a price is taken as fresh for 180 days"
    )


def test_only_a_paid_way_of_running_a_tool_ages_like_a_price() -> None:
    assert [cost for cost in ("free", "included", "per-seat", "usage", "quote") if expired(mode(cost), after(200))] == [
        "per-seat",
        "usage",
        "quote",
    ]
    assert expired(mode("free"), after(366)) is not None


def test_a_rating_ages_like_the_rest_even_when_its_criterion_sounds_like_another_kind() -> None:
    rating = Rating("release", "high", "a page", READ, "high")
    assert expired(rating, after(365)) is None
    found = expired(rating, after(366), of="MLflow")
    assert found is not None
    assert found.kind == "rest"
    assert found.text.startswith("What is known of release of MLflow is 366 days old; such a fact")


def test_what_has_no_date_never_expires_and_has_no_age() -> None:
    without = fact("status", None)
    assert undated(without)
    assert not undated(fact("status"))
    assert age(without, after(9999)) is None
    assert expired(without, after(9999)) is None
    assert not_yet_known(without, after(-9999)) == ""


def test_before_the_day_of_reading_it_says_that_what_was_known_is_not_recorded() -> None:
    text = not_yet_known(fact("status"), after(-1), of="MLflow")
    assert text.startswith("What was known then, on 2026-04-24, of the lifecycle of MLflow is not recorded")
    assert not_yet_known(fact("status"), READ) == ""
    assert expired(fact("status"), after(-1)) is None


@given(key=st.sampled_from(["price", "release", "status", "licence"]), days=st.integers(-4000, 4000))
def test_once_expired_it_stays_expired_and_is_never_expired_and_not_yet_known_together(key: str, days: int) -> None:
    found = expired(fact(key), after(days))
    assert (found is not None) == (days > FRESH_DAYS[kind_of(key)])
    assert not (found and not_yet_known(fact(key), after(days)))
    if found:
        assert expired(fact(key), after(days + 1)) is not None
