import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from stackproof.errors import Conflict, NotFound, RefusedInput
from stackproof.ledger import Entity, Kind, Ledger, Link, Relation
from stackproof.roles.serving import LoggedPrediction
from stackproof.store import Store, new_id

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def entity(identifier: str, **attributes: object) -> Entity:
    return Entity(identifier, identifier.partition(":")[0], NOON, attributes)  # type: ignore[arg-type]  # JSON values


def record_thread(ledger: Ledger) -> None:
    """data <- features <- run <- model <- deployment, and a second dataset behind the first."""
    ledger.record(
        *map(
            entity, ["data:raw@1", "data:flights@1", "features:wind@1", "run:1", "model:delay@1", "deployment:delay@1"]
        ),
        Link("data:flights@1", Relation.DERIVED_FROM, "data:raw@1"),
        Link("features:wind@1", Relation.DERIVED_FROM, "data:flights@1"),
        Link("run:1", Relation.USED, "features:wind@1"),
        Link("run:1", Relation.USED, "data:flights@1"),
        Link("model:delay@1", Relation.REGISTERED_FROM, "run:1"),
        Link("deployment:delay@1", Relation.DEPLOYED_AS, "model:delay@1"),
    )


def test_an_entity_comes_back_as_it_was(ledger: Ledger) -> None:
    attributes = {"text": "Größe 🚀", "list": [1, 2.5, None, {"a": True}], "infinite": math.inf, "empty": {}}
    ledger.record(entity("run:1", **attributes))
    assert ledger.get("run:1") == Entity("run:1", Kind.RUN, NOON, attributes)  # type: ignore[arg-type]  # JSON values


def test_recording_again_adds_attributes_and_never_changes_one(ledger: Ledger) -> None:
    ledger.record(entity("run:1", a=1))
    ledger.record(entity("run:1", a=1, b=math.nan))
    head = ledger.head()
    ledger.record(entity("run:1", b=math.nan))
    assert ledger.head() == head
    with pytest.raises(Conflict, match="'a'"):
        ledger.record(entity("run:1", c=3, a=2))
    assert set(ledger.get("run:1").attributes) == {"a", "b"}


def test_what_is_not_there_is_not_found(ledger: Ledger) -> None:
    for identifier in ("run:none", "prediction:none", "nonsense"):
        with pytest.raises(NotFound):
            ledger.get(identifier)
        assert ledger.links_from(identifier) == []
    assert ledger.find("run") == []


def test_entities_are_found_by_kind_and_attributes_the_last_recorded_first(ledger: Ledger) -> None:
    for number in range(5):
        early = Entity(f"step:{number}", "step", NOON - timedelta(days=number), {"even": number % 2 == 0, "n": number})
        ledger.record(early, entity(f"run:{number}"))
    assert [found.id for found in ledger.find("step", limit=2)] == ["step:4", "step:3"]
    assert [found.id for found in ledger.find("step", where={"even": True})] == ["step:4", "step:2", "step:0"]
    assert [found.id for found in ledger.find("step", where={"even": True, "n": 2})] == ["step:2"]
    assert ledger.find("step", where={"even": 1}) == []
    assert ledger.find(Kind.RUN, where={"even": True}) == []


def test_links_keep_their_order_and_again_is_no_change(ledger: Ledger) -> None:
    record_thread(ledger)
    head = ledger.head()
    ledger.record(Link("run:1", Relation.USED, "data:flights@1"))
    assert ledger.head() == head
    assert [link.target for link in ledger.links_from("run:1")] == ["features:wind@1", "data:flights@1"]
    assert [link.source for link in ledger.links_to("data:flights@1")] == ["features:wind@1", "run:1"]


@pytest.mark.parametrize(
    ("source", "target"), [("run:1", "data:none"), ("run:none", "data:1"), ("prediction:9", "data:1")]
)
def test_a_link_to_what_the_ledger_does_not_hold_is_refused_and_nothing_is_added(
    ledger: Ledger, source: str, target: str
) -> None:
    ledger.record(entity("run:1"), entity("data:1"))
    head = ledger.head()
    with pytest.raises(RefusedInput, match="does not hold"):
        ledger.record(entity("run:2"), Link(source, Relation.USED, target))
    assert ledger.head() == head
    assert [found.id for found in ledger.find("run")] == ["run:1"]


