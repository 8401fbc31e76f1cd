"""What is found, how soon, and in which words."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stackproof.adapters.monitoring.columns import read_rows
from stackproof.adapters.monitoring.drift import Watch
from stackproof.adapters.monitoring.reference import Reference
from stackproof.roles.monitoring import ColumnKind, Finding, Policy

Draw = Callable[[int, int], pl.DataFrame]
Observe = Callable[..., list[Finding]]
EVERY = Policy().every
MPH_TO_METRES_PER_SECOND = 0.44704


def _winds(rows: int, seed: int) -> pl.DataFrame:
    """Whole knots, given in mph: as weather stations report them."""
    knots = np.round(np.random.default_rng(seed).gamma(4, 2.3, rows))
    return pl.DataFrame({"wind": knots * 1.15078})


def _carriers(rows: int, seed: int, shares: dict[str, float]) -> pl.DataFrame:
    chance = np.random.default_rng(seed)
    return pl.DataFrame({"carrier": chance.choice(list(shares), rows, p=list(shares.values()))})


BEFORE = {"UA": 0.17, "B6": 0.4, "DL": 0.4, "HA": 0.02, "OO": 0.01}


@pytest.mark.parametrize("change_at", [1000, 1010, 1024])
def test_a_change_of_unit_is_found_within_two_looks_and_named(observe: Observe, change_at: int) -> None:
    reference = _winds(20_000, 0)
    for seed in range(1, 21):
        before, after = _winds(change_at, seed), _winds(200, 100 + seed) * MPH_TO_METRES_PER_SECOND
        findings = observe(reference, pl.concat([before, after]))
        found = next(finding for finding in findings if finding.last >= change_at)
        looks = (found.last + 1) // EVERY - change_at // EVERY
        assert 1 <= looks <= 2
        assert found.test == "Kolmogorov-Smirnov"
        assert found.effect.startswith("median ")
        assert "values look multiplied by" in found.hint


def test_the_hint_names_the_units_when_the_window_holds_only_changed_rows(observe: Observe) -> None:
    changed = _winds(100, 1) * MPH_TO_METRES_PER_SECOND
    (found,) = observe(_winds(20_000, 0), changed)
    assert found.hint == "values look multiplied by 0.447, as a change of unit would do (mph to m/s)"
    assert found.first == 0


def test_fahrenheit_given_as_celsius_is_named(observe: Observe) -> None:
    def temperatures(rows: int, seed: int) -> pl.DataFrame:
        return pl.DataFrame({"temp": np.random.default_rng(seed).normal(55, 18, rows)})

    (found,) = observe(temperatures(20_000, 0), (temperatures(400, 1) - 32) * 5 / 9)
    assert found.hint == "values look converted from °F to °C"


def test_a_shifted_distribution_has_no_hint_of_a_unit(observe: Observe) -> None:
    chance = np.random.default_rng(5)
    reference = pl.DataFrame({"x": chance.normal(0, 1, 5000)})
    (found,) = observe(reference, pl.DataFrame({"x": chance.normal(2, 1, 200)}))
    assert found.hint == ""


def test_a_single_value_repeated_is_named(observe: Observe) -> None:
    (found,) = observe(_winds(5000, 0), pl.DataFrame({"wind": np.full(100, 7.5)}))
    assert found.hint == "a single value repeated: 7.5"


def test_equal_medians_are_described_by_what_differs(observe: Observe) -> None:
    zeros = pl.DataFrame({"rain": [0.0] * 950 + [1.0] * 50})
    (found,) = observe(zeros, pl.DataFrame({"rain": [0.0, 0.0, 1.0] * 130}))
    assert found.effect == "mean 0.05 -> 0.33"
    halves = pl.DataFrame({"x": [-1.0, 0.0, 0.0, 1.0] * 500})
    (found,) = observe(halves, pl.DataFrame({"x": [-1.0, -1.0, 0.0, 1.0, 1.0] * 80}))
    assert found.effect.startswith("share of values up to ")


def test_a_changed_share_of_a_common_value_is_found_with_its_share(observe: Observe) -> None:
    after = {"UA": 0.47, "B6": 0.25, "DL": 0.25, "HA": 0.02, "OO": 0.01}
    stream = pl.concat([_carriers(800, 1, BEFORE), _carriers(400, 2, after)])
    (found,) = observe(_carriers(20_000, 0, BEFORE), stream)
    assert found.test == "G test of the common values"
    assert found.effect.startswith("share of 'UA' 17 % -> ")
    assert 800 <= found.last < 800 + 200


def test_a_rare_value_that_becomes_common_is_found_with_its_share(observe: Observe) -> None:
    after = {"UA": 0.17, "B6": 0.3, "DL": 0.3, "HA": 0.22, "OO": 0.01}
    (found,) = observe(_carriers(20_000, 0, BEFORE), _carriers(400, 2, after))
    assert found.effect.startswith("share of 'HA' 1.9 % -> ")


def test_values_that_the_reference_has_not_are_named(observe: Observe) -> None:
    after = {"UA": 0.17, "B6": 0.3, "DL": 0.3, "ZZ": 0.23}
    (found,) = observe(_carriers(20_000, 0, BEFORE), _carriers(100, 2, after))
    assert found.test == "exact test of the share of rare and unseen values"
    assert found.effect.startswith("share of 'ZZ' 0 % -> ")
    assert "such as 'ZZ'" in found.hint


def test_values_spelt_otherwise_are_recognised(observe: Observe) -> None:
    stream = _carriers(100, 2, BEFORE).with_columns(pl.col("carrier").str.to_lowercase())
    (found,) = observe(_carriers(20_000, 0, BEFORE), stream)
    assert "looks like" in found.hint
    assert "spelt otherwise" in found.hint


def test_a_share_of_two_values_is_found(observe: Observe) -> None:
    stream = _carriers(400, 1, {"a": 0.8, "b": 0.2})
    (found,) = observe(_carriers(5000, 0, {"a": 0.5, "b": 0.5}), stream)
    assert found.test == "exact test of two values' shares"


def test_missing_values_are_found_with_their_share(observe: Observe) -> None:
    reference = pl.DataFrame({"x": [float(row) if row % 100 else None for row in range(5000)]})
    stream = pl.DataFrame({"x": [float(row * 97 % 5000) if row % 10 < 7 else None for row in range(200)]})
    (found,) = observe(reference, stream)
    assert found.test == "exact test of the missing share"
    assert found.effect == "missing 1 % -> 24 %"
    nothing = pl.DataFrame({"x": [None] * 100}, schema={"x": pl.Float64})
    (found,) = observe(reference, nothing)
    assert "every value is missing" in found.hint


def test_missing_values_that_stop_are_found_too(observe: Observe) -> None:
    reference = pl.DataFrame({"x": [None, 1.0, 2.0] * 500})
    (found,) = observe(reference, pl.DataFrame({"x": [1.0, 2.0] * 50}))
    assert found.effect == "missing 33 % -> 0 %"


def test_findings_of_a_look_begin_with_the_strongest_and_looks_are_in_order(draw: Draw, observe: Observe) -> None:
    reference = draw(5000, 0)
    stream = draw(600, 1).with_columns(
        pl.col("continuous") * 1.8, pl.col("tied") + 9, half=pl.when(pl.int_range(pl.len()) > 300).then(pl.lit("x"))
    )
    found = observe(reference, stream)
    assert len(found) == 3
    assert found == sorted(found, key=lambda finding: (finding.last, finding.p_value))


def test_numbers_and_texts_of_other_types_are_the_same_values(observe: Observe) -> None:
    reference = pl.DataFrame({"x": range(1000), "code": [str(row % 3) for row in range(1000)]})
    spread = [str(row * 377 % 1000) for row in range(400)]
    stream = pl.DataFrame({"x": spread, "code": [row % 3 for row in range(400)]})
    kinds = {"x": ColumnKind.NUMERIC, "code": ColumnKind.CATEGORICAL}
    watch = Watch(kinds, Policy(), Reference.read(reference, kinds))
    assert watch.observe(read_rows(stream, kinds)) == []
    as_floats = stream.with_columns(pl.col("code").cast(pl.Float64))
    assert watch.observe(read_rows(as_floats, kinds)) == []


def test_the_first_look_comes_with_the_first_rows_due(observe: Observe) -> None:
    (found,) = observe(_winds(5000, 0), _winds(25, 1) * 100)
    assert (found.first, found.last) == (0, 24)
    assert observe(_winds(5000, 0), _winds(24, 1) * 100) == []
    (found,) = observe(_winds(5000, 0), _winds(30, 1) * 100, Policy(window=30, every=30))
    assert (found.first, found.last) == (0, 29)


values = st.one_of(st.none(), st.floats(), st.sampled_from([0.0, 1.0, 2.0]))
texts = st.one_of(st.none(), st.sampled_from(["a", "b", "c"]), st.text(max_size=3))


@given(
    rows=st.lists(st.tuples(values, texts), min_size=1, max_size=80),
    cuts=st.lists(st.integers(0, 80), max_size=6),
    policy=st.builds(Policy, st.sampled_from([10.0, 1e5, 1e6]), window=st.integers(1, 60), every=st.integers(1, 12)),
    held=st.integers(1, 80),
)
@settings(max_examples=60, deadline=None)
def test_any_rows_cut_anywhere_give_the_same_findings_and_never_raise(
    rows: list[tuple[float | None, str | None]], cuts: list[int], policy: Policy, held: int
) -> None:
    kinds = {"number": ColumnKind.NUMERIC, "text": ColumnKind.CATEGORICAL}
    schema = {"number": pl.Float64, "text": pl.String}
    reference = Reference.read(pl.DataFrame(rows[-held:], schema=schema, orient="row"), kinds)
    stream = read_rows(pl.DataFrame(rows, schema=schema, orient="row"), kinds)
    whole = Watch(kinds, policy, reference).observe(stream)
    watch = Watch(kinds, policy, Reference.from_bytes(reference.to_bytes()))
    edges = sorted({0, stream.count, *(cut for cut in cuts if cut < stream.count)})
    pieces = []
    for start, stop in pairwise(edges):
        pieces += watch.observe(stream.part(start, stop))
    assert pieces == whole
    for finding in whole:
        assert finding.p_value < finding.threshold
        assert (finding.last + 1) % policy.every == 0


def test_a_batch_longer_than_what_is_worked_on_at_once_gives_the_same_findings(draw: Draw) -> None:
    reference, stream = draw(500, 0), draw(9000, 1)
    stream = stream.with_columns(pl.when(pl.int_range(pl.len()) > 4090).then(pl.col("tied") + 5).otherwise("tied"))
    kinds = {"tied": ColumnKind.NUMERIC, "half": ColumnKind.CATEGORICAL}
    rows = read_rows(stream, kinds)
    whole = Watch(kinds, Policy(), Reference.read(reference, kinds)).observe(rows)
    watch = Watch(kinds, Policy(), Reference.read(reference, kinds))
    assert len(whole) == 1
    assert [f for start in range(0, 9000, 100) for f in watch.observe(rows.part(start, start + 100))] == whole
