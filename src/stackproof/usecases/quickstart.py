"""From answers to a running, proven stack on real flights: the whole thread, live."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stackproof.envs.environments import Environments
from stackproof.facts import load_facts
from stackproof.ledger import Entity
from stackproof.roles import ROLES
from stackproof.stack.data import Brought, Datasets, keep_version
from stackproof.stack.deployments import current_deployment, deploy
from stackproof.stack.file import read_stack
from stackproof.stack.live import EMBEDDED, fillings
from stackproof.stack.online import materialize_view, materialize_views
from stackproof.stack.progress import Progress, silent
from stackproof.stack.project import STACK_FILE, load_project
from stackproof.stack.workspace import Workspace, open_workspace
from stackproof.store import new_id
from stackproof.usecases import data as data_use
from stackproof.usecases.decide import decide_stack, read_answers, write_decision
from stackproof.usecases.drills import (
    Drill,
    Replay,
    control_stream,
    drift_over_all,
    replay_in_order,
    unit_change,
)
from stackproof.usecases.plan import apply, check
from stackproof.usecases.processes import Child, start_child
from stackproof.usecases.quickstart_folder import prepare
from stackproof.usecases.quickstart_story import StepDone, Story, Teller, Told
from stackproof.usecases.ready import ready
from stackproof.usecases.report import write_report
from stackproof.usecases.retrain import Retrained, retrain
from stackproof.usecases.runs import run
from stackproof.usecases.traffic import Client, send

if TYPE_CHECKING:
    import polars as pl

PROJECT = "flights"
DEPLOYMENT = "delay"
CONTROL_ROWS = 4000
"""How many predictions the control stream has: at 2.3 a second, half an hour."""
CANARY_REQUESTS = 100
SWITCH_TIMEOUT_S = 120.0
LOOKS_APART = 200
"""Predictions between the looks of a monitor that is not embedded: a look takes it a tenth of a second and more, and
the quickstart sends months in minutes. At the team's predictions a day, that is still less than two minutes."""
METERS_PER_SECOND = 0.44704
SECONDS_PER_DAY = 86_400


def quickstart(
    folder: Path,
    *,
    stack: str | None = None,
    environments: Environments | None = None,
    on_step: Callable[[StepDone], None],
    on_decision: Callable[[Story], None] | None = None,
    progress: Progress = silent,
) -> Story:
    """Run the whole thread in `folder` and return what it found. Each step is heard as it ends.

    `stack`: see `prepare`. `environments`: where tools are installed; the user's when left out.
    `on_decision` hears when the decision is made and compared with the stack that runs.
    Server and watcher are processes of their own and are stopped at the end, also on an error.
    """
    folder = prepare(folder, stack)
    story = Story(folder)
    teller = Teller(story, on_step)
    with teller.step("Decide") as tell:
        _decide(story, tell)
    if on_decision is not None:
        on_decision(story)
    with ExitStack() as opened:
        workspace = opened.enter_context(open_workspace(load_project(folder), progress=progress, tools=environments))
        with teller.step("Apply") as tell:
            _apply(workspace, environments, tell)
        _Thread(workspace, story, teller, opened).run()
    return story


def _decide(story: Story, tell: Told) -> None:
    decision = decide_stack(story.folder / "answers.toml", as_of=datetime.now(UTC).date(), sensitivity=False)
    write_decision(decision, story.folder / "decision", load_facts(), project=PROJECT)
    story.decision = decision
    running = read_stack(story.folder / STACK_FILE)
    decided = read_stack(story.folder / "decision" / STACK_FILE)
    by_role = {filling.role: filling for filling in fillings(decided)}
    story.differences = [
        (role, decided.roles[role].tool, running.roles[role].tool, by_role[role].because) for role in ROLES
    ]
    used = [role for role, choice in decision.roles.items() if choice.verdict == "use"]
    tell.line = f"{len(used)} roles use a tool, {len(decision.roles) - len(used)} can wait; written to decision/"


def _apply(workspace: Workspace, environments: Environments | None, tell: Told) -> None:
    apply(workspace, workspace.stack, environments)
    checked = check(workspace)
    external = [one for one in checked if one.runs != EMBEDDED]
    tell.line = f"every role works: {len(external)} filled by external tools, the others embedded"
    if not external:
        tell.line = "every role works, filled by what is built in"
    tell.details = tuple(f"{one.role}: {one.runs} {one.version}" for one in external)


