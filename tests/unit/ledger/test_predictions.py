import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stackproof.errors import Conflict, NotFound, RefusedInput
from stackproof.ledger import Entity, Ledger, Link, Relation
from stackproof.roles.serving import LoggedPrediction
from stackproof.store import Store, new_id

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
Make = Callable[..., LoggedPrediction]
VALUES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text())


def log(ledger: Ledger, store: Store, *predictions: LoggedPrediction) -> list[BaseException | None]:
    """Append as one request, and wait for the answer."""
    told: list[BaseException | None] = []
    ledger.predictions.append(predictions, told.append)
    store.database.flush()
    with store.database.transaction():
        pass
    for _ in range(500):
        if told:
            break
        store.database.flush()
    return told


def test_a_prediction_comes_back_exact(ledger: Ledger, store: Store, make_prediction: Make) -> None:
    prediction = make_prediction()
    assert log(ledger, store, prediction) == [None]
    assert repr(ledger.predictions.get(prediction.id)) == repr(prediction)
    assert ledger.get(prediction.id).attributes["model"] == "model:delay@1"


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.dictionaries(st.text(), VALUES, max_size=5), at=st.datetimes(timezones=st.just(UTC)))
def test_any_values_come_back_exact(
    ledger: Ledger, store: Store, make_prediction: Make, values: dict[str, float], at: datetime
) -> None:
    prediction = make_prediction(features=values, entity=values, output=values, at=at.replace(fold=0), event_time=None)
    assert log(ledger, store, prediction) == [None]
    assert repr(ledger.predictions.get(prediction.id)) == repr(prediction)


def test_positions_follow_the_order_of_writing_without_holes(
    ledger: Ledger, store: Store, make_prediction: Make
) -> None:
    made = [make_prediction() for _ in range(250)]
    log(ledger, store, *made[:230])
    log(ledger, store, *made[230:])
    found = ledger.predictions.after(0)
    assert [position for position, _ in found] == list(range(1, 251))
    assert [prediction.id for _, prediction in found] == [prediction.id for prediction in made]
    assert [position for position, _ in ledger.predictions.after(248)] == [249, 250]
    assert [position for position, _ in ledger.predictions.after(3, limit=2)] == [4, 5]
    assert ledger.predictions.after(250) == []


def test_predictions_are_read_by_deployment_and_by_its_name(
    ledger: Ledger, store: Store, make_prediction: Make
) -> None:
    states = ["deployment:a@1", "deployment:a@2", "deployment:ab@1", "deployment:a@1"]
    log(ledger, store, *[make_prediction(deployment=state) for state in states])
    predictions = ledger.predictions
    assert [position for position, _ in predictions.after(0, deployment="deployment:a@1")] == [1, 4]
    assert [position for position, _ in predictions.after(0, deployment_name="a")] == [1, 2, 4]
    assert predictions.count() == 4
    assert predictions.count("deployment:a@2") == 1
    assert predictions.count(deployment_name="ab") == 1
    assert predictions.latest_position() == 4
    assert predictions.latest_position(deployment_name="ab") == 3
    assert predictions.latest_position("deployment:none@1") == 0


def test_nothing_logged_reads_as_nothing(ledger: Ledger) -> None:
    assert ledger.predictions.after(0) == []
    assert (ledger.predictions.count(), ledger.predictions.latest_position()) == (0, 0)
    with pytest.raises(NotFound):
        ledger.predictions.get("prediction:none")
    told: list[BaseException | None] = []
    ledger.predictions.append([], told.append)
    assert told == [None]


@pytest.mark.parametrize("change", [{"features": {"x": object()}}, {"at": datetime(2026, 5, 1)}])  # noqa: DTZ001  # refused
def test_what_cannot_be_logged_is_refused_and_nothing_is_written(
    ledger: Ledger, store: Store, make_prediction: Make, change: dict[str, object]
) -> None:
    (told,) = log(ledger, store, make_prediction(), make_prediction(**change))
    assert isinstance(told, RefusedInput)
    assert ledger.predictions.count() == 0


def test_the_same_identifier_twice_is_a_conflict_and_harms_no_other(
    ledger: Ledger, store: Store, make_prediction: Make
) -> None:
    first = make_prediction()
    assert log(ledger, store, first) == [None]
    (told,) = log(ledger, store, make_prediction(), first)
    assert isinstance(told, Conflict)
    assert log(ledger, store, make_prediction()) == [None]
    assert ledger.predictions.count() == 2
    assert ledger.verify().ok


def test_outcomes_become_known_later_and_never_change(ledger: Ledger, store: Store, make_prediction: Make) -> None:
    made = [make_prediction() for _ in range(4)]
    log(ledger, store, *made)
    ids = [prediction.id for prediction in made]
    ledger.predictions.record_outcomes({ids[0]: 1.0, ids[1]: math.nan}, NOON)
    ledger.predictions.record_outcomes({ids[1]: math.nan, ids[2]: -math.inf}, NOON + timedelta(days=1))
    known = ledger.predictions.outcomes([*ids, "prediction:none"])
    assert list(known) == ids[:3]
    assert (known[ids[0]], known[ids[2]]) == (1.0, -math.inf)
    assert math.isnan(known[ids[1]])
    with pytest.raises(Conflict):
        ledger.predictions.record_outcomes({ids[3]: 1.0, ids[0]: 0.0}, NOON)
    with pytest.raises(NotFound, match="prediction:none"):
        ledger.predictions.record_outcomes({ids[3]: 1.0, "prediction:none": 0.0}, NOON)
    assert len(ledger.predictions.outcomes(ids)) == 3
    assert ledger.verify().ok


def test_an_alert_may_link_to_a_logged_prediction(ledger: Ledger, store: Store, make_prediction: Make) -> None:
    prediction = make_prediction()
    log(ledger, store, prediction)
    ledger.record(Entity("alert:1", "alert", NOON), Link("alert:1", Relation.USED, prediction.id))
    assert [link.source for link in ledger.links_to(prediction.id)] == ["alert:1"]


def test_predictions_and_records_share_one_chain(ledger: Ledger, store: Store, make_prediction: Make) -> None:
    heads = {ledger.head()}
    for number in range(5):
        log(ledger, store, make_prediction(), make_prediction())
        heads.add(ledger.head())
        ledger.record(Entity(new_id("run"), "run", NOON, {"n": number}))
        heads.add(ledger.head())
    assert len(heads) == 11
    assert (ledger.verify().ok, ledger.verify().batches) == (True, 10)
