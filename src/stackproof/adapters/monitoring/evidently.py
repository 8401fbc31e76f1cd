"""Monitoring with Evidently 0.7: its tests of drift on every look, its reports of the looks that found something.

A watch, with its reference and its latest rows, is kept in a database below the role's home. The reports are runs in
an Evidently workspace beside it, one project per watch: `evidently ui --workspace HOME/workspace` shows them.
"""

import logging
import os
import sqlite3
import threading
import uuid
import warnings
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from importlib import import_module
from json import dumps, loads
from pathlib import Path
from typing import Any, ClassVar

from stackproof.adapters.monitoring.evidently_features import Breach, Features, normalised, watched
from stackproof.errors import Conflict, NotFound, RefusedInput, StackproofError, StorageFailed, UnknownName
from stackproof.roles.adapter import PORT, Health, Option, ServerSpec, Setting
from stackproof.roles.monitoring import ColumnKind, Finding, Policy
from stackproof.roles.table import Table

REPORTS = ("alarms", "all", "none")
WAIT_S = 60.0
SCHEMA = """
CREATE TABLE IF NOT EXISTS watches (
    name TEXT PRIMARY KEY, started TEXT NOT NULL, columns TEXT NOT NULL, policy TEXT NOT NULL, reference BLOB NOT NULL,
    position INTEGER NOT NULL, in_alarm TEXT NOT NULL, latest BLOB NOT NULL
)
"""


@dataclass(frozen=True, slots=True)
class Look:
    """`rows` end at the position `end`, not included."""

    end: int
    rows: Any
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Watch:
    """What was started. `started` differs each time, so that a prepared reference is known to be of this watch."""

    name: str
    started: str
    columns: Mapping[str, ColumnKind]
    policy: Policy
    features: Features


