"""Command `quickstart`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from stackproof.cli.main import EXIT_NO
from stackproof.cli.output import format_option, show_json, table
from stackproof.cli.session import progress_bars

if TYPE_CHECKING:
    from stackproof.usecases.quickstart_story import StepDone, Story


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=Path())
@click.option("--stack", help="The stack to run on: standard, third, or a stack.toml.")
@format_option
@click.pass_context
def quickstart(ctx: click.Context, folder: Path, stack: str | None, format_: str) -> None:
    """From answers to a running, proven stack, on real flights.

    FOLDER is the current one when left out; it must be empty, or hold an earlier quickstart. Without --stack it runs on
    the stack.toml that the folder holds, at first the embedded one. The tools of another stack are installed, each in
    an environment of its own.
    Exit code 1 when one of the three answers is no.

    \b
    Example: stackproof quickstart my-flights
    """
    from stackproof.cli.envs import open_environments
    from stackproof.usecases import quickstart as use

    def heard(step: "StepDone") -> None:
        if format_ == "text":
            _show_step(step)

    with progress_bars() as progress, open_environments() as environments:
        story = use.quickstart(
            folder,
            stack=stack,
            environments=environments,
            on_step=heard,
            on_decision=_show_decision if format_ == "text" else None,
            progress=progress,
        )
    if format_ == "json":
        show_json({"folder": story.folder, "steps": story.steps, "answers": story.answers, "report": story.report,
                   "control": story.control, "change": story.change, "prediction": story.prediction,
                   "performance": story.performance})  # fmt: skip
    else:
        _show_end(story)
    ctx.exit(0 if story.answers and all(answer.yes for answer in story.answers) else EXIT_NO)


def _show_decision(story: "Story") -> None:
    rows = [
        [role, choice.verdict, choice.tool or "", choice.reasons[0].text]
        for role, choice in story.decision.roles.items()
    ]
    table("The decision", ["role", "verdict", "tool", "main reason"], rows)
    differing = [item for item in story.differences if item[1] != item[2]]
    tools = sorted({item[2] for item in story.differences if item[2] != "embedded"})
    filled = f"with {', '.join(tools)}" if tools else "where every role is embedded (nothing else to install)"
    click.echo(
        f"The quickstart goes on with stack.toml, {filled}."
        f" It differs from decision/stack.toml in {len(differing)} roles: "
        + ", ".join(f"{role} ({tool})" for role, tool, _, _ in differing)
    )


def _show_step(step: "StepDone") -> None:
    click.echo(f"{click.style(f'{step.number} {step.name}', bold=True)}  {step.duration_s:.1f} s  {step.line}")
    for detail in step.details:
        click.echo(click.style(f"    {detail}", dim=True))


def _show_end(story: "Story") -> None:
    from stackproof.cli.answers import show_answer

    click.echo("")
    for answer in story.answers:
        show_answer(answer)
    seconds = sum(step.duration_s for step in story.steps)
    click.echo(f"\n{seconds:.0f} s in all. Open {story.report}")
