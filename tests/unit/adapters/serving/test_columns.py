"""Values of columns: what is taken for which datatype, and how it reaches the model."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackproof.adapters.serving.columns import Encoder, floats, integers, reader_for, shown
from stackproof.errors import RefusedInput
from stackproof.roles.serving import TensorSpec

whole = st.integers(-(2**63), 2**63 - 1)
numbers = st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(st.none() | numbers | whole))
def test_numbers_become_floats_of_the_same_value_and_null_stays(values: list[Any]) -> None:
    read = floats("x", values)
    assert list(read) == [None if value is None else float(value) for value in values]
    assert {type(value) for value in read} <= {float, type(None)}


@given(st.lists(st.none() | whole | st.integers(-(2**52), 2**52).map(float)))
def test_whole_numbers_become_ints_of_the_same_value(values: list[Any]) -> None:
    read = integers("x", values)
    assert list(read) == values
    assert {type(value) for value in read} <= {int, type(None)}


@pytest.mark.parametrize("value", [1.5, 2**63, -(2**63) - 1, 9.3e18, 1e300, True, "1", [1], math.inf, math.nan])
def test_what_is_no_whole_number_of_64_bits_is_refused(value: object) -> None:
    with pytest.raises(RefusedInput, match="'x'"):
        integers("x", [1, value])


@pytest.mark.parametrize(
    ("stated", "spec", "fits"),
    [
        ("FP64", "FP64", True),
        ("FP32", "FP64", True),
        ("INT8", "FP64", True),
        ("UINT64", "INT64", True),
        ("FP64", "INT64", True),
        ("BOOL", "FP64", False),
        ("FP64", "BOOL", False),
        ("BYTES", "FP64", False),
        ("INT64", "BYTES", False),
        ("INT128", "INT64", False),
        ("BYTES", None, True),
        ("INT32", None, True),
    ],
)
def test_which_stated_datatypes_fit_an_input(stated: str, spec: str | None, fits: bool) -> None:
    assert (reader_for(stated, spec) is not None) == fits


def test_a_fraction_stated_as_an_integer_is_refused_even_for_a_float_input() -> None:
    reader = reader_for("INT64", "FP64")
    assert reader is not None
    assert list(reader("x", [1, None, 2.0])) == [1.0, None, 2.0]
    with pytest.raises(RefusedInput):
        reader("x", [1.5])


def test_the_matrix_has_rows_by_inputs_with_codes_and_nan_for_missing() -> None:
    specs = (TensorSpec("a", "FP64"), TensorSpec("b", "BYTES", ("x", "y")), TensorSpec("c", "BOOL"))
    matrix = Encoder(specs, np.float32).matrix([[1.5, None], ["y", "unknown"], [True, None]])
    assert matrix.dtype == np.float32
    assert matrix.flags.c_contiguous
    np.testing.assert_array_equal(matrix, np.array([[1.5, 1, 1], [np.nan, np.nan, np.nan]], dtype=np.float32))


@pytest.mark.parametrize("value", [3.5e38, -1e39, 1e308])
def test_a_number_beyond_the_models_precision_is_refused_with_its_place(value: float) -> None:
    specs = (TensorSpec("a", "FP64"), TensorSpec("b", "FP64"))
    with pytest.raises(RefusedInput, match="'b'"):
        Encoder(specs, np.float32).matrix([[1.0, 2.0], [0.0, value]])
    assert Encoder(specs, np.float64).matrix([[1.0], [value]])[0, 1] == value


@given(st.recursive(st.text() | st.integers() | st.binary(), st.lists))
def test_a_shown_value_is_short(value: object) -> None:
    assert len(shown(value)) <= 82
    assert len(shown("a" * 10_000)) <= 82
