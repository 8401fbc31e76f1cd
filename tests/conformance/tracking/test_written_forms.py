"""What is written in another form for a tool comes back as it was."""

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackproof.adapters.tracking import mlflow_form as form
from stackproof.adapters.tracking.content import content_of
from stackproof.adapters.tracking.escaping import escaped, unescaped
from stackproof.adapters.tracking.mlflow_points import WaitingPoints
from stackproof.errors import RefusedInput
from stackproof.store import Blobs

NAMES = st.text(alphabet="_x0af9 /.:#é🚀", min_size=1, max_size=12)
PARAMS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"])), st.integers(), st.floats(), st.booleans(), st.none()
)


@given(NAMES)
def test_an_escaped_name_has_no_refused_character_and_comes_back(name: str) -> None:
    written = escaped(name, lambda character: character in "/#🚀")
    assert not set(written) & set("/#🚀")
    assert unescaped(written) == name


@given(NAMES.filter(lambda name: name.strip()))
def test_the_key_of_a_name_is_its_own_path_and_comes_back(name: str) -> None:
    key = form.key_of("name", name)
    assert unescaped(key) == name
    assert not key.startswith("/")
    assert all(part not in ("", ".", "..") for part in key.split("/"))


@pytest.mark.parametrize("name", ["loss", "val/loss", "lr-0.1", "grad_x1", "a b:c", "größe"])
def test_a_name_that_mlflow_takes_stays_as_it_is(name: str) -> None:
    assert form.key_of("name", name) == name


@given(PARAMS)
def test_a_value_that_is_no_text_is_read_from_its_text(value: str | float | bool | None) -> None:
    read = form.param_value(form.param_text("p", value))
    if isinstance(value, str):
        assert str(read) == value
    else:
        assert type(read) is type(value)
        assert read == value or (math.isnan(float(str(read))) and math.isnan(float(str(value))))


def test_a_value_that_mlflow_would_cut_is_refused() -> None:
    with pytest.raises(RefusedInput, match="too long"):
        form.param_text("p", "x" * 6001)


@given(st.integers(0, 2**52))
def test_an_instant_comes_back_to_the_millisecond(microseconds: int) -> None:
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
    assert timedelta(0) <= at - form.from_ms(form.to_ms(at)) < timedelta(milliseconds=1)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 2), st.integers(0, 3)), max_size=30))
def test_waiting_points_of_a_name_and_step_have_rising_instants_in_the_order_of_writing(
    written: list[tuple[str, int, int]],
) -> None:
    waiting = WaitingPoints()
    for number, (name, step, at) in enumerate(written):
        waiting.add("run:1", [(name, float(number), at, step)])
    taken = waiting.take("run:1")
    assert [(name, step, value) for name, value, _, step in taken] == [
        (name, step, float(number)) for number, (name, step, _) in enumerate(written)
    ]
    assert len({(name, at, step) for name, _, at, step in taken}) == len(written)
    for key in {(name, step) for name, _, _, step in taken}:
        instants = [at for name, _, at, step in taken if (name, step) == key]
        assert instants == sorted(instants)


def test_content_has_the_digest_that_the_embedded_store_gives_it(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "näme" / "empty").mkdir(parents=True)
    (folder / "a.txt").write_text("a")
    (folder / "näme" / "b").write_bytes(b"")
    blobs = Blobs(tmp_path / "blobs")
    tree = blobs.put_tree(folder)
    content = content_of(folder)
    assert (content.digest, content.size) == (tree.digest, tree.size)
    assert content_of(folder / "a.txt").digest == blobs.put_tree(folder / "a.txt").files[0].digest
