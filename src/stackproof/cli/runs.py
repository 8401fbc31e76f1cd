"""Commands `run`, `runs` and `show`."""

import json
from pathlib import Path
from typing import Any

import click

from stackproof.cli.output import format_option, plain, project_option, short, show_json, table
from stackproof.cli.session import open_project
from stackproof.errors import RefusedInput


@click.command()
@click.argument("pipeline")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="Override a parameter of a step.")
@click.option("--fresh", is_flag=True, help="Run every step, even when its result is known.")
@project_option
@format_option
def run(pipeline: str, settings: tuple[str, ...], fresh: bool, project_path: Path, format_: str) -> None:
    """Run a pipeline; what is known already is not done again.

    \b
    Example: stackproof run train --set trials=30
    """
    from stackproof.usecases import runs as use

    with open_project(project_path) as workspace:
        done = use.run(workspace, pipeline, dict(_setting(text) for text in settings), fresh=fresh)
        metrics = workspace.live.adapter("tracking", "read-runs").get_run(done.run_id).metrics
    if format_ == "json":
        show_json({"run_id": done.run_id, "params": done.params, "steps": done.steps, "models": done.models,
                   "metrics": metrics, "datasets": {n: b.version for n, b in done.datasets.items()}})  # fmt: skip
        return
    rows = [
        [step.name, "cached" if step.cached else "ran", f"{step.duration_s:.2f}", step.output[:19] + "…"]
        for step in done.steps
    ]
    table(done.run_id, ["step", "", "seconds", "result"], rows, numeric=(2,))
    for model in done.models:
        click.echo(f"registered {model.id}")
    for name, value in sorted(metrics.items()):
        click.echo(f"{name} = {value:.5g}")


def _setting(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise RefusedInput("A parameter is malformed", got=text, allowed="NAME=VALUE")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


@click.command()
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="How many at most.")
@click.option("--best", metavar="METRIC", help="Order by this metric, highest first.")
@click.option("--lowest", is_flag=True, help="With --best: lowest first, as for a loss.")
@project_option
@format_option
def runs(limit: int, best: str | None, lowest: bool, project_path: Path, format_: str) -> None:
    """List runs, newest or best first.

    \b
    Example: stackproof runs --best log_loss --lowest --limit 5
    """
    from stackproof.usecases import runs as use

    with open_project(project_path, declarations=False) as workspace:
        found = use.list_runs(workspace, limit=limit, order_by=best, descending=not lowest)
    if format_ == "json":
        show_json(found)
        return
    rows = [
        [
            item.id,
            item.name,
            item.status.value,
            short(item.started_at),
            ", ".join(f"{k} {v:.4g}" for k, v in _main(item.metrics)),
        ]
        for item in found
    ]
    table(f"{len(rows)} runs", ["run", "pipeline", "status", "started (UTC)", "metrics"], rows, whole=(0, 3))


def _main(metrics: Any) -> list[tuple[str, float]]:
    return sorted((name, value) for name, value in metrics.items() if "." not in name)


@click.command()
@click.argument("identifier")
@project_option
@format_option
def show(identifier: str, project_path: Path, format_: str) -> None:
    """Show anything that the ledger knows, by its identifier.

    \b
    Example: stackproof show model:delay@1
    """
    from stackproof.usecases import runs as use

    with open_project(project_path, declarations=False) as workspace:
        found = use.show(workspace, identifier)
    if format_ == "json":
        show_json(found)
        return
    rows = [[name, json.dumps(plain(value), ensure_ascii=False)] for name, value in found.entity.attributes.items()]
    table(f"{found.entity.id}  ({short(found.entity.at)} UTC)", ["", ""], rows)
    for link in found.upstream:
        click.echo(f"  {link.relation} {link.target}")
    for link in found.downstream:
        click.echo(f"  ← {link.source} {link.relation} this")
