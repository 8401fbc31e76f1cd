"""stack.toml: read, checked against its schema, and written."""

import json
import os
import re
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from stackproof.envs.locking import locked_tools
from stackproof.errors import NotFound, RefusedInput
from stackproof.facts.shape import faults
from stackproof.roles import ROLES
from stackproof.roles.stack import RoleChoice, Stack

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


@cache
def schema() -> dict[str, Any]:
    """The JSON schema of stack.toml."""
    text = files("stackproof.stack").joinpath("stack.schema.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def read_stack(path: Path) -> Stack:
    """Read and check a stack.toml. A role that it leaves out is filled by `embedded`.

    A tool for which there is a lock lives in an environment of its own unless the file says "shared".

    `${VARIABLE}` in options stays as written, so that no secret is ever recorded; `with_secrets`
    fills it in. Raises `NotFound`, or `RefusedInput` with every fault of the file.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NotFound(
            "There is no stack file",
            got=str(path),
            next_command="stackproof decide --answers answers.toml --out .",
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as broken:
        raise RefusedInput(f"{path.name} is not TOML", got=str(broken)) from broken
    found = faults(document, schema(), path.name)
    if found:
        raise RefusedInput(f"{path.name} is not a stack", faults=found, next_command=f"stackproof plan {path.name}")
    return _stack(document)


def _stack(document: dict[str, Any]) -> Stack:
    given = document.get("roles", {})
    return Stack(
        project=document["project"],
        roles={role: _choice(given.get(role, {"tool": "embedded"})) for role in ROLES},
        schema=document["schema"],
    )


def _choice(table: dict[str, Any]) -> RoleChoice:
    return RoleChoice(
        tool=table["tool"],
        environment=table.get("environment") or ("own" if table["tool"] in locked_tools() else "shared"),
        options=table.get("options", {}),
        beside=tuple(table.get("beside", ())),
        deferred=table.get("deferred", ""),
    )


def default_stack(project: str) -> Stack:
    """Every role filled by `embedded`."""
    return Stack(project, {role: RoleChoice("embedded") for role in ROLES})


def write_stack(stack: Stack, path: Path, notes: Mapping[str, str] | None = None) -> None:
    """Write a stack.toml that `read_stack` reads back as the same stack. `notes`: role to a comment beside it."""
    path.write_text(stack_text(stack, notes), encoding="utf-8")


def stack_text(stack: Stack, notes: Mapping[str, str] | None = None) -> str:
    """The stack as TOML, the roles in their order, the notes as comments."""
    import tomli_w

    roles = {role: _table(stack.roles[role]) for role in ROLES}
    text = tomli_w.dumps({"schema": stack.schema, "project": stack.project, "roles": roles})
    for role, note in (notes or {}).items():
        text = text.replace(f"[roles.{role}]\n", f"# {' '.join(note.split())}\n[roles.{role}]\n", 1)
    return text


def _table(choice: RoleChoice) -> dict[str, Any]:
    table: dict[str, Any] = {"tool": choice.tool, "environment": choice.environment}
    if choice.beside:
        table["beside"] = list(choice.beside)
    if choice.deferred:
        table["deferred"] = choice.deferred
    if choice.options:
        table["options"] = dict(choice.options)
    return table


def with_secrets(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options with each `${VARIABLE}` replaced. Raises `NotFound` for one that is not set."""
    return {name: _VARIABLE.sub(_secret, v) if isinstance(v, str) else v for name, v in options.items()}


def _secret(match: re.Match[str]) -> str:
    value = os.environ.get(match[1])
    if value is None:
        raise NotFound(
            f"stack.toml names the environment variable {match[1]}, which is not set",
            next_command=f"export {match[1]}=…",
        )
    return value
