"""Bring what is known of releases up to date from the package index that pip is configured for."""

import datetime
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from stackproof.errors import RefusedInput, Unavailable
from stackproof.facts import Facts, load_facts
from stackproof.facts.model import Fact, Tool
from stackproof.facts.overlay import own_folders, refreshed_folder
from stackproof.store.files import make_folders, write_durably
from stackproof.usecases.decide import find_tool
from stackproof.usecases.index_settings import IndexSettings, configured_index, shown
from stackproof.usecases.package_index import PackageIndex, Published
from stackproof.usecases.released import Change, changes, older_than_recorded, recorded, release_table, with_release

AT_ONCE = 8
HEADER = "# Written by `stackproof catalog refresh`, which replaces [facts.release]; the rest is yours to edit.\n"

Progress = Callable[[int, int], None]
"""Called with how many packages were asked for, and how many there are."""


@dataclass(frozen=True, slots=True)
class Told:
    """Something about a package that is no change: it is gone, withdrawn, unreachable. `state`: as in `Published`,
    or "older" where the index offers less than is recorded."""

    tool: str
    package: str
    state: str
    text: str


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What the index said. `index`: without credentials; `further`: asked only for what it has not.

    `confirmed`: tools with nothing new. `unasked`: those named or known without a package of an index. `written`:
    the files that differ now, none for a dry run. `failed`: packages about which no usable answer came.
    """

    index: str
    further: tuple[str, ...]
    asked: int
    changes: tuple[Change, ...]
    notes: tuple[Told, ...]
    confirmed: tuple[str, ...]
    unasked: tuple[str, ...]
    failed: tuple[str, ...]
    written: tuple[Path, ...]


def refresh(
    tools: Sequence[str] = (),
    *,
    today: datetime.date,
    out: Path | None = None,
    in_place: Path | None = None,
    dry_run: bool = False,
    overlays: Sequence[Path] = (),
    settings: IndexSettings | None = None,
    progress: Progress = lambda done, total: None,
) -> Refreshed:
    """Ask for every package of `tools` (all of them for none) and write what was found, dated `today`.

    Written is an overlay into `out` (by default the user's own folder, which every decision reads), or, with
    `in_place`, the release of each tool in that folder of facts. A tool about which something is missing, gone,
    withdrawn or older than recorded stays as it is.

    Raises `UnknownName` for a tool; `RefusedInput` for faults in the facts or a file that can't be edited, before
    anything is written; `Unavailable` when the index gives no usable answer at all; `StorageFailed`.
    """
    if out is not None and in_place is not None:
        raise RefusedInput("Only one place can be written", got=f"{out} and {in_place}", allowed="--out or --in-place")
    target = in_place or out or refreshed_folder()
    facts = _facts(target, in_place is not None, overlays)
    chosen = [find_tool(facts, name) for name in dict.fromkeys(tools)] or list(facts.tools.values())
    packages = {tool.id: _packages(tool) for tool in chosen}
    settings = settings or configured_index()
    answers = ask_all(sorted({name for names in packages.values() for name in names}), settings, progress)
    asked = [tool for tool in chosen if packages[tool.id]]
    judged = {tool.id: _judged(tool, answers) for tool in asked}
    sound = [tool for tool in asked if _sound(tool, answers)]
    edits = {} if dry_run else _edits(sound, answers, target, settings, today, in_place is not None)
    return Refreshed(
        index=shown(settings.index),
        further=tuple(shown(url) for url in settings.extra),
        asked=len(answers),
        changes=tuple(change for tool in sound for change in judged[tool.id][0]),
        notes=tuple(note for tool in asked for note in judged[tool.id][1]),
        confirmed=tuple(tool.id for tool in sound if not judged[tool.id][0]),
        unasked=tuple(tool.id for tool in chosen if not packages[tool.id]),
        failed=tuple(name for name, answer in answers.items() if answer.state in ("broken", "unreachable")),
        written=_write(edits),
    )


def ask_all(packages: Sequence[str], settings: IndexSettings, progress: Progress) -> dict[str, Published]:
    """Each package to what the index says of it, in the order given.

    When the first answers all fail to arrive, the rest is not asked for. Raises `Unavailable` when no answer can be
    used.
    """
    index = PackageIndex(settings)
    answers: dict[str, Published] = {}
    heard = False
    silent = 0

    def ask(package: str) -> Published:
        if silent >= AT_ONCE and not heard:
            return Published(package, shown(settings.index), "unreachable", notes=("the index was silent before",))
        return index.ask(package)

    with ThreadPoolExecutor(AT_ONCE) as threads:
        waiting = {threads.submit(ask, package): package for package in packages}
        for done, answered in enumerate(as_completed(waiting), start=1):
            answer = answers[waiting[answered]] = answered.result()
            heard = heard or answer.state != "unreachable"
            silent += answer.state == "unreachable"
            progress(done, len(packages))
    if answers and all(answer.state in ("broken", "unreachable") for answer in answers.values()):
        reason = next(answer.notes[0] for answer in answers.values() if answer.notes)
        raise Unavailable(
            f"The package index gives no usable answer, and nothing was changed: {reason}",
            got=shown(settings.index),
            next_command="pip config list",
        )
    return {package: answers[package] for package in packages}


def _facts(target: Path, in_place: bool, overlays: Sequence[Path]) -> Facts:
    if in_place:
        return load_facts(target)
    folders = own_folders(overlays)
    known = {folder.resolve() for folder in folders}
    return load_facts(overlays=(*folders, *([target] if target.is_dir() and target.resolve() not in known else [])))


def _packages(tool: Tool) -> tuple[str, ...]:
    release = tool.facts.get("release")
    return tuple(known.package for known in recorded(release)) if release else ()


def _judged(tool: Tool, answers: Mapping[str, Published]) -> tuple[list[Change], list[Told]]:
    found, notes = [], []
    for known in recorded(tool.facts["release"]):
        answer = answers[known.package]
        notes += [Told(tool.id, known.package, answer.state, text) for text in answer.notes]
        if answer.state != "found":
            continue
        if older_than_recorded(known, answer):
            text = f"The index offers {answer.version} of {known.package}; {known.version} is recorded and stays"
            notes.append(Told(tool.id, known.package, "older", text))
        elif known.version in answer.withdrawn:
            text = (
                f"{known.package} {known.version}, which is recorded, is withdrawn: {answer.withdrawn[known.version]}"
            )
            notes.append(Told(tool.id, known.package, "withdrawn", text))
        found += changes(tool.id, known, answer)
    return found, list(dict.fromkeys(notes))


def _sound(tool: Tool, answers: Mapping[str, Published]) -> bool:
    return all(
        answers[known.package].state == "found" and not older_than_recorded(known, answers[known.package])
        for known in recorded(tool.facts["release"])
    )


def _edits(
    tools: Sequence[Tool], answers: Mapping[str, Published], target: Path, settings: IndexSettings,
    today: datetime.date, in_place: bool,
) -> dict[Path, str]:  # fmt: skip
    """File to its new text, for each that differs."""
    edits = {}
    for tool in tools:
        file = target / "tools" / f"{tool.id}.toml"
        before = _text(file) if file.exists() else ""
        release = tool.facts["release"]
        values: dict[str, str | datetime.date] = {**release_table(release, answers), "date": today}
        if not in_place:
            values |= _own(release, shown(settings.index))
        after = with_release(before or HEADER, values, str(file))
        if after != before:
            edits[file] = after
    return edits


def _own(release: Fact, index: str) -> dict[str, str | datetime.date]:
    """An overlay's fact replaces the older one whole, so that it carries what a person wrote beside it."""
    detail = {"detail": release.detail} if release.detail else {}
    return {**detail, "source": f"the package index {index}", "confidence": "high"}


def _text(file: Path) -> str:
    try:
        return file.read_bytes().decode("utf-8")
    except OSError as error:
        raise RefusedInput("A file of facts can't be read", got=f"{file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise RefusedInput("A file of facts is not UTF-8", got=str(file)) from error


def _write(edits: Mapping[Path, str]) -> tuple[Path, ...]:
    for folder in {file.parent for file in edits}:
        make_folders(folder)
    for file, text in edits.items():
        write_durably(file, text.encode())
    return tuple(edits)


__all__ = ["Change", "Refreshed", "Told", "ask_all", "refresh"]
