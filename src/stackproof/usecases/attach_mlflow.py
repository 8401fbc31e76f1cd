"""`attach mlflow`: reads a running MLflow server's runs, models and aliases into the ledger. Writes nothing there."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from stackproof.errors import Conflict, RefusedInput, StackproofError, Unavailable, UnknownName
from stackproof.ledger import Entity, Ledger, Link, Relation
from stackproof.stack.attached import ATTACHED
from stackproof.stack.workspace import Workspace
from stackproof.store import new_id
from stackproof.usecases.attach_keeping import Outcome, Told, compare, find, keep
from stackproof.usecases.attach_mlflow_form import MLFLOW, aliases_of, run_of, version_of
from stackproof.usecases.attach_rest import Found, MlflowServer


@dataclass(frozen=True, slots=True)
class Reading:
    """What one reading of a server found: how many, and how many of them were new or had changed.

    `version`: the server's own, "" when it says none. `ours`: those that Stackproof recorded itself, and which stay as
    they are. `without_data`: runs with a model that name no dataset.
    """

    id: str
    url: str
    version: str
    runs: int
    models: int
    aliases: int
    new: int
    changed: int
    ours: int
    without_data: int


@dataclass
class _Reader:
    """`seen`: how many of what became what."""

    workspace: Workspace
    server: MlflowServer
    read_at: datetime
    experiments: Mapping[str, str]
    seen: Counter[str] = field(default_factory=Counter)

    @property
    def ledger(self) -> Ledger:
        return self.workspace.ledger

    def runs(self, wanted: list[str]) -> None:
        """Page by page: a page is read whole, then recorded whole."""
        for page in self.server.run_pages(wanted):
            self.keep_all(self._told(run) for run in page)
            self.seen["runs"] += len(page)
            self.workspace.progress("reading runs", self.seen["runs"], None)

    def _told(self, run: Found) -> Told:
        """A run; with its files, which are asked for only when it is new or has changed."""
        told = run_of(run, self.experiments.get(str(run["info"].get("experiment_id")), ""))
        if not told.settled or compare(self.ledger, told) in (Outcome.KNOWN, Outcome.OURS):
            return told
        return replace(told, details={**told.details, **self._files(str(told.identity["mlflow_run_id"]))})

    def _files(self, mlflow_run_id: str) -> dict[str, Any]:
        """Unknown, not empty, where the server itself can't list them."""
        try:
            files, all_of_them = self.server.artifacts(mlflow_run_id)
        except StackproofError as problem:
            self.server.experiments()  # raises when it is the server that is gone
            return {"artifacts": None, "artifacts_unknown": problem.what}
        return {"artifacts": files, "artifacts_complete": all_of_them}

    def models(self, name: str | None = None) -> None:
        """Versions, then aliases: of one model, or of all."""
        for page in self.server.version_pages(name):
            self.keep_all([version_of(version, self._run_behind(version)) for version in page])
            self.seen["models"] += len(page)
            self.workspace.progress("reading models", self.seen["models"], None)
        for model in self._registered(name):
            self._aliases(str(model["name"]), aliases_of(model))

    def _registered(self, name: str | None) -> list[Found]:
        if name is None:
            return [model for page in self.server.model_pages() for model in page]
        found = self.server.model(name)
        return [] if found is None else [found]

    def _run_behind(self, version: Found) -> Entity | None:
        """In the ledger, or read now: it may be of an experiment that was not asked for."""
        run_id = str(version.get("run_id") or "")
        known = known_run(self.ledger, run_id) if run_id else None
        if known is not None or not run_id:
            return known
        run = self.server.run(run_id)
        if run is None:
            return None
        self.keep_all([self._told(run)])
        return known_run(self.ledger, run_id)

    def _aliases(self, model: str, now: Mapping[str, int]) -> None:
        """Each move of an alias is an entity of its own, its removal too."""
        before = newest_aliases(self.ledger, model)
        for alias in sorted({*now, *before}):
            version = now.get(alias)
            self.seen["aliases"] += version is not None
            if alias not in before or before[alias].attributes["version"] != version:
                self.ledger.record(*_moved(model, alias, version, before.get(alias), self))

    def keep_all(self, things: Iterable[Told]) -> None:
        """All or none of them."""
        told = list(things)
        with self.workspace.store.database.transaction():
            self.seen.update(keep(self.ledger, thing, self.read_at) for thing in told)


