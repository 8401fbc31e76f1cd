"""Faults of a document's shape are messages for the person who wrote it."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stackproof.facts.shape import dotted, faults, find_faults, line_of

SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["name"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string"},
        "size": {"type": "integer", "minimum": 1},
        "colour": {"enum": ["red", "green"]},
        "parts": {"type": "array", "items": {"type": "object", "properties": {"id": {"type": "string"}}}},
        "where": {"oneOf": [{"type": "string"}, {"type": "object", "required": ["path"]}]},
    },
}


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({}, "it.toml: the key 'name' is missing"),
        ({"name": 3}, "it.toml: name: got 3. Allowed: string"),
        ({"name": "a", "size": 0}, "it.toml: size: got 0. Allowed: at least 1"),
        ({"name": "a", "colour": "gren"}, "it.toml: colour: got 'gren'; did you mean 'green'?. Allowed: red, green"),
        ({"name": "a", "colur": "red"}, "it.toml: colur: unknown key; did you mean 'colour'?. Allowed: "),
        ({"name": "a", "parts": [{"id": "x"}, {"id": 4}]}, "it.toml: parts[1].id: got 4. Allowed: string"),
    ],
)
def test_a_fault_names_file_key_value_and_what_is_allowed(document: dict[str, Any], said: str) -> None:
    (fault,) = faults(document, SCHEMA, "it.toml")
    assert fault.startswith(said)


def test_every_unknown_key_is_a_fault_of_its_own() -> None:
    found = faults({"name": "a", "x": 1, "y": 2}, SCHEMA, "it.toml")
    assert [fault.split(":")[1].strip() for fault in found] == ["x", "y"]


def test_two_missing_keys_are_two_faults() -> None:
    schema = {"type": "object", "required": ["first", "second"]}
    assert faults({}, schema, "it.toml") == [
        "it.toml: the key 'first' is missing",
        "it.toml: the key 'second' is missing",
    ]


def test_a_choice_of_shapes_is_explained_by_the_nearest_one() -> None:
    found = faults({"name": "a", "where": {"pth": "x"}}, SCHEMA, "it.toml")
    assert found == ["it.toml: where: the key 'path' is missing"]


def test_a_sound_document_has_no_fault() -> None:
    assert faults({"name": "a", "size": 2, "where": "here"}, SCHEMA, "it.toml") == []


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.text(), st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists)))
def test_any_document_is_explained_without_an_exception(document: dict[str, Any]) -> None:
    assert all(str(fault) for fault in find_faults(document, SCHEMA))


def test_a_path_is_written_as_toml_and_python_say_it() -> None:
    assert dotted(("roles", "tracking", 0, "id")) == "roles.tracking[0].id"


def test_the_line_of_a_key_is_found_below_its_tables() -> None:
    text = "[one]\nvalue = 1\n\n[two.three]\n# value\nother = 2\nvalue = 3\n"
    assert line_of(text, ("two", "three", "value")) == 7
    assert line_of(text, ("one", "value")) == 2
    assert line_of(text, ("nowhere",)) is None
