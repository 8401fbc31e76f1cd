"""Opens a project for a command, with progress bars when a person is looking."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from stackproof.stack.progress import Progress, silent
from stackproof.stack.project import load_project
from stackproof.stack.workspace import Workspace, find_project, open_workspace

if TYPE_CHECKING:
    from rich.progress import TaskID


@contextmanager
def open_project(path: Path, *, declarations: bool = True) -> Iterator[Workspace]:
    """The project at `path`, opened. Raises `NotFound` when there is none.

    Commands that use none of its datasets, views and pipelines open it without `declarations`: quicker.
    """
    project = load_project(path) if declarations else find_project(path)
    with progress_bars() as progress, open_workspace(project, progress=progress) as workspace:
        yield workspace


@contextmanager
def progress_bars() -> Iterator[Progress]:
    """Bars on standard error that vanish when done; nothing when it is not a terminal."""
    if not sys.stderr.isatty():
        yield silent
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    known: dict[str, TaskID] = {}
    lock = Lock()
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:

        def progress(what: str, done: int, total: int | None = None) -> None:
            with lock:
                if what not in known:
                    known[what] = bars.add_task(what, total=total)
                bars.update(known[what], completed=done, total=total, visible=total is None or done < total)

        yield progress
