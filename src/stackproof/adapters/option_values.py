"""What an adapter was told by its options, and what is said of an option that cannot be followed."""

from collections.abc import Mapping

from stackproof.errors import RefusedInput, UnknownName
from stackproof.roles.adapter import Option

Given = Mapping[str, object]
Known = Mapping[str, Option]


def check_names(tool: str, given: Given, known: Known) -> None:
    """Raises `UnknownName` for an option that `tool` has not."""
    for name in given:
        if name not in known:
            raise UnknownName(f"option of {tool}", name, known)


def choice(given: Given, known: Known, name: str) -> str:
    """One of the values that the option allows. Raises `RefusedInput`."""
    value, allowed = given.get(name, known[name].default), known[name].allowed
    if value not in allowed:
        raise wrong(name, value, ", ".join(allowed))
    return str(value)


def whole(given: Given, known: Known, name: str, least: int = 0) -> int:
    """A whole number, at least so much. Raises `RefusedInput`."""
    value = given.get(name, known[name].default)
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise wrong(name, value, f"a whole number from {least} on")
    return value


def some_of(given: Given, known: Known, name: str, among: tuple[str, ...]) -> list[str]:
    """One or more names, which the option has with commas between them; each once. Raises `RefusedInput`."""
    value = str(given.get(name, known[name].default))
    chosen = list(dict.fromkeys(part.strip() for part in value.split(",") if part.strip()))
    if not chosen or set(chosen) - set(among):
        raise wrong(name, value, f"some of {', '.join(among)}")
    return chosen


def wrong(name: str, got: object, allowed: str) -> RefusedInput:
    return RefusedInput(f"The option {name} is wrong", got=repr(got), allowed=allowed)
