"""stack.toml is read, checked and written back."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackproof.errors import NotFound, RefusedInput
from stackproof.roles import ROLES
from stackproof.roles.stack import RoleChoice, Stack
from stackproof.stack.file import read_stack, stack_text, with_secrets, write_stack

text = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=20)
choice = st.builds(
    RoleChoice,
    tool=st.from_regex(r"[a-z0-9][a-z0-9-]{0,10}", fullmatch=True),
    environment=st.sampled_from(["own", "shared"]),
    options=st.dictionaries(
        st.from_regex(r"[a-z_]{1,8}", fullmatch=True), text | st.integers(-9, 9) | st.booleans(), max_size=3
    ),
    beside=st.lists(st.from_regex(r"[a-z]{1,8}", fullmatch=True), max_size=2).map(tuple),
    deferred=text,
)


@given(choices=st.fixed_dictionaries(dict.fromkeys(ROLES, choice)))
def test_every_stack_that_is_written_is_read_back_the_same(
    tmp_path_factory: pytest.TempPathFactory, choices: dict[str, RoleChoice]
) -> None:
    stack = Stack("p", choices)
    file = tmp_path_factory.mktemp("stack") / "stack.toml"
    write_stack(stack, file)
    assert read_stack(file) == stack


def test_a_role_that_is_left_out_is_embedded(tmp_path: Path) -> None:
    file = tmp_path / "stack.toml"
    file.write_text('schema = 1\nproject = "p"\n[roles.tracking]\ntool = "mlflow"\n')
    stack = read_stack(file)
    assert stack.roles["tracking"].tool == "mlflow"
    assert stack.roles["serving"] == RoleChoice("embedded")


def test_all_faults_of_a_file_are_reported_together_with_guesses(tmp_path: Path) -> None:
    file = tmp_path / "stack.toml"
    file.write_text(
        'schema = 1\nproject = "p"\n[roles.traking]\ntool = "mlflow"\n[roles.serving]\ntol = "x"\ntool = 3\n'
        '[roles.features]\ntool = "feast"\nenvironment = "mine"\n'
    )
    with pytest.raises(RefusedInput) as caught:
        read_stack(file)
    faults = "\n".join(caught.value.faults)
    assert "traking" in faults
    assert "did you mean 'tracking'" in faults
    assert "tol" in faults
    assert "roles.serving.tool" in faults
    assert "roles.features.environment" in faults


@pytest.mark.parametrize("content", ["schema = ", "\x00", "schema = 99\nproject = 'p'", "project = 'p'", ""])
def test_a_malformed_file_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "stack.toml"
    file.write_text(content)
    with pytest.raises(RefusedInput, match=r"stack\.toml"):
        read_stack(file)


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="stackproof decide"):
        read_stack(tmp_path / "stack.toml")


def test_secrets_stay_out_of_the_stack_and_are_filled_in_when_used(monkeypatch: pytest.MonkeyPatch) -> None:
    stack = Stack("p", dict.fromkeys(ROLES, RoleChoice("embedded", options={"url": "https://${TOKEN}@x"})))
    monkeypatch.setenv("TOKEN", "s3cret")
    assert "s3cret" not in stack_text(stack)
    assert with_secrets(dict(stack.roles["tracking"].options)) == {"url": "https://s3cret@x"}
    monkeypatch.delenv("TOKEN")
    with pytest.raises(NotFound, match="TOKEN"):
        with_secrets({"url": "${TOKEN}"})
