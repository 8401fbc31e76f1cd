"""Command `catalog`."""

from typing import TYPE_CHECKING

import click

from stackproof.cli.output import format_option, show_json, table

if TYPE_CHECKING:
    from stackproof.usecases.catalog import Known


@click.command()
@click.argument("tool", required=False)
@click.option("--role", help="Only the tools that can fill this role.")
@format_option
def catalog(tool: str | None, role: str | None, format_: str) -> None:
    """List the tools that are known, or show one TOOL with its sources.

    \b
    Example: stackproof catalog mlflow
    """
    from stackproof.errors import UnknownName
    from stackproof.roles import ROLES
    from stackproof.usecases import catalog as use

    if role is not None and role not in ROLES:
        raise UnknownName("role", role, ROLES)
    found = [known for known in use.catalog(tool) if role is None or role in known.roles or role in known.parts]
    if format_ == "json":
        show_json(found[0] if tool is not None and found else found)
    elif tool is not None:
        for known in found:
            _show(known)
    else:
        rows = [[k.id, k.status, ", ".join(k.roles or k.parts) or "platform", k.released] for k in found]
        table(f"{len(found)} tools", ["tool", "status", "roles", "released"], rows)
        click.echo("More: stackproof catalog TOOL")


def _show(known: "Known") -> None:
    click.echo(f"{known.name} ({known.id}): {', '.join(known.roles or known.parts) or 'fills no role by itself'}")
    if known.replaced_by:
        click.echo(f"In its place: {', '.join(known.replaced_by)}")
    rows = []
    for key, fact in known.facts.items():
        if fact["confidence"] == "not_verified":
            text = "not verified"
        else:
            value = ", ".join(fact["value"]) if isinstance(fact["value"], list) else str(fact["value"])
            text = f"{value}: {fact['detail']}" if fact["detail"] else value
        rows.append([key, text, fact["confidence"], fact["date"] or "undated", fact["source"]])
    table("", ["fact", "value", "confidence", "read", "source"], rows)
    modes = [[m["hosting"], m["cost"], "yes" if m["kubernetes"] else "no", m["note"]] for m in known.modes]
    table("Ways of running it", ["hosting", "cost", "Kubernetes", ""], modes)