def attach_mlflow(
    workspace: Workspace, url: str, *, experiments: Iterable[str] = (), timeout_s: float = 30.0
) -> Reading:
    """Read what the server has: the runs of all experiments, or of those named; all registered models.

    Again, it records only what is new or has changed. When the server is gone in between, what was read stays, each
    run whole, and the next reading goes on. Raises `Unavailable`, `RefusedInput`; `UnknownName` for an experiment;
    `Conflict` for a second server.
    """
    server = MlflowServer(url, timeout_s=timeout_s)
    names = {str(it["experiment_id"]): str(it["name"]) for it in server.experiments()}
    wanted = _chosen(names, list(experiments))
    version = server.version()
    attachment = _attachment(workspace, server, version)
    reader = _Reader(workspace, server, workspace.clock(), names)
    try:
        reader.runs(wanted)
        reader.models()
    except (KeyError, TypeError, ValueError) as strange:
        raise RefusedInput(
            "The server's answer is not as MLflow's REST API has it", got=f"{type(strange).__name__}: {strange}",
            allowed="MLflow 2 or 3",
        ) from strange  # fmt: skip
    except Unavailable as gone:
        raise Unavailable(
            f"The MLflow server was gone after {reader.seen['runs']} runs and {reader.seen['models']} model versions"
            " were read, which are recorded", got=gone.got, next_command=f"stackproof attach mlflow {server.url}",
        ) from gone  # fmt: skip
    return _recorded(workspace, reader, attachment, version)


def refresh_model(workspace: Workspace, name: str) -> None:
    """Read one model's versions and aliases from the attached server anew; nothing when none is attached."""
    attachment = attached_server(workspace.ledger)
    if attachment is None:
        return
    server = MlflowServer(str(attachment.attributes["url"]))
    names = {str(it["experiment_id"]): str(it["name"]) for it in server.experiments()}
    _Reader(workspace, server, workspace.clock(), names).models(name)


def attached_server(ledger: Ledger) -> Entity | None:
    """The MLflow server that was attached, as it was last; None when there is none."""
    found = ledger.find("attachment", where={"tool": MLFLOW}, limit=1)
    return found[0] if found else None


def newest_aliases(ledger: Ledger, model: str) -> dict[str, Entity]:
    """The aliases that a model has or had, each as it was last read."""
    newest: dict[str, Entity] = {}
    for moved in ledger.find("alias", where={"model": model}, limit=10_000):
        newest.setdefault(str(moved.attributes["alias"]), moved)
    return newest


def known_run(ledger: Ledger, mlflow_run_id: str) -> Entity | None:
    """The run with that identifier in MLflow, if the ledger has it."""
    direct = find(ledger, f"run:{mlflow_run_id}")
    if direct is not None:
        return direct
    found = ledger.find("run", where={"mlflow_run_id": mlflow_run_id}, limit=1)
    return found[0] if found else None


def _chosen(names: Mapping[str, str], experiments: list[str]) -> list[str]:
    for name in experiments:
        if name not in names.values():
            raise UnknownName("experiment", name, names.values())
    return sorted(identifier for identifier, name in names.items() if not experiments or name in experiments)


def _attachment(workspace: Workspace, server: MlflowServer, version: str) -> Entity:
    """The server's entity; a new one for the first, and for a server that moved to another address."""
    known = attached_server(workspace.ledger)
    if known is not None and known.attributes["url"] == server.url:
        return known
    if known is not None and not _is_the_same(workspace.ledger, server):
        raise Conflict(
            "Another MLflow server is attached here", got=server.url, allowed=str(known.attributes["url"]),
            next_command="stackproof attach mlflow … --project ANOTHER-FOLDER",
        )  # fmt: skip
    number = 1 if known is None else int(known.id.rpartition("@")[2]) + 1
    made = Entity(f"attachment:{MLFLOW}@{number}", "attachment", workspace.clock(), {
        "tool": MLFLOW, "url": server.url, "version": version,
    })  # fmt: skip
    workspace.ledger.record(made)
    return made


