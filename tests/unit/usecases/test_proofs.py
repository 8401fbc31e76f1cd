"""Proofs are files that come back as they were written, and replace the ratings that they measure."""

import datetime
import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackproof.decide import decide, parse_answers
from stackproof.decide.evidence import measured
from stackproof.errors import RefusedInput
from stackproof.facts import Facts, load_facts
from stackproof.facts.model import Criterion, Measure
from stackproof.roles.proof import Conformance, Figure, Proof
from stackproof.usecases.proofs import (
    parse_proof,
    proof_document,
    read_proofs,
    same_machine,
    this_machine,
    write_proofs,
)

AT = datetime.datetime(2026, 11, 20, 10, tzinfo=datetime.UTC)
AS_OF = datetime.date(2026, 11, 21)
SPEED = Criterion(
    "speed", "Speed", 8, "How fast it is", "tests", "tracking", measure=Measure("write", "ms", 1.0, 1000.0)
)
FURTHER = {"lacking", "deviations", "conformance", "notes"}
texts = st.text(min_size=1, max_size=12)


def proof(tool: str, *values: float, correct: bool = True, days: int = 0) -> Proof:
    figures = (Figure("write", "ms", values),) if values else ()
    at = AT + datetime.timedelta(days=days)
    faults = () if correct else ("it lost 3 of 1,000 acknowledged writes",)
    return Proof("tracking", tool, "smoke", at, this_machine(), {tool: "1.0"}, "sha256:0", correct, faults, figures)


@pytest.fixture(scope="module")
def facts() -> Facts:
    known = load_facts()
    tracking = [one for one in known.criteria if one.role != "tracking"]
    return replace(known, criteria=(*tracking, SPEED))


@given(
    st.builds(
        Proof,
        role=texts,
        tool=texts,
        scenario=texts,
        at=st.datetimes(timezones=st.just(datetime.UTC)),
        machine=st.dictionaries(texts, texts),
        versions=st.dictionaries(texts, texts),
        lock_digest=texts,
        correct=st.booleans(),
        faults=st.tuples(texts),
        figures=st.tuples(
            st.builds(
                Figure, texts, texts, st.tuples(st.floats(allow_nan=False, allow_infinity=False), st.floats(0, 1))
            )
        ),
    )
)
def test_a_proof_comes_back_from_its_document_as_it_was(given: Proof) -> None:
    assert parse_proof(json.loads(json.dumps(proof_document(given))), "a.json") == given


def test_written_proofs_are_read_back_and_those_of_other_machines_left_out(tmp_path: Path) -> None:
    here, elsewhere = proof("mlflow", 5.0), replace(proof("wandb", 9.0), machine={"name": "another"})
    write_proofs([here, elsewhere], tmp_path)
    assert read_proofs(tmp_path) == (here, elsewhere)
    assert read_proofs(tmp_path, this_machine()) == (here,)
    assert not same_machine(elsewhere, this_machine())
    assert read_proofs(tmp_path / "nowhere") == ()


def test_all_faults_of_all_proofs_are_said_with_their_files(tmp_path: Path) -> None:
    document = proof_document(proof("mlflow", 1.0))
    (tmp_path / "a.json").write_text("{", "utf-8")
    (tmp_path / "b.json").write_text(json.dumps(document | {"correct": "yes", "speed": 1}), "utf-8")
    (tmp_path / "c.json").write_text(json.dumps(document | {"at": "yesterday"}), "utf-8")
    (tmp_path / "d.json").write_text("[]", "utf-8")
    with pytest.raises(RefusedInput) as refused:
        read_proofs(tmp_path)
    said = "\n".join(refused.value.faults)
    assert "a.json: this is not JSON" in said
    assert "b.json: correct" in said
    assert "speed" in said
    assert "c.json: at: got 'yesterday'" in said
    assert "d.json" in said


@pytest.mark.parametrize(
    ("value", "rating"), [(1.0, 1.0), (0.1, 1.0), (1000.0, 0.0), (5000.0, 0.0), (31.6227766, 0.5), (0.0, 1.0)]
)
def test_a_measured_value_is_rated_by_its_logarithm_between_best_and_worst(value: float, rating: float) -> None:
    found = measured(SPEED, "tracking", "mlflow", [proof("mlflow", value)])
    assert found is not None
    assert found[0] == pytest.approx((rating, rating), abs=1e-6)


