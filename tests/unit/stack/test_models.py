"""Model packages, and the encoding that training and serving share."""

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import stackproof as sp
from stackproof.errors import InvalidTable, RefusedInput
from stackproof.roles.monitoring import ColumnKind
from stackproof.roles.serving import Signature
from stackproof.stack.models import column_kinds

FRAME = pl.DataFrame({"n": [1, None, 3], "x": [0.5, math.nan, None], "s": ["b", "a", None], "t": [True, False, None]})


def test_inputs_follow_the_table_s_types() -> None:
    assert [(spec.name, spec.datatype, spec.categories) for spec in sp.model_inputs(FRAME)] == [
        ("n", "INT64", ()), ("x", "FP64", ()), ("s", "BYTES", ("a", "b")), ("t", "BOOL", ()),
    ]  # fmt: skip


def test_strings_become_codes_and_what_is_missing_or_unknown_becomes_nan() -> None:
    inputs = sp.model_inputs(FRAME)
    other = FRAME.with_columns(s=pl.Series(["a", "zzz", None]))
    expected = [[1, 0.5, 0, 1], [math.nan, math.nan, math.nan, 0], [3, math.nan, math.nan, math.nan]]
    np.testing.assert_array_equal(sp.matrix(other, inputs), np.array(expected))


def test_a_package_carries_signature_and_reference() -> None:
    inputs = sp.model_inputs(FRAME, ["n", "s"])
    model = sp.package_model(lambda path: open(path, "w").close(), inputs=inputs, reference=FRAME)
    assert Signature.read(model.package) == model.signature
    reference = model.reference()
    assert reference is not None
    assert reference.columns == ["n", "s"]
    assert column_kinds(model.signature) == {"n": ColumnKind.NUMERIC, "s": ColumnKind.CATEGORICAL}


MAKES_A_PACKAGE = """
import stackproof as sp
model = sp.package_model(lambda path: open(path, "w").close(), inputs=())
print(model.package, model.package.exists())
"""


def test_a_package_that_nobody_kept_goes_with_its_process() -> None:
    said = subprocess.run([sys.executable, "-c", MAKES_A_PACKAGE], check=True, capture_output=True, text=True).stdout
    package, existed = said.split()
    assert existed == "True"
    assert not Path(package).parent.exists()


MAKES_TWO_AT_ONCE = """
import sys, threading, stackproof as sp
sys.setswitchinterval(1e-6)
gate, made = threading.Barrier(8), []
def make():
    gate.wait()
    made.append(sp.package_model(lambda path: open(path, "w").close(), inputs=()))
threads = [threading.Thread(target=make) for _ in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(sum(model.package.exists() for model in made), len({model.package.parent for model in made}))
"""


def test_packages_that_are_made_at_the_same_moment_are_all_kept() -> None:
    command = [sys.executable, "-c", MAKES_TWO_AT_ONCE]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout.split() == ["8", "1"]


def test_a_forked_process_takes_no_package_with_it() -> None:
    forked = (
        MAKES_A_PACKAGE
        + """
import os, sys
if (child := os.fork()) == 0:
    sys.exit()
os.waitpid(child, 0)
print(model.package.exists())
"""
    )
    said = subprocess.run([sys.executable, "-c", forked], check=True, capture_output=True, text=True).stdout
    assert said.split()[-1] == "True"


def test_a_format_that_can_t_be_served_is_refused() -> None:
    with pytest.raises(RefusedInput, match="pickle"):
        sp.package_model(lambda path: None, format="pickle", inputs=sp.model_inputs(FRAME))


def test_a_missing_column_is_named() -> None:
    with pytest.raises(InvalidTable, match="nope"):
        sp.model_inputs(FRAME, ["n", "nope"])
    with pytest.raises(InvalidTable, match="'x'"):
        sp.model_inputs(FRAME.with_columns(x=pl.lit(None).cast(pl.Date)))