class EvidentlyMonitoring:
    """Capability "drift". A monitor made anew below the same home goes on with the watches; processes may share it.

    Beyond what the contract says, `start` raises `RefusedInput` for no column or a policy that can't be kept, and
    writing raises `StorageFailed`. When `observe` returns, its rows and alarms are durable.
    """

    tool: ClassVar[str] = "evidently"
    capabilities: ClassVar[frozenset[str]] = frozenset({"drift", "links"})
    options: ClassVar[Mapping[str, Option]] = {
        "reports": Option("string", "the looks that are kept as reports in Evidently's workspace", "alarms", REPORTS),
        "port": Option("integer", "of Evidently's UI, which `stackproof up` starts; none: one that is free"),
    }

    def __init__(self, setting: Setting) -> None:
        self._home = setting.home
        self._reports = _chosen(setting.options)
        self._lock = threading.Lock()
        self._prepared: dict[str, Watch] = {}
        self._closed = False

    def health(self) -> Health:
        """Whether Evidently can be imported and the watches opened."""
        try:
            version = str(_evidently().__version__)
        except StackproofError as missing:
            return Health(False, "", str(missing))
        try:
            with self._database():
                return Health(True, version, f"Evidently {version}, watches and reports are kept in {self._home}")
        except StackproofError as problem:
            return Health(False, version, str(problem))

    @staticmethod
    def server(setting: Setting, python: Path) -> ServerSpec:
        """See `HasServer.server`: Evidently's UI on the kept reports. It only reads them."""
        kept = setting.home / "workspace"
        kept.mkdir(parents=True, exist_ok=True)
        return ServerSpec(
            name="evidently",
            arguments=(
                *(str(python.parent / "evidently"), "ui", "--workspace", str(kept)),
                *("--host", "127.0.0.1", "--port", PORT),
            ),
            folder=setting.home,
            url=f"http://127.0.0.1:{PORT}",
            health=f"http://127.0.0.1:{PORT}/api/version",
            variables={"DO_NOT_TRACK": "1"},
            port=int(str(setting.options.get("port") or 0)),
        )

    def link(self, identifier: str, ui: str) -> str:
        """Of a deployment: its project in Evidently's workspace, with the looks that are kept there."""
        kind, _, name = identifier.partition(":")
        kept = self._home / "workspace"
        if not ui or kind != "deployment" or not kept.exists():
            return ""
        projects = import_module("evidently.ui.workspace").Workspace.create(str(kept)).list_projects()
        found = next((project.id for project in projects if project.name == name.rpartition("@")[0]), None)
        return f"{ui}/projects/{found}" if found else ""

    def close(self) -> None:
        self._closed = True

    def start(self, name: str, reference: Table, columns: Mapping[str, ColumnKind], policy: Policy) -> None:
        if not columns:
            raise RefusedInput("A monitor needs a column to watch", got="no columns", allowed="at least one")
        _check(policy)
        kinds = {column: ColumnKind(kind) for column, kind in columns.items()}
        rows = normalised(watched(reference, kinds, "reference"), kinds)
        described = dumps([[column, kind] for column, kind in kinds.items()])
        kept = (
            name,
            uuid.uuid4().hex,
            described,
            dumps(asdict(policy)),
            _bytes(rows),
            0,
            "[]",
            _bytes(rows.slice(0, 0)),
        )
        with self._database() as database:
            database.execute("INSERT OR REPLACE INTO watches VALUES (?, ?, ?, ?, ?, ?, ?, ?)", kept)

    def observe(self, name: str, rows: Table) -> list[Finding]:
        looks: list[Look] = []
        with self._database() as database:
            watch, position, in_alarm, latest = self._current(database, name)
            added = normalised(watched(rows, watch.columns, "rows"), watch.columns)
            held = import_module("pyarrow").concat_tables([latest, added])
            first, end, every = position - latest.num_rows, position + added.num_rows, watch.policy.every
            for look_end in range((position // every + 1) * every, end + 1, every):
                length = min(watch.policy.window, look_end)
                window = held.slice(look_end - first - length, length)
                findings, in_alarm = _look(watch, window, look_end, in_alarm)
                looks.append(Look(look_end, window, findings))
            latest = held.slice(max(0, held.num_rows - watch.policy.window))
            database.execute(
                "UPDATE watches SET position = ?, in_alarm = ?, latest = ? WHERE name = ?",
                (end, dumps(sorted(in_alarm)), _bytes(latest), name),
            )
        self._report(watch, looks)
        return [finding for look in looks for finding in look.findings]

    def position(self, name: str) -> int:
        with self._database() as database:
            row = database.execute("SELECT position FROM watches WHERE name = ?", (name,)).fetchone()
        if row is None:
            raise _not_started(name)
        return int(row[0])

    def _current(self, database: sqlite3.Connection, name: str) -> tuple[Watch, int, frozenset[str], Any]:
        row = database.execute(
            "SELECT started, columns, policy, position, in_alarm, latest FROM watches WHERE name = ?", (name,)
        ).fetchone()
        if row is None:
            raise _not_started(name)
        started, columns, policy, position, in_alarm, latest = row
        watch = self._prepared.get(name)
        if watch is None or watch.started != started:
            _evidently()
            kinds = {column: ColumnKind(kind) for column, kind in loads(columns)}
            (data,) = database.execute("SELECT reference FROM watches WHERE name = ?", (name,)).fetchone()
            watch = Watch(name, started, kinds, Policy(**loads(policy)), Features(_table(data), kinds))
            self._prepared[name] = watch
        return watch, position, frozenset(loads(in_alarm)), _table(latest)

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        """A transaction that no other process writes beside."""
        if self._closed:
            raise Conflict("This monitor was closed", allowed="making a new one")
        try:
            with self._lock, closing(sqlite3.connect(self._home / "watches.sqlite", timeout=WAIT_S)) as database:
                database.isolation_level = None
                database.execute("PRAGMA synchronous = FULL")
                database.execute("BEGIN IMMEDIATE")
                database.execute(SCHEMA)
                yield database
                database.execute("COMMIT")
        except sqlite3.Error as failed:
            raise StorageFailed("The watches can't be read or written", got=f"{self._home}: {failed}") from failed

    def _report(self, watch: Watch, looks: list[Look]) -> None:
        """A report that Evidently can't make is told in the log: it is a view of findings that are kept already."""
        kept = [look for look in looks if self._reports == "all" or (self._reports == "alarms" and look.findings)]
        for look in kept:
            try:
                with self._lock:
                    _keep_report(self._home / "workspace", watch, look)
            except Exception as problem:  # noqa: BLE001  # whatever Evidently's plots raise, the findings hold
                logging.getLogger(__name__).warning("Evidently made no report of %s: %s", watch.name, problem)


def _look(watch: Watch, window: Any, end: int, in_alarm: frozenset[str]) -> tuple[tuple[Finding, ...], frozenset[str]]:
    """The findings of the columns that were well at the last look, the strongest first; and which are in alarm now."""
    found: dict[str, Breach] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scipy's, on columns of one value or none
        for breach in watch.features.breaches(window, _level(watch)):
            if breach.column not in found or breach.p_value < found[breach.column].p_value:
                found[breach.column] = breach
    new = [breach for column, breach in found.items() if column not in in_alarm]
    order = list(watch.columns)
    new.sort(key=lambda breach: (breach.p_value, order.index(breach.column)))
    findings = (
        Finding(b.column, b.test, b.statistic, b.p_value, b.threshold, b.effect, end - window.num_rows, end - 1)
        for b in new
    )
    return tuple(findings), frozenset(found)


def _level(watch: Watch) -> float:
    """The level of one test: the false alarms of all tests of all looks add up to the policy's, or less."""
    looks_per_million = 1e6 / watch.policy.every
    return min(0.05, watch.policy.false_alarms_per_million / looks_per_million / watch.features.tests)


def _keep_report(workspace: Path, watch: Watch, look: Look) -> None:
    """The look as users of Evidently know it: its preset of drift on the columns as they are."""
    evidently, presets = _evidently(), import_module("evidently.presets")
    ui = import_module("evidently.ui.workspace")
    known = ui.Workspace.create(str(workspace))
    project = next((p for p in known.list_projects() if p.name == watch.name), None) or known.create_project(watch.name)
    current, reference, columns = watch.features.frames(look.rows)
    if not columns:
        return
    definition = evidently.DataDefinition(
        numerical_columns=[column for column in columns if watch.columns[column] is ColumnKind.NUMERIC],
        categorical_columns=[column for column in columns if watch.columns[column] is ColumnKind.CATEGORICAL],
    )
    datasets = [evidently.Dataset.from_pandas(frame, data_definition=definition) for frame in (current, reference)]
    preset = presets.DataDriftPreset(columns=columns, num_method="ks", cat_method="chisquare", threshold=_level(watch))
    found = {finding.column: f"{finding.test}: {finding.effect}" for finding in look.findings}
    first, last = look.end - look.rows.num_rows, look.end - 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as in `_look`
        run = evidently.Report([preset], metadata={"first": first, "last": last, **found}).run(
            *datasets, name=f"{watch.name}, rows {first} to {last}", tags=["alarm"] if found else []
        )
    known.add_run(project.id, run)


def _chosen(options: Mapping[str, object]) -> object:
    for name in options:
        if name not in EvidentlyMonitoring.options:
            raise UnknownName("option of evidently", name, EvidentlyMonitoring.options)
    reports = options.get("reports", "alarms")
    if reports not in REPORTS:
        raise RefusedInput("The option reports is wrong", got=repr(reports), allowed=", ".join(REPORTS))
    return reports


def _check(policy: Policy) -> None:
    if not (policy.false_alarms_per_million > 0 and policy.window >= 1 and policy.every >= 1):
        raise RefusedInput(
            "This policy can't be kept",
            got=repr(policy),
            allowed="more than 0 false alarms per million, a window and steps of at least 1 row",
        )


def _evidently() -> Any:
    """The tool, without the telemetry of its server, by the variable that it documents."""
    os.environ.setdefault("DO_NOT_TRACK", "1")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            return import_module("evidently")
    except ImportError as missing:
        raise NotFound(
            f"Evidently can't be imported: {missing}", next_command="uv pip install evidently 'pandas<3' pyarrow"
        ) from missing


def _bytes(table: Any) -> bytes:
    arrow = import_module("pyarrow")
    sink = arrow.BufferOutputStream()
    with arrow.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(memoryview(sink.getvalue()))


def _table(data: bytes) -> Any:
    return import_module("pyarrow").ipc.open_stream(data).read_all()


def _not_started(name: str) -> NotFound:
    return NotFound(f"No monitor named {name!r} was started", allowed="a name given to start")
