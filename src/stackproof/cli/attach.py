"""Command `attach`: joins what a team has already."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stackproof.cli.output import format_option, plain, project_option, show_json, table
from stackproof.cli.session import open_project

if TYPE_CHECKING:
    from stackproof.stack.workspace import Workspace


@click.group(invoke_without_command=True)
@project_option
@format_option
@click.pass_context
def attach(ctx: click.Context, project_path: Path, format_: str) -> None:
    """Take a running MLflow server, or a service, as it is.

    Without a command, show what is attached. Nothing is changed over there.

    \b
    Example: stackproof attach mlflow http://127.0.0.1:5000
    """
    if ctx.invoked_subcommand is not None:
        return
    from stackproof.usecases.attach import status

    with open_project(project_path, declarations=False) as workspace:
        found = status(workspace)
    if format_ == "json":
        show_json(found)
        return
    click.echo(f"MLflow: {found.server or 'none is attached'}")
    if found.read_at:
        click.echo(f"  last read {found.read_at} UTC: {found.runs} runs, {found.models} model versions")
    rows = [[name, f"{recorded:,}", f"{missing:,}"] for name, recorded, missing in found.services]
    table("Services", ["service", "predictions", "requests not recorded"], rows, numeric=(1, 2))


@attach.command()
@click.argument("url")
@click.option("--experiment", "experiments", multiple=True, metavar="NAME", help="Only this one's runs (repeatable).")
@click.option("--timeout", "timeout_s", type=click.FloatRange(min=0.1), default=30.0, show_default=True,
              help="Seconds that one request may take.")  # fmt: skip
@project_option
@format_option
def mlflow(url: str, experiments: tuple[str, ...], timeout_s: float, project_path: Path, format_: str) -> None:
    """Read a running MLflow server's runs and models.

    Nothing is written there, and nothing needs to be installed. Again, it reads what is new. A server that asks for
    it gets MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD.

    \b
    Example: stackproof attach mlflow http://127.0.0.1:5000
    """
    from stackproof.usecases.attach import ensure_project_of
    from stackproof.usecases.attach_mlflow import attach_mlflow

    made = ensure_project_of(_folder(project_path), url, timeout_s=timeout_s)
    with open_project(project_path, declarations=False) as workspace:
        found = attach_mlflow(workspace, url, experiments=experiments, timeout_s=timeout_s)
    if format_ == "json":
        show_json(plain(found) | {"project_made": made})
        return
    if made:
        click.echo("made stack.toml and .stackproof/ here")
    version = f" (MLflow {found.version})" if found.version else ""
    click.echo(f"{found.url}{version}: {found.runs} runs, {found.models} model versions, {found.aliases} aliases")
    click.echo(f"  {found.new} new, {found.changed} changed since they were last read")
    if found.ours:
        click.echo(f"  {found.ours} are Stackproof's own here, by their names, and stay as they are")
    if found.without_data:
        click.echo(
            f"  {found.without_data} of the runs behind models name no data: a trace will end there."
            " mlflow.log_input(dataset, context='training') records it."
        )
    click.echo("Next: stackproof attach service NAME --model models:/MODEL@ALIAS")


@attach.command()
@click.argument("name")
@click.option("--model", metavar="MODEL", help="The version that it serves: models:/NAME@ALIAS or NAME@VERSION.")
@click.option("--reference", type=click.Path(path_type=Path), metavar="FILE",
              help="A Parquet or CSV file of inputs to compare production with.")  # fmt: skip
@click.option("--reference-first", "first", type=click.IntRange(100, 100_000), default=1000, show_default=True,
              help="Without a file: compare with so many first predictions.")  # fmt: skip
@click.option("--ignore", multiple=True, metavar="INPUT",
              help="An input that is not watched, such as an identifier (repeatable).")  # fmt: skip
@click.option("--path", default="/predict", show_default=True, help="Where the service is asked for predictions.")
@project_option
@format_option
def service(
    name: str, model: str | None, reference: Path | None, first: int, ignore: tuple[str, ...], path: str,
    project_path: Path, format_: str,
) -> None:  # fmt: skip
    """Attach a service that something else runs.

    Prints the two lines that record its predictions. A log of requests can be read instead: see `attach requests`.

    \b
    Example: stackproof attach service delay --model models:/delay@champion --reference train.parquet
    """
    from stackproof.usecases.attach import attach_service

    with _opened(project_path) as workspace:
        found = attach_service(workspace, name, model=model, reference=reference, first=first, ignore=ignore, path=path)
    if format_ == "json":
        show_json(found)
        return
    click.echo(f"{found.id}: {found.model or 'an unknown model'}{'' if found.new else ' (as it was)'}")
    click.echo(f"  compared with {found.reference}")
    click.echo("Put into the service:")
    for line in found.lines:
        click.echo(f"  {line}")
    click.echo(f"Next: stackproof watch {name}")


@attach.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--deployment", required=True, metavar="NAME", help="The service that was asked.")
@click.option("--set-aside", type=click.Path(path_type=Path), metavar="FILE",
              help="Copy the lines that can't be read there, and record the others.")  # fmt: skip
@project_option
@format_option
def requests(file: Path, deployment: str, set_aside: Path | None, project_path: Path, format_: str) -> None:
    """Read a service's own log of requests: JSON lines.

    A line: {"id": "r-1", "at": "2026-11-21T10:00:00Z", "inputs": {…}, "outputs": …, "model_version": 3}. A file that
    has grown may be given again. Without --set-aside a bad line refuses the whole file.

    \b
    Example: stackproof attach requests requests.jsonl --deployment delay
    """
    from stackproof.usecases.attach_requests import attach_requests

    with open_project(project_path, declarations=False) as workspace:
        found = attach_requests(workspace, file, deployment, set_aside=set_aside)
    if format_ == "json":
        show_json(found)
        return
    click.echo(f"{found.lines:,} lines: {found.new:,} predictions are new, {found.known:,} were known")
    if found.bad:
        click.echo(f"  {found.bad:,} lines can't be read: {found.set_aside}")
    if found.latest:
        click.echo(f"Next: stackproof trace {found.latest}")


@contextmanager
def _opened(project_path: Path) -> "Iterator[Workspace]":
    """The project, made where there is none."""
    from stackproof.usecases.attach import ensure_project

    ensure_project(_folder(project_path))
    with open_project(project_path, declarations=False) as workspace:
        yield workspace


def _folder(path: Path) -> Path:
    return path if path.is_dir() else path.parent
