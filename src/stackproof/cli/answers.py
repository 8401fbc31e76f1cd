"""Commands `trace`, `reproduce` and `ready`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from stackproof.cli.main import EXIT_NO
from stackproof.cli.output import format_option, plain, project_option, show_json, table
from stackproof.cli.session import open_project

if TYPE_CHECKING:
    from stackproof.usecases.ready import Answer
    from stackproof.usecases.trace import Trace
    from stackproof.usecases.verified import Verified


@click.command()
@click.argument("prediction", required=False)
@click.option(
    "--rows",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write the exact training rows to this folder.",
)
@project_option
@format_option
@click.pass_context
def trace(ctx: click.Context, prediction: str | None, rows: Path | None, project_path: Path, format_: str) -> None:
    """Trace a prediction back to the exact training data.

    Without PREDICTION, the newest one. Exit code 1 when a piece of the path is missing or damaged.

    \b
    Example: stackproof trace prediction:01KAR… --rows training-rows
    """
    from stackproof.usecases import trace as use

    with open_project(project_path, declarations=False) as workspace:
        found = use.trace(workspace, prediction or use.latest_prediction(workspace))
        written = use.export_rows(workspace, found, rows) if rows is not None else []
    if format_ == "json":
        show_json(plain(found) | {"ok": found.ok, "written": written})
    else:
        pieces = [[_mark(p), p.what, p.id, p.tool, p.detail] for p in found.path]
        table(found.prediction.id, ["", "", "identifier", "held by", ""], pieces, whole=(2,))
        _show_told(found)
        views = [[view, version, at] for view, version, at in found.served_from]
        table("Features looked up for it", ["view", "dataset version", "known at"], views)
        for file in written:
            click.echo(f"wrote {file}")
    ctx.exit(0 if found.ok else EXIT_NO)


def _mark(piece: "Verified") -> str:
    """Verified, or only told by another tool, or not there."""
    return "✗" if not piece.ok else "○" if piece.by else "✓"


def _show_told(found: "Trace") -> None:
    if any(piece.by for piece in found.path):
        click.echo("○ another tool recorded it; Stackproof has not seen what it stands for\n")
    for gap in found.gaps:
        click.echo(f"not known: {gap}")
    for shown in dict.fromkeys(f"{piece.tool}: {piece.link}" for piece in found.path if piece.link):
        click.echo(shown)
    click.echo()


@click.command()
@click.argument("run_id", required=False)
@project_option
@format_option
@click.pass_context
def reproduce(ctx: click.Context, run_id: str | None, project_path: Path, format_: str) -> None:
    """Run a training run again and compare.

    Builds its environment anew from the recorded lock. Without RUN_ID, the newest finished run.
    Exit code 1 when anything differs.

    \b
    Example: stackproof reproduce run:01KAR…
    """
    from stackproof.usecases import reproduce as use

    with open_project(project_path, declarations=False) as workspace:
        result = use.reproduce(workspace, run_id or use.latest_finished_run(workspace))
    if format_ == "json":
        show_json(result)
    elif result.problem:
        click.echo(f"no: {result.problem}")
    else:
        rows = [["✓" if item.same else "✗", item.what, item.recorded, item.again] for item in result.compared]
        table(f"{result.run_id}: {'yes' if result.ok else 'no'}", ["", "", "recorded", "again"], rows)
    ctx.exit(0 if result.ok else EXIT_NO)


@click.command()
@click.option(
    "--only",
    multiple=True,
    type=click.Choice(["reproduce", "notice", "trace"]),
    help="Answer this one (repeatable).",
)
@click.option("--prediction", help="The prediction to start from; the newest when left out.")
@project_option
@format_option
@click.pass_context
def ready(ctx: click.Context, only: tuple[str, ...], prediction: str | None, project_path: Path, format_: str) -> None:
    """Answer the three questions, with evidence.

    Exit code 1 when one of the answers is no.

    \b
    Example: stackproof ready --only trace
    """
    from stackproof.usecases import ready as use

    with open_project(project_path, declarations=False) as workspace:
        answers = use.ready(workspace, prediction=prediction, only=only)
    if format_ == "json":
        show_json(answers)
    else:
        for answer in answers:
            show_answer(answer)
    ctx.exit(0 if all(answer.yes for answer in answers) else EXIT_NO)


def show_answer(answer: "Answer") -> None:
    click.echo(f"{answer.question}\n  {'yes' if answer.yes else 'no'}")
    for line in answer.evidence:
        click.echo(f"    {line}")
    if answer.next_command:
        click.echo(f"    see: {answer.next_command}")