def test_the_newest_proof_counts_and_its_range_is_the_interval() -> None:
    found = measured(SPEED, "tracking", "mlflow", [proof("mlflow", 1.0), proof("mlflow", 10.0, 100.0, days=1)])
    assert found is not None
    assert found[0] == pytest.approx((1 / 3, 2 / 3), abs=1e-6)
    assert found[3] == (AT + datetime.timedelta(days=1)).date()
    assert measured(SPEED, "tracking", "wandb", [proof("mlflow", 1.0)]) is None


def test_a_proof_takes_the_place_of_a_rating_and_the_reason_says_so(facts: Facts) -> None:
    decided = decide(parse_answers({}, facts), facts, as_of=AS_OF, proofs=[proof("mlflow", 2.0, 3.0)])
    scored = next(one for one in decided.roles["tracking"].rankings[0].tools if one.tool == "mlflow")
    speed = next(one for one in scored.criteria if one.id == "speed")
    assert (speed.measured, speed.known) == (True, True)
    assert speed.word == "2.5 ms, measured 2 times"
    assert any(reason.kind == "proof" and "2.5 ms" in reason.text for reason in decided.roles["tracking"].reasons)


def test_what_was_measured_decides_between_tools_that_are_otherwise_close(facts: Facts) -> None:
    answers = parse_answers({"weights": {"speed": 10, "documents": 0}}, facts)
    slow, fast = proof("mlflow", 900.0), proof("aim", 1.0)
    assert decide(answers, facts, as_of=AS_OF, proofs=[slow, fast]).roles["tracking"].tool == "aim"
    assert decide(answers, facts, as_of=AS_OF).roles["tracking"].tool == "mlflow"


def test_a_tool_whose_results_were_wrong_is_struck_out_whatever_its_speed(facts: Facts) -> None:
    wrong = proof("mlflow", 0.1, correct=False)
    decided = decide(parse_answers({}, facts), facts, as_of=AS_OF, proofs=[wrong]).roles["tracking"]
    assert decided.tool != "mlflow"
    struck = next(one for one in decided.rejected if one.tool == "mlflow")
    assert struck.kind == "capability"
    assert "it lost 3 of 1,000 acknowledged writes" in struck.because
    assert struck.source == "proof of mlflow: smoke"
    mended = [wrong, proof("mlflow", 2.0, days=1)]
    assert decide(parse_answers({}, facts), facts, as_of=AS_OF, proofs=mended).roles["tracking"].tool == "mlflow"


def test_a_small_scenario_clears_no_large_one_and_another_role_none(facts: Facts) -> None:
    wrong = replace(proof("mlflow", 0.1, correct=False), scenario="full")
    for later in (proof("mlflow", 2.0, days=1), replace(proof("mlflow", 2.0, days=1), role="serving", scenario="full")):
        decided = decide(parse_answers({}, facts), facts, as_of=AS_OF, proofs=[wrong, later]).roles["tracking"]
        assert decided.tool != "mlflow"
    cleared = replace(proof("mlflow", 2.0, days=1), scenario="full")
    assert (
        decide(parse_answers({}, facts), facts, as_of=AS_OF, proofs=[wrong, cleared]).roles["tracking"].tool == "mlflow"
    )


def test_what_a_proof_need_not_have_comes_back_and_files_without_it_stay_readable() -> None:
    suite = Conformance(58, {"test_a": "it fails"}, {"test_b": "by design"}, {"test_c": "has not the capability"})
    whole = replace(
        proof("mlflow", 1.0), lacking=("registry",), deviations={"test_b": "by design"}, conformance=suite, notes=("a",)
    )
    assert parse_proof(json.loads(json.dumps(proof_document(whole))), "a.json") == whole
    old = {key: value for key, value in proof_document(whole).items() if key not in FURTHER}
    assert parse_proof(old, "a.json") == proof("mlflow", 1.0)
    with pytest.raises(RefusedInput, match="conformance"):
        parse_proof(proof_document(whole) | {"conformance": {"passed": -1}}, "a.json")