def _is_the_same(ledger: Ledger, server: MlflowServer) -> bool:
    """Whether it knows a run that was read before: their identifiers are random."""
    read = ledger.find("run", where={ATTACHED: MLFLOW}, limit=1)
    return not read or server.run(str(read[0].attributes["mlflow_run_id"])) is not None


def _moved(model: str, alias: str, version: int | None, before: Entity | None, reader: _Reader) -> list[Entity | Link]:
    number = 1 if before is None else int(before.id.rpartition("#")[2]) + 1
    target = f"model:{model}@{version}"
    reader.seen[Outcome.NEW if before is None else Outcome.CHANGED] += 1
    entity = Entity(f"alias:{model}@{alias}#{number}", "alias", reader.read_at, {
        ATTACHED: MLFLOW, "model": model, "alias": alias, "version": version,
    })  # fmt: skip
    known = version is not None and find(reader.ledger, target) is not None
    return [entity, Link(entity.id, Relation.USED, target)] if known else [entity]


def _recorded(workspace: Workspace, reader: _Reader, attachment: Entity, version: str) -> Reading:
    """The reading is an entity too: it says up to when the ledger knows what the server has."""
    ledger, seen = workspace.ledger, reader.seen
    reading = Reading(
        new_id("reading", now=reader.read_at), reader.server.url, version, seen["runs"], seen["models"],
        seen["aliases"], seen[Outcome.NEW], seen[Outcome.CHANGED], seen[Outcome.OURS], _without_data(ledger),
    )  # fmt: skip
    facts = {name: getattr(reading, name) for name in ("url", "runs", "models", "aliases", "new", "changed")}
    ledger.record(Entity(reading.id, "reading", reader.read_at, facts), Link(reading.id, Relation.USED, attachment.id))
    return reading


def _without_data(ledger: Ledger) -> int:
    runs = {
        link.target
        for model in ledger.find("model", where={ATTACHED: MLFLOW}, limit=10_000)
        for link in ledger.links_from(model.id)
        if link.relation is Relation.REGISTERED_FROM
    }
    return sum(all(not link.target.startswith("data:") for link in ledger.links_from(run)) for run in runs)


def model_named(workspace: Workspace, text: str) -> Entity:
    """The model version that `text` means: "models:/name@alias", "models:/name/3",
    "name@3" or "name@alias". The attached server is asked first, where it answers.

    Raises `RefusedInput` for another form, `UnknownName` for a model, version or alias that there is not.
    """
    name, which = _named(text)
    try:
        refresh_model(workspace, name)
    except Unavailable:
        workspace.progress("the MLflow server does not answer: as it was last read", 1, 1)
    ledger = workspace.ledger
    versions = {str(it.attributes["version"]): it for it in ledger.find("model", where={"name": name}, limit=10_000)}
    if not versions:
        names = {str(it.attributes["name"]) for it in ledger.find("model", limit=10_000)}
        raise UnknownName("model", name, names, next_command="stackproof attach mlflow URL")
    aliases = {alias: it.attributes["version"] for alias, it in newest_aliases(ledger, name).items()}
    chosen = which if which in versions else str(aliases.get(which))
    if chosen not in versions:
        held = [*versions, *(alias for alias, version in aliases.items() if version is not None)]
        raise UnknownName(f"version or alias of {name!r}", which, held)
    return versions[chosen]


def _named(text: str) -> tuple[str, str]:
    plain = text.removeprefix("models:/").removeprefix("model:")
    name, mark, which = plain.rpartition("@") if "@" in plain else plain.rpartition("/")
    if not (name and mark and which) or (text.startswith("models:/") and "/" in name):
        raise RefusedInput(
            "A model version is malformed", got=text,
            allowed="models:/NAME@ALIAS, models:/NAME/VERSION, NAME@VERSION or NAME@ALIAS",
        )  # fmt: skip
    return name, which
