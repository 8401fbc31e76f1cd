"""Names that a tool accepts, for names that may be any text. For adapters in an environment of their own."""

import hashlib
import re
from collections.abc import Collection


def plain_name(name: str, allowed: str, longest: int, refused: Collection[str] = ()) -> str:
    """The same name where it matches `allowed`, has at most `longest` characters and is not refused.

    Else one of lower-case letters, digits and underscores that looks alike and ends with a digest, so that two names
    stay two.
    """
    if re.fullmatch(allowed, name) and len(name) <= longest and name not in refused:
        return name
    digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:10]
    letters = re.sub("[^a-z0-9]+", "_", name.lower()).strip("_")
    begun = letters if letters[:1].isalpha() else f"n{letters}"
    return f"{begun[: longest - len(digest) - 1]}_{digest}"


def printable(text: str) -> str:
    """With a sign of replacement for what a program's arguments, its output or UTF-8 can't hold."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)
