"""Commands `deploy`, `serve` and `watch`."""

import json
import signal
from pathlib import Path
from threading import Event

import click

from stackproof.cli.output import format_option, project_option, short, show_json, table
from stackproof.cli.session import open_project
from stackproof.errors import RefusedInput
from stackproof.roles.monitoring import Alert, Policy


@click.command()
@click.argument("name")
@click.argument("routes", nargs=-1, required=True, metavar="VERSION=WEIGHT…")
@project_option
@format_option
def deploy(name: str, routes: tuple[str, ...], project_path: Path, format_: str) -> None:
    """Put model versions behind a deployment, with weights.

    A running server takes it over within a second.

    \b
    Example: stackproof deploy delay 1=0.9 2=0.1
    """
    from stackproof.stack.deployments import deploy as use

    with open_project(project_path, declarations=False) as workspace:
        deployment = use(workspace, name, _weights(routes))
    if format_ == "json":
        show_json(deployment)
        return
    total = sum(route.weight for route in deployment.routes)
    rows = [[route.model_id, f"{route.weight / total:.0%}"] for route in deployment.routes]
    table(deployment.id, ["model version", "share"], rows, numeric=(1,))


def _weights(routes: tuple[str, ...]) -> dict[int, float]:
    weights = dict(_route(text) for text in routes)
    if len(weights) < len(routes):
        raise RefusedInput("A model version is given twice", got=" ".join(routes), allowed="each version once")
    return weights


def _route(text: str) -> tuple[int, float]:
    version, _, weight = text.partition("=")
    try:
        return int(version), float(weight or 1)
    except ValueError:
        raise RefusedInput("A route is malformed", got=text, allowed="VERSION=WEIGHT, such as 2=0.1") from None


@click.command()
@click.argument("name")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0 takes a free one.")
@project_option
@format_option
def serve(name: str, host: str, port: int, project_path: Path, format_: str) -> None:
    """Serve a deployment over HTTP (Open Inference Protocol v2).

    Every prediction is in the ledger before it is answered. Stops on Ctrl-C and SIGTERM.

    \b
    Example: stackproof serve delay --port 8080
    """
    from stackproof.stack.deployments import serve as use

    def ready(url: str) -> None:
        if format_ == "json":
            click.echo(json.dumps({"url": url, "deployment": name}))
        else:
            click.echo(f"{name} answers at {url}/v2/models/{name}/infer")

    with open_project(project_path, declarations=False) as workspace:
        use(workspace, name, host=host, port=port, on_ready=ready)


@click.command()
@click.argument("name")
@click.option("--sink", "sinks", multiple=True, default=("console",), show_default=True,
              help="Where alerts go (repeatable): console, file:PATH or webhook:URL.")  # fmt: skip
@click.option("--false-alarms-per-million", type=click.FloatRange(min=1e-6), default=Policy().false_alarms_per_million,
              show_default=True, help="How many false alarms a million predictions may raise.")  # fmt: skip
@click.option("--every", type=click.IntRange(min=1), default=Policy().every, show_default=True,
              help="Predictions between looks. Fewer looks cost less, and notice later.")  # fmt: skip
@click.option("--heartbeat", "heartbeat_s", type=click.FloatRange(min=0.1), default=15.0, show_default=True,
              help="Seconds between the ledger's records of how far it has looked.")  # fmt: skip
@click.option(
    "--from-start",
    is_flag=True,
    help="Look at all predictions again; without it, at those since the last watcher stopped.",
)
@click.option(
    "--metrics-port",
    type=click.IntRange(1, 65535),
    help="Tell how it goes at /metrics on this port; without it, on a free one if a tool scrapes it.",
)
@click.option("--once", is_flag=True, help="Look at what is there, then end; exit code 1 when there was an alert.")
@project_option
@format_option
@click.pass_context
def watch(
    ctx: click.Context, name: str, sinks: tuple[str, ...], false_alarms_per_million: float, every: int,
    heartbeat_s: float, from_start: bool, metrics_port: int | None, once: bool, project_path: Path, format_: str,
) -> None:  # fmt: skip
    """Watch a deployment and alert when production differs.

    Begins where the last watcher stopped. With --format json, one JSON object a line.

    \b
    Example: stackproof watch delay --sink console --sink file:alerts.jsonl
    """
    from stackproof.stack.metrics_page import metrics_page
    from stackproof.stack.watching import Watcher

    stopped = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    if once:
        stopped.set()

    def heard(alert: Alert) -> None:
        if format_ == "json":
            click.echo(json.dumps({"alert": alert.id, "title": alert.title, "at": short(alert.at)}))

    with open_project(project_path, declarations=False) as workspace:
        policy = Policy(false_alarms_per_million=false_alarms_per_million, every=every)
        watcher = Watcher(workspace, name, sinks=sinks, policy=policy, heartbeat_s=heartbeat_s)
        watcher.start(position=0 if from_start else None)
        if format_ == "json":
            click.echo(json.dumps({"watching": name, "position": watcher.state.position}))
        elif watcher.waits_for:
            click.echo(f"{name}: waits for {watcher.waits_for}")
        with metrics_page(workspace, name, watcher.metrics, metrics_port):
            watcher.follow(stopped.is_set, heard)
    ctx.exit(1 if once and watcher.state.alerts else 0)
