"""The page on joining what exists names every option, and its example is one that is read."""

import json
import re
from pathlib import Path

import click

from stackproof.cli.attach import attach
from stackproof.stack.exchanges import rows_of

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "attach.md").read_text("utf-8")


def test_every_option_of_attach_is_on_its_page() -> None:
    options = {
        name
        for command in attach.commands.values()
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for name in parameter.opts
        if name.startswith("--")
    }
    assert options - set(re.findall(r"--[a-z][a-z-]*", PAGE)) == {"--format"}


def test_the_request_on_the_page_is_one_that_is_read() -> None:
    (example,) = re.findall(r"```json\n(.*?)\n```", PAGE, flags=re.S)
    told = json.loads(example)
    assert rows_of(told["inputs"], told["outputs"]) == [({"distance": 1400}, {"probability": 0.3})]
