"""A small project on the embedded stack, in a folder of its own."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from stackproof.stack.project import load_project
from stackproof.stack.workspace import Workspace, open_workspace

PROJECT = """
import polars as pl
import stackproof as sp

project = sp.Project("tiny", __file__)


@project.dataset(expect=[sp.Unique(columns=("id",)), sp.Between(column="x", low=0, severity=sp.Severity.WARNING)])
def rows() -> pl.DataFrame:
    return pl.DataFrame({"id": [1, 2, 3, 4], "x": [1.0, 2.0, -3.0, 4.0]})


@project.step
def doubled(rows: pl.DataFrame, run: sp.Run, *, factor: float = 2.0) -> pl.DataFrame:
    run.log_metrics({"factor": factor, "odd": float("nan")})
    return rows.with_columns(pl.col("x") * factor)


@project.step
def summed(doubled: pl.DataFrame, run: sp.Run, *, fail: bool = False) -> dict[str, float]:
    if fail:
        raise ZeroDivisionError("on purpose")
    run.log_curve("line", [0, 1], [1, 0], x_label="x", y_label="y")
    return {"sum": doubled["x"].sum()}


@project.step
def modelled(summed: dict[str, float], doubled: pl.DataFrame, run: sp.Run) -> sp.Model:
    def save(path: str) -> None:
        with open(path, "w") as file:
            file.write(str(summed["sum"]))
    model = sp.package_model(save, inputs=sp.model_inputs(doubled, ["x"]), reference=doubled)
    run.register("tiny", model, alias="latest")
    return model


train = project.pipeline("train", [doubled, summed, modelled])
"""

OpenProject = Callable[[], AbstractContextManager[Workspace]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "tiny.py").write_text(PROJECT, encoding="utf-8")
    return folder


@pytest.fixture
def open_project(folder: Path) -> OpenProject:
    """Opens the project as a new process would: its file is read again."""
    return lambda: open_workspace(load_project(folder))


@pytest.fixture
def workspace(open_project: OpenProject) -> Iterator[Workspace]:
    with open_project() as workspace:
        yield workspace
