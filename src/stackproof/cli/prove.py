"""Command `prove`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stackproof.cli.main import EXIT_NO
from stackproof.cli.output import format_option, show_json, table
from stackproof.errors import RefusedInput

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from stackproof.prove.verdict import Compared
    from stackproof.roles.proof import Proof
    from stackproof.usecases.prove import Outcome

FOLDER = "proofs"


@click.command()
@click.argument("role", required=False)
@click.argument("tools", nargs=-1)
@click.option("--size", default="smoke", show_default=True, metavar="SIZE", help="smoke, medium or full.")
@click.option("--repeats", type=click.IntRange(min=1), default=3, show_default=True, help="Rounds that count.")
@click.option(
    "--data", type=click.Path(path_type=Path), metavar="FILE",
    help="Your own data: Parquet or CSV, for versioning any file or folder.",
)  # fmt: skip
@click.option(
    "--model", type=click.Path(path_type=Path), metavar="PACKAGE", help="Your own model package, for serving."
)
@click.option(
    "--option", "given", multiple=True, metavar="TOOL.NAME=VALUE",
    help="An option of a candidate, as stack.toml would have it; may be given again.",
)  # fmt: skip
@click.option("--conformance", is_flag=True, help="Run the role's conformance suite on each candidate as well.")
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), default=Path(FOLDER), show_default=True, metavar="DIR",
    help="Where the proofs are written.",
)  # fmt: skip
@click.option(
    "--report", "report", is_flag=False, flag_value=FOLDER, metavar="[DIR]",
    help="Run nothing: show the proofs of a folder and write DIR/proofs.html.",
)  # fmt: skip
@format_option
@click.pass_context
def prove(
    ctx: click.Context,
    role: str | None,
    tools: tuple[str, ...],
    size: str,
    repeats: int,
    data: Path | None,
    model: Path | None,
    given: tuple[str, ...],
    conformance: bool,
    out: Path,
    report: str | None,
    format_: str,
) -> None:
    """Run a role's scenario on each of the TOOLS, here, and compare.

    Each tool runs in its own environment, made where it is missing. They take turns. A tool that gives wrong results
    or loses what it acknowledged is not correct, whatever its speed: exit code 1.

    \b
    Example: stackproof prove tracking embedded mlflow
    """
    if report is not None:
        ctx.exit(_report(Path(report), role, format_))
    if role is None or not tools:
        raise RefusedInput(
            "There is nothing to prove",
            allowed="a role and its tools",
            next_command="stackproof prove tracking embedded",
        )
    from stackproof.cli.envs import open_environments
    from stackproof.prove.scenario import Given
    from stackproof.usecases import prove as use

    request = use.Request(role, tools, size, repeats, Given(data, model), _options(given), out, conformance)
    with open_environments() as environments:
        outcome = use.prove(request, environments, lambda line: click.echo(line, err=True))
    _show([outcome], format_)
    if format_ == "text":
        for file in outcome.files:
            click.echo(f"wrote {file}")
        click.echo(f"As a page: stackproof prove --report {out}")
        click.echo(f"In place of ratings: stackproof decide --proofs {out}")
    ctx.exit(0 if outcome.correct else EXIT_NO)


def _report(folder: Path, role: str | None, format_: str) -> int:
    from stackproof.usecases import prove as use
    from stackproof.usecases.proof_page.page import write_page

    outcomes = use.report(folder, role)
    page = write_page(outcomes, folder / "proofs.html")
    _show(outcomes, format_)
    click.echo(f"wrote {page}", err=format_ != "text")
    return 0 if all(outcome.correct for outcome in outcomes) else EXIT_NO


def _options(given: "Sequence[str]") -> "Mapping[str, dict[str, Any]]":
    """TOOL.NAME=VALUE: numbers, true and false as such, anything else as text."""
    found: dict[str, dict[str, Any]] = {}
    for pair in given:
        named, equals, value = pair.partition("=")
        tool, dot, name = named.partition(".")
        if not (equals and dot and tool and name):
            raise RefusedInput("An option of a candidate is not in its form", got=pair, allowed="TOOL.NAME=VALUE")
        found.setdefault(tool, {})[name] = _value(value)
    return found


def _value(text: str) -> str | int | float | bool:
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, str | int | float | bool) else text


def _show(outcomes: "Sequence[Outcome]", format_: str) -> None:
    if format_ == "json":
        show_json({"outcomes": [_plain(outcome) for outcome in outcomes]})
        return
    for outcome in outcomes:
        _show_verdict(outcome)
        _show_figures(outcome)


def _plain(outcome: "Outcome") -> dict[str, Any]:
    from stackproof.usecases.proofs import proof_document

    tools = [proof.tool for proof in outcome.proofs]
    return {
        "role": outcome.role,
        "correct": outcome.correct,
        "proofs": [proof_document(proof) for proof in outcome.proofs],
        "compared": [
            {
                "figure": one.name,
                "unit": one.unit,
                "better": one.meaning.better,
                "intervals": dict(zip(tools, one.intervals, strict=True)),
                "ahead": [tools[place] for place in sorted(one.ahead)],
            }
            for one in outcome.compared
        ],
        "files": outcome.files,
    }


def _show_verdict(outcome: "Outcome") -> None:
    """What is wrong comes first: how fast a wrong result is does not matter."""
    from stackproof.cli.layout import say

    newest = max(outcome.proofs, key=lambda proof: proof.at)
    click.echo(click.style(f"{outcome.role}: {newest.scenario}, {newest.at:%Y-%m-%d}", bold=True))
    for proof in outcome.proofs:
        release = ", ".join(f"{name} {version}" for name, version in proof.versions.items())
        click.echo(f"  {proof.tool} ({release}): {'correct' if proof.correct else 'NOT CORRECT'}")
        for fault in proof.faults:
            say(fault, label="-", indent=4)
        for line in _told(proof):
            say(line, indent=4)


def _told(proof: "Proof") -> list[str]:
    lines = []
    if proof.lacking:
        lines.append(f"lacks: {', '.join(proof.lacking)}")
    if proof.conformance is not None:
        suite = proof.conformance
        lines.append(
            f"conformance: {suite.passed} passed, {len(suite.failed)} failed, {len(suite.deviating)} known deviations"
        )
        lines += [f"failed: {name}: {why}" for name, why in suite.failed.items()]
    lines += [f"deviates: {why}" for why in dict.fromkeys(proof.deviations.values())]
    return [*lines, *proof.notes]


def _show_figures(outcome: "Outcome") -> None:
    from stackproof.cli.layout import say
    from stackproof.prove.figures import GROUPS
    from stackproof.usecases.proof_page.wording import confidence

    tools = [proof.tool for proof in outcome.proofs]
    for group in GROUPS:
        rows = [_row(one) for one in outcome.compared if one.meaning.group == group]
        if rows:
            table(group, ["", "unit", *tools], rows, numeric=tuple(range(2, 2 + len(tools))))
    say("Medians and, in brackets, their intervals; * ahead of the others by more than the intervals.")
    say(confidence(outcome.compared))


def _row(one: "Compared") -> list[str]:
    from stackproof.usecases.proof_page.wording import interval

    cells = [f"{interval(found)}{'*' if place in one.ahead else ''}" for place, found in enumerate(one.intervals)]
    return [one.meaning.title, one.unit if one.unit != "1" else "", *cells]
