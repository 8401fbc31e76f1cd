"""What a name may be."""

from collections.abc import Mapping
from pathlib import PurePosixPath

from stackproof.errors import RefusedInput


def checked_text(what: str, text: str) -> str:
    """The text, when it can be stored as UTF-8. Raises `RefusedInput`."""
    try:
        text.encode()
    except (UnicodeEncodeError, AttributeError):
        raise RefusedInput(f"The {what} is no text", got=ascii(text), allowed="a string of whole characters") from None
    return text


def checked_name(what: str, text: str) -> str:
    """The text, when it is not empty either."""
    if not checked_text(what, text).strip():
        raise RefusedInput(f"The {what} is empty", got=repr(text), allowed="a name")
    return text


def checked_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """A name and a text each."""
    return {checked_name("tag's name", name): checked_text("tag", text) for name, text in tags.items()}


def checked_run_id(run_id: str) -> str:
    """An identifier that says that it is a run's."""
    if not checked_text("run's identifier", run_id).startswith("run:") or run_id == "run:":
        raise RefusedInput("That is no identifier of a run", got=repr(run_id), allowed='"run:" and a name')
    return run_id


def checked_relative(name: str) -> str:
    """A relative path with "/" that stays inside its folder."""
    path = PurePosixPath(checked_name("artifact's name", name))
    if path.is_absolute() or ".." in path.parts or "\0" in name or "\\" in name or not path.name:
        raise RefusedInput("That is no name for an artifact", got=repr(name), allowed='a relative path without ".."')
    return str(path)
