"""Command `decide`."""

import datetime
import sys
from pathlib import Path

import click

from stackproof.cli.main import EXIT_NONE_LEFT
from stackproof.cli.options import answers_option, as_of_option, day, facts_option, proofs_option, verbose_option
from stackproof.roles import ROLES


@click.command()
@answers_option
@click.option("--ask", "asking", is_flag=True, help="Ask what the file of answers leaves open.")
@click.option(
    "--format", "format_", type=click.Choice(["text", "json", "markdown", "html"]), default="text", show_default=True,
    help="How to show it.",
)  # fmt: skip
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="DIR",
    help="Write decision.json, decision.md, decision.html, stack.toml and answers.toml to this folder.",
)  # fmt: skip
@as_of_option
@click.option("--role", help=f"Only this role: {', '.join(ROLES)}.")
@facts_option
@proofs_option
@click.option("--resolve", is_flag=True, help="Ask whether the chosen Python packages install together.")
@click.option("--sensitivity/--no-sensitivity", default=True, help="Try every single other answer.", show_default=True)
@verbose_option
@click.pass_context
def decide(
    ctx: click.Context,
    answers_path: Path | None,
    asking: bool,
    format_: str,
    out: Path | None,
    as_of: datetime.datetime | None,
    role: str | None,
    overlays: tuple[Path, ...],
    proofs: Path | None,
    resolve: bool,
    sensitivity: bool,
    verbose: bool,
) -> None:
    """Decide a stack from a team's answers and explain why.

    Without --answers the questions are asked here, as long as an answer can still change the stack. Exit code 3 when
    some role has no tool left.

    \b
    Example: stackproof decide --answers answers.toml --out decided
    """
    from stackproof.usecases import decide as use

    facts = use.known_facts(overlays)
    request = use.Request(day(as_of), role, sensitivity, overlays, proofs, resolve)
    use.check(request)
    answers = use.read_answers(answers_path, facts)
    if asking or answers_path is None:
        from stackproof.cli.asking import ask

        answers = ask(facts, answers, keep=out is None)
    decision = use.decide_for(answers, facts, request, told=_tell)
    written = use.write_decision(decision, out, facts) if out is not None else []
    if format_ == "text":
        from stackproof.cli.decided import show

        found = use.contradictions(answers, facts)
        file = str(answers_path or (out / "answers.toml" if out else ""))
        show(decision, found, answers_file=file, written=str(out or ""), verbose=verbose)
    else:
        click.echo(use.rendered(decision, format_, facts), nl=False)
    for path in written:
        click.echo(f"wrote {path}", err=format_ != "text")
    ctx.exit(0 if decision.complete else EXIT_NONE_LEFT)


def _tell(line: str) -> None:
    """What is being done, for a person who waits; a program is not disturbed."""
    if sys.stderr.isatty():
        click.echo(line, err=True)
