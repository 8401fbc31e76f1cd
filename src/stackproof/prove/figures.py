"""What each figure is, in words, and whether less of it is better. A figure that is not listed is shown by its name."""

from dataclasses import dataclass
from typing import Literal

Better = Literal["less", "more", ""]

WORK, COST, CRASH, MACHINE = "The work", "What it takes", "In a crash", "The machine"
GROUPS = (WORK, COST, CRASH, MACHINE)


@dataclass(frozen=True, slots=True)
class Meaning:
    """`better`: "" for a figure that is neither good nor bad. `exact`: counted, so that one value is all there is."""

    title: str
    better: Better
    group: str = WORK
    exact: bool = False


MEANINGS: dict[str, Meaning] = {
    "points_written": Meaning("Points written, 1,000 a call", "more"),
    "log_call_p50": Meaning("One point, accepted: median", "less"),
    "log_call_p99": Meaning("One point, accepted: 99th percentile", "less"),
    "durable_call_p50": Meaning("One point, durable: median", "less"),
    "durable_call_p99": Meaning("One point, durable: 99th percentile", "less"),
    "runs_written": Meaning("Runs of 20 params, 50 metrics, 5 tags", "more"),
    "history_read": Meaning("A metric's history", "less"),
    "best_runs_p50": Meaning("The 10 best runs: median", "less"),
    "best_runs_p99": Meaning("The 10 best runs: 99th percentile", "less"),
    "artifact_written": Meaning("An artifact written", "more"),
    "model_registered_p50": Meaning("A model registered: median", "less"),
    "model_registered_p99": Meaning("A model registered: 99th percentile", "less"),
    "join": Meaning("Point-in-time join", "less"),
    "join_rows": Meaning("Rows joined", "more"),
    "materialize_rows": Meaning("Rows materialized", "more"),
    "online_lookup_p50": Meaning("Online lookup, 1 entity: median", "less"),
    "online_lookup_p99": Meaning("Online lookup, 1 entity: 99th percentile", "less"),
    "online_lookup_100_p50": Meaning("Online lookup, 100 entities: median", "less"),
    "online_lookup_100_p99": Meaning("Online lookup, 100 entities: 99th percentile", "less"),
    "server_start": Meaning("Server made to ready", "less"),
    "predict_p50": Meaning("One row, one client: median", "less"),
    "predict_p99": Meaning("One row, one client: 99th percentile", "less"),
    "requests_per_second": Meaning("Requests of 1 row, 8 clients", "more"),
    "predict_under_load_p50": Meaning("One row, 8 clients: median", "less"),
    "predict_under_load_p99": Meaning("One row, 8 clients: 99th percentile", "less"),
    "requests_per_second_32_rows": Meaning("Requests of 32 rows, 8 clients", "more"),
    "predict_32_under_load_p50": Meaning("32 rows, 8 clients: median", "less"),
    "predict_32_under_load_p99": Meaning("32 rows, 8 clients: 99th percentile", "less"),
    "first_task": Meaning("Start to first task, first run", "less"),
    "first_task_again": Meaning("Start to first task, later runs", "less"),
    "tasks_run": Meaning("Trivial tasks run", "more"),
    "per_task": Meaning("Time of one trivial task", "less"),
    "watch_start": Meaning("Reference taken", "less"),
    "observe_batch_p50": Meaning("50 rows observed: median", "less"),
    "observe_batch_p99": Meaning("50 rows observed: 99th percentile", "less"),
    "observed_rows": Meaning("Rows observed", "more"),
    "noticed_after": Meaning("Planted change noticed after", "less"),
    "false_alarms": Meaning("Alarms where nothing changed", "less"),
    "snapshot_file": Meaning("One large file kept", "more"),
    "restore_file": Meaning("One large file restored", "more"),
    "snapshot_files": Meaning("Small files kept", "more"),
    "snapshot_again": Meaning("Kept again after one change", "less"),
    "restore_files": Meaning("Small files restored", "more"),
    "validate": Meaning("Ten checks of the whole table", "less"),
    "validated_rows": Meaning("Rows checked", "more"),
    "validate_small_p50": Meaning("Ten checks of 100 rows: median", "less"),
    "validate_small_p99": Meaning("Ten checks of 100 rows: 99th percentile", "less"),
    "profile": Meaning("Profile of the whole table", "less"),
    "start_up": Meaning("Made to first answer", "less", COST),
    "first_call": Meaning("First call of the work, small", "less", COST),
    "import": Meaning("Import of the tool", "less", COST),
    "peak_memory": Meaning("Peak memory of all its processes", "less", COST),
    "disk": Meaning("Disk that the work took", "less", COST),
    "install_time": Meaning("Installation", "less", COST),
    "install_size": Meaning("Installed size", "less", COST, exact=True),
    "packages": Meaning("Packages installed", "less", COST, exact=True),
    "lines_of_code": Meaning("Lines of user code to change", "less", COST, exact=True),
    "lines_of_stack": Meaning("Lines of stack.toml that differ", "less", COST, exact=True),
    "acknowledged": Meaning("Acknowledged before the kill", "", CRASH),
    "recovered": Meaning("Of these there after it", "", CRASH),
    "recovery": Meaning("From the kill to the answer", "less", CRASH),
    "bridge_call": Meaning("An empty call over the bridge: median", "", MACHINE),
    "load_before": Meaning("Load before", "", MACHINE),
    "load": Meaning("Load during", "", MACHINE),
}


def meaning(name: str) -> Meaning:
    """Of any figure."""
    return MEANINGS.get(name, Meaning(name.replace("_", " "), ""))