@pytest.mark.parametrize(
    "bad",
    [
        Entity("run:1", "model", NOON),
        Entity("run", "run", NOON),
        Entity("run:1", "run", NOON.replace(tzinfo=None)),
        Entity("run:1", "run", NOON, {"a": object()}),  # type: ignore[dict-item]  # that is what is tested
    ],
    ids=["another kind", "no kind", "no time zone", "no JSON"],
)
def test_a_malformed_entity_is_refused(ledger: Ledger, bad: Entity) -> None:
    with pytest.raises(RefusedInput):
        ledger.record(bad)
    assert ledger.verify().batches == 0


def test_lineage_leads_upstream_breadth_first(ledger: Ledger, make_prediction: Callable[..., LoggedPrediction]) -> None:
    record_thread(ledger)
    prediction = make_prediction(sources={"weather": ("data:raw@1", NOON)})
    ledger.predictions.append([prediction], lambda error: None)
    ledger.record(entity("alert:1"), Link("alert:1", Relation.USED, "deployment:delay@1"))
    found = ledger.lineage(prediction.id)
    assert [e.id for e in found.entities] == [
        prediction.id,
        "deployment:delay@1",
        "model:delay@1",
        "data:raw@1",
        "run:1",
        "features:wind@1",
        "data:flights@1",
    ]
    assert found.complete
    assert Link(prediction.id, Relation.PREDICTED_BY, "model:delay@1") in found.links
    assert len(found.links) == len(set(found.links))


def test_lineage_leads_downstream_and_stops_at_its_limit(ledger: Ledger) -> None:
    record_thread(ledger)
    found = ledger.lineage("data:raw@1", downstream=True)
    assert {e.id for e in found.entities} >= {"data:flights@1", "run:1", "model:delay@1", "deployment:delay@1"}
    cut = ledger.lineage("data:raw@1", downstream=True, limit=2)
    assert (len(cut.entities), cut.complete) == (2, False)
    with pytest.raises(NotFound):
        ledger.lineage("run:none")


def test_lineage_ends_where_links_go_in_a_circle(ledger: Ledger) -> None:
    ledger.record(
        *map(entity, ["run:1", "alert:1"]),
        Link("run:1", Relation.USED, "alert:1"),
        Link("alert:1", Relation.USED, "run:1"),
    )
    assert [e.id for e in ledger.lineage("run:1").entities] == ["run:1", "alert:1"]


def test_an_unknown_end_of_a_prediction_shows_in_the_links_alone(
    ledger: Ledger, make_prediction: Callable[..., LoggedPrediction]
) -> None:
    prediction = make_prediction()
    ledger.record(entity("run:1"))
    ledger.predictions.append([prediction], lambda error: None)
    ledger.record(entity("run:2"))
    found = ledger.lineage(prediction.id)
    assert [e.id for e in found.entities] == [prediction.id]
    assert "deployment:delay@1" in {link.target for link in found.links}


def test_a_record_joins_the_enclosing_transaction(ledger: Ledger, store: Store) -> None:
    def record_and_fail() -> None:
        with store.database.transaction():
            ledger.record(entity("run:1"))
            assert ledger.get("run:1").id == "run:1"
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        record_and_fail()
    with pytest.raises(NotFound):
        ledger.get("run:1")
    assert ledger.verify().ok


def test_many_threads_record_into_one_chain(ledger: Ledger) -> None:
    def work(thread: int) -> None:
        for number in range(10):
            ledger.record(entity(f"run:{thread}-{number}", n=number))

    with ThreadPoolExecutor(8) as pool:
        for future in [pool.submit(work, thread) for thread in range(8)]:
            future.result()
    report = ledger.verify()
    assert (report.ok, report.batches) == (True, 80)


def test_a_clock_that_goes_back_breaks_neither_order_nor_chain(store: Store) -> None:
    ticks = iter(range(10_000))
    ledger = Ledger(store, clock=lambda: NOON - timedelta(hours=next(ticks)))
    ids = [new_id("run") for _ in range(5)]
    for number, identifier in enumerate(ids):
        ledger.record(Entity(identifier, "run", NOON - timedelta(days=number)))
    assert [found.id for found in ledger.find("run")] == ids[::-1]
    assert ledger.verify().ok


def test_the_ledger_is_the_same_after_a_restart(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    ledger = Ledger(store)
    record_thread(ledger)
    head, before = ledger.head(), ledger.lineage("deployment:delay@1")
    store.close()
    store = Store.open(tmp_path)
    ledger = Ledger(store)
    assert (ledger.head(), ledger.lineage("deployment:delay@1")) == (head, before)
    assert ledger.verify(witnessed=head).ok
    store.close()
