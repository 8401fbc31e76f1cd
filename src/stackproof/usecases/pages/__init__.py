"""What every page of ours is made of: text escaped into HTML, drawings, numbers as a reader wants them, one style."""

from importlib import resources


def base_style() -> str:
    """The style that all pages share: colours in both schemes, type, tables, print."""
    return resources.files(__name__).joinpath("base.css").read_text("utf-8")