class _Thread:
    """The steps after the decision, on one workspace."""

    def __init__(self, workspace: Workspace, story: Story, teller: Teller, stack: ExitStack) -> None:
        self._workspace = workspace
        self._story = story
        self._teller = teller
        self._stack = stack
        self._datasets = Datasets(workspace)

    def run(self) -> None:
        with self._teller.step("Data") as tell:
            self._data(tell)
        with self._teller.step("Features") as tell:
            self._features(tell)
        with self._teller.step("Train") as tell:
            self._train(tell)
        with self._teller.step("Serve") as tell:
            client, children = self._serve(tell)
        with self._teller.step("Notice") as tell:
            self._notice(client, tell)
        with self._teller.step("Drift and retrain") as tell:
            self._drift_and_retrain(client, tell)
        client.close()
        for child in reversed(children):
            child.stop()
        with self._teller.step("Three questions") as tell:
            self._ready(tell)
        with self._teller.step("Report") as tell:
            self._story.report = write_report(self._workspace, self._story, self._story.folder / "report.html")
            size_kb = self._story.report.stat().st_size / 1024
            tell.line = f"{self._story.report} ({size_kb:.0f} kB, one page, needs no network)"

    # ------------------------------------------------------------ 2 to 4: data, features, training

    def _data(self, tell: Told) -> None:
        self._record_decision()
        self._story.data = data_use.bring_in(self._workspace)
        rows = sum(state.rows for state in self._story.data)
        faults = [
            f"{state.version.name}: {outcome.detail}"
            for state in self._story.data
            for outcome in (state.report.outcomes if state.report else ())
            if not outcome.ok
        ]
        tell.line = f"{rows:,} rows in {len(self._story.data)} datasets, {len(faults)} real faults found"
        tell.details = tuple(faults)

    def _record_decision(self) -> None:
        decision = self._story.decision
        at = self._workspace.clock()
        roles = {role: [choice.verdict, choice.tool] for role, choice in decision.roles.items()}
        self._workspace.ledger.record(
            Entity(new_id("decision", now=at), "decision", at, {
                "as_of": str(decision.as_of), "facts_digest": decision.facts_digest, "roles": roles,
            })
        )  # fmt: skip

    def _features(self, tell: Told) -> None:
        project = self._workspace.project
        made = materialize_views(self._workspace, list(project.views.values()))
        joined = run(self._workspace, "join", {})
        table = self._table(joined.run_id, "examples")
        validation = int(table["validation"].sum())
        features = sum(len(view.features) for view in project.views.values())
        tell.line = (
            f"{table.height - validation:,} training and {validation:,} validation rows with {features} features"
            " as known at each departure"
        )
        tell.details = tuple(f"{m.view}: {m.rows:,} rows readable online, from {m.version}" for m in made)

    def _table(self, run_id: str, step: str) -> "pl.DataFrame":
        from stackproof.store.tables import read_table

        outputs: Any = self._workspace.ledger.get(run_id).attributes["outputs"]
        return read_table(self._workspace.store.blobs.path(outputs[step][1]))

    def _train(self, tell: Told) -> None:
        first = run(self._workspace, "train", {"trials": 0})
        tuned = run(self._workspace, "train", {})
        self._story.run_ids = [first.run_id, tuned.run_id]
        reader = self._workspace.live.adapter("tracking", "read-runs")
        scores = [reader.get_run(done.run_id).metrics["auc"] for done in (first, tuned)]
        models = " and ".join(done.models[-1].id for done in (first, tuned))
        cached = sum(step.cached for done in (first, tuned) for step in done.steps)
        tell.line = f"{models} registered, AUC {scores[0]:.3f} untuned and {scores[1]:.3f} tuned"
        tell.details = (
            f"{tuned.params['trials']} trials, bad ones ended early; {cached} steps came from the cache",
            f"recorded: {self._workspace.code.id}, {self._workspace.environment.id}"
            f" ({self._workspace.environment.lock.count('==')} distributions, locked)",
        )
        self._versions = [done.models[-1].version for done in (first, tuned)]

    # ------------------------------------------------------------ 5 to 7: serve, notice, retrain

    def _serve(self, tell: Told) -> tuple[Client, list[Child]]:
        untuned, tuned = self._versions
        state = deploy(self._workspace, DEPLOYMENT, {tuned: 0.9, untuned: 0.1})
        project, home = self._workspace.project, self._workspace.home
        server = start_child(project, ["serve", DEPLOYMENT, "--port", "0"], home / "logs" / "serve.log")
        self._stack.callback(server.stop)
        alerts = self._story.folder / "alerts.jsonl"
        watching = ["watch", DEPLOYMENT, "--heartbeat", "0.5", "--sink", f"file:{alerts}"]
        if self._workspace.live.tool("monitoring", "drift") != EMBEDDED:
            watching += ["--every", str(LOOKS_APART)]
        watcher = start_child(project, watching, home / "logs" / "watch.log")
        self._stack.callback(watcher.stop)
        client = Client(server.ready["url"], DEPLOYMENT)
        self._first = self._workspace.ledger.predictions.latest_position()
        self._requests = self._asked(self._flights())
        answer = client.ask(self._requests.head(1), as_of="scheduled_departure")
        self._story.prediction = answer.prediction_ids[0]
        tell.line = (
            f"{state.id} answers at {server.ready['url']}: version {tuned} with 90 %, version {untuned} with 10 %"
        )
        first = f"late with probability {answer.values[0]:.3f}, by version {answer.model_version}"
        tell.details = (f"{answer.prediction_ids[0]}: {first}",)
        return client, [server, watcher]

    def _flights(self) -> "pl.DataFrame":
        import polars as pl

        flights = self._brought("flights").table
        return flights.filter(pl.col("late").is_not_null())

    def _brought(self, name: str) -> Brought:
        return self._datasets.bring_in(name)

    def _asked(self, flights: "pl.DataFrame") -> "pl.DataFrame":
        names = [
            "carrier",
            "origin",
            "tailnum",
            "departure_hour",
            "weekday",
            "distance",
            "scheduled_departure",
        ]
        return flights.select(names)

    def _notice(self, client: Client, tell: Told) -> None:
        """A control stream like the reference; then the weather arrives in meters per second."""
        per_second = (
            read_answers(self._story.folder / "answers.toml").number("use_case.predictions_per_day") / SECONDS_PER_DAY
        )
        rows = self._asked(_between(self._flights(), "2013-01-01", "2013-04-01"))
        drawn = rows.sample(2 * CONTROL_ROWS, seed=2013, shuffle=True)
        control = control_stream(self._workspace, client, DEPLOYMENT, drawn.head(CONTROL_ROWS), "scheduled_departure")
        self._switch_units()
        change = unit_change(
            self._workspace, client, DEPLOYMENT, drawn.tail(CONTROL_ROWS), "scheduled_departure", per_second
        )
        self._restore_units()
        self._story.control, self._story.change = control, change
        tell.line = _noticed(change, per_second)
        tell.details = (
            f"control stream: {len(control.alerts)} false alarms in {control.sent:,} predictions",
            *(self._finding(alert) for alert in change.alerts[:1]),
        )

    def _finding(self, alert_id: str) -> str:
        facts: Any = self._workspace.ledger.get(alert_id).attributes
        finding = facts["findings"][0]
        hint = f"; {finding['hint']}" if finding["hint"] else ""
        return (
            f"{alert_id}: {finding['column']}, {finding['test']}, p = {finding['p_value']:.1g}"
            f" (alarm below {finding['threshold']:.1g}), {finding['effect']}{hint}"
        )

    def _switch_units(self) -> None:
        import polars as pl

        reports = self._brought("weather_reports")
        wrong = reports.table.with_columns(pl.col("wind_speed", "wind_gust") * METERS_PER_SECOND)
        version = keep_version(
            self._workspace, "weather_reports", wrong, [reports.version.id], note="wind in meters per second"
        )
        materialize_view(self._workspace, self._workspace.project.views["weather_now"], wrong, version.id)

    def _restore_units(self) -> None:
        reports = self._brought("weather_reports")
        view = self._workspace.project.views["weather_now"]
        materialize_view(self._workspace, view, reports.table, reports.version.id)

    def _drift_and_retrain(self, client: Client, tell: Told) -> None:
        """June and July in their own order; what they do to the error; an alert starts the retraining."""
        flights = _between(self._flights(), "2013-06-01", "2013-08-01")
        replay = replay_in_order(
            self._workspace,
            client,
            DEPLOYMENT,
            self._asked(flights),
            flights["flight_id"].to_list(),
            "scheduled_departure",
        )
        self._story.replay = replay
        self._outcomes(flights, replay)
        if not replay.drill.alerts:
            tell.line = f"no drift found in {replay.drill.sent:,} predictions"
            return
        params = {"train_from": "2013-04-01", "validate_from": "2013-07-01", "until": "2013-08-01"}
        self._story.retrained = retrain(
            self._workspace, replay.drill.alerts[0], pipeline="train", params=params, deployment=DEPLOYMENT
        )
        self._ask_canary(client)
        tell.line, tell.details = self._retrained_lines(replay, self._story.retrained)

    def _outcomes(self, flights: "pl.DataFrame", replay: Replay) -> None:
        """The arrivals become known: record them, and measure the model with them."""
        late = dict(zip(flights["flight_id"].to_list(), flights["late"].to_list(), strict=True))
        predictions = self._workspace.ledger.predictions
        predictions.record_outcomes(
            {replay.prediction_ids[key]: float(value) for key, value in late.items()}, self._workspace.clock()
        )
        monitor = self._workspace.live.adapter("monitoring", "performance")
        months = dict(zip(late, flights["scheduled_departure"].dt.strftime("%B").to_list(), strict=True))
        for month in dict.fromkeys(months.values()):
            keys = [key for key in late if months[key] == month]
            self._story.performance[month] = monitor.performance(
                [replay.predicted[key] for key in keys], [late[key] for key in keys]
            )

    def _ask_canary(self, client: Client) -> None:
        """Send August through the new deployment, until the canary has answered once."""
        august = self._asked(_between(self._flights(), "2013-08-01", "2013-08-03")).head(CANARY_REQUESTS)
        retrained = self._story.retrained
        version = str(retrained.run.models[-1].version) if retrained else ""
        deadline = time.monotonic() + SWITCH_TIMEOUT_S
        while version not in self._versions_answering(client, august) and time.monotonic() < deadline:
            continue
        answered = self._versions_answering(client, august)
        self._canary_share = (answered.count(version), len(answered))

    def _versions_answering(self, client: Client, rows: "pl.DataFrame") -> list[str]:
        return [answer.model_version for _, answer in send(client, rows, as_of="scheduled_departure", batch=1)]

    def _served_package(self) -> Path:
        deployment = current_deployment(self._workspace, DEPLOYMENT)
        return max(deployment.routes, key=lambda route: route.weight).package

    def _retrained_lines(self, replay: Replay, retrained: Retrained) -> tuple[str, tuple[str, ...]]:
        reader = self._workspace.live.adapter("tracking", "read-runs")
        april = reader.get_run(self._story.run_ids[-1]).metrics["log_loss"]
        after = reader.get_run(retrained.run.run_id).metrics["log_loss"]
        months = ", ".join(f"{month} {p.log_loss:.3f}" for month, p in self._story.performance.items())
        self._story.drifted = drift_over_all(
            self._workspace, self._served_package(), list(replay.prediction_ids.values())
        )
        drifted = "; ".join(f"{finding.column} {finding.effect}" for finding in self._story.drifted[:4])
        line = (
            f"{len(replay.drill.alerts)} alerts in {replay.drill.sent:,} predictions; log loss {april:.3f} in April,"
            f" {months}; retrained: {after:.3f} in July"
        )
        return line, (
            f"this drift is real, season and storms, not a fault. Over both months: {drifted}",
            f"{replay.drill.alerts[0]} started {retrained.run.run_id}: {retrained.run.models[-1].id} is a canary in"
            f" {retrained.deployment.id} and answered {self._canary_share[0]} of {self._canary_share[1]} requests",
        )

    # ------------------------------------------------------------ 8: the three questions

    def _ready(self, tell: Told) -> None:
        answers = ready(self._workspace, prediction=self._tuned_prediction())
        self._story.answers = answers
        tell.line = ", ".join(f"{answer.name}: {'yes' if answer.yes else 'no'}" for answer in answers)
        tell.details = tuple(line for answer in answers for line in answer.evidence)

    def _tuned_prediction(self) -> str:
        """A prediction by the tuned version, so that the run with the search is the one reproduced."""
        tuned = f"model:{DEPLOYMENT}@{self._versions[1]}"
        served = self._workspace.ledger.predictions.after(self._first, deployment_name=DEPLOYMENT, limit=1000)
        self._story.prediction = next(p.id for _, p in reversed(served) if p.model == tuned)
        return self._story.prediction


def _between(flights: "pl.DataFrame", first: str, end: str) -> "pl.DataFrame":
    import polars as pl

    bounds = [datetime.fromisoformat(day).replace(tzinfo=UTC) for day in (first, end)]
    departure = pl.col("scheduled_departure")
    return flights.filter(departure >= bounds[0], departure < bounds[1])


def _noticed(change: Drill, per_second: float) -> str:
    if change.to_alert is None:
        return f"the change was not noticed in {change.sent:,} predictions"
    return (
        f"mph became m/s; noticed after {change.to_alert} predictions,"
        f" {change.seconds_at_rate:.0f} s at {per_second:.1f} predictions a second"
    )
