"""Names with characters that a tool does not take, written in those that it takes, and read back."""

import re
from collections.abc import Callable

_WRITTEN = re.compile(r"_x([0-9a-f]+)_")
_LOOKS_WRITTEN = re.compile(r"_x[0-9a-f]+")


def escaped(name: str, refused: Callable[[str], bool]) -> str:
    """Each character of which `refused` is true becomes "_x", its code in hexadecimal, "_".

    What looks so already is kept apart. Any other name stays as it is.
    """

    def apart(found: re.Match[str]) -> str:
        following = name[found.end() : found.end() + 1]
        taken_for_written = following == "_" or (following != "" and refused(following))
        return _code("_") + found[0][1:] if taken_for_written else found[0]

    kept_apart = _LOOKS_WRITTEN.sub(apart, name)
    return "".join(_code(character) if refused(character) else character for character in kept_apart)


def escaped_first(name: str) -> str:
    """With its first character written so, for a name that is refused as a whole."""
    return _code(name[0]) + name[1:]


def unescaped(name: str) -> str:
    """What `escaped` was given."""
    return _WRITTEN.sub(_character, name)


def _code(character: str) -> str:
    return f"_x{ord(character):x}_"


def _character(found: re.Match[str]) -> str:
    code = int(found[1], 16)
    return chr(code) if code <= 0x10FFFF else found[0]
