"""What code a run came from: a snapshot of the project's files, its git state, and each step's own digest."""

import ast
import hashlib
import inspect
import json
import re
import shutil
import subprocess
import tempfile
import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

from stackproof.stack.definitions import Dataset, Step
from stackproof.store import Blobs

CODE_SUFFIXES = frozenset({".py", ".toml", ".sql", ".yaml", ".yml", ".cfg", ".ini"})
MAX_FILE_BYTES = 5 * 1024 * 1024
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


@dataclass(frozen=True, slots=True)
class CodeState:
    """The project's code at one time.

    `digest`: of the snapshot of the project folder's code files, always taken. `commit`, `patch`:
    the git commit, and the digest of the uncommitted changes as a patch; None without git, and
    `patch` None when nothing was uncommitted.
    """

    digest: str
    files: int
    commit: str | None
    patch: str | None

    @property
    def id(self) -> str:
        return f"code:{self.digest.removeprefix('sha256:')[:12]}"


def capture_code(folder: Path, blobs: Blobs) -> CodeState:
    """Snapshot the code files below `folder`, with its git state when it is in a repository."""
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "code"
        copy.mkdir()
        for file in code_files(folder):
            target = copy / file.relative_to(folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
        tree = blobs.put_tree(copy)
    commit = _git(folder, "rev-parse", "HEAD")
    changes = _git(folder, "diff", "--binary", "HEAD", "--", ".") if commit else None
    patch = blobs.put_bytes(changes.encode()) if changes else None
    return CodeState(tree.digest, len(tree.files), commit.strip() if commit else None, patch)


def code_files(folder: Path) -> Iterator[Path]:
    """The code files below `folder`, sorted; hidden folders and environments are left out."""
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if any(part.startswith(".") or part in ("__pycache__", "node_modules") for part in parts):
            continue
        is_code = path.suffix in CODE_SUFFIXES and path.is_file() and not path.is_symlink()
        if is_code and path.stat().st_size <= MAX_FILE_BYTES:
            yield path


def _git(folder: Path, *arguments: str) -> str | None:
    git = shutil.which("git")
    if git is None:
        return None
    done = subprocess.run([git, "-C", str(folder), *arguments], capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else None


def function_digest(function: Callable[..., Any], folder: Path) -> str:
    """A digest of what a function does: its own syntax tree, and that of everything of the project that it uses.

    Comments, layout and docstrings don't count. Names are followed through module globals into
    functions, classes and modules whose file lies below `folder`; constants count by value.
    Installed packages don't count here: the environment's digest stands for them.
    """
    seen: dict[str, str] = {}
    _visit(function, folder.resolve(), seen)
    return hashlib.sha256(json.dumps(sorted(seen.items())).encode()).hexdigest()


def _visit(value: Any, folder: Path, seen: dict[str, str]) -> None:
    name = f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', '')}"
    if name in seen or not _is_ours(value, folder):
        return
    seen[name] = _syntax(value)
    for used, found in _used_globals(value):
        if isinstance(found, ModuleType):
            if _is_ours(found, folder):
                seen[found.__name__] = hashlib.sha256(Path(str(found.__file__)).read_bytes()).hexdigest()
        elif isinstance(found, FunctionType | type):
            _visit(found, folder, seen)
        elif isinstance(found, Step | Dataset):
            _visit(found.function, folder, seen)
        else:
            seen[f"{name}:{used}"] = _constant(found)


def _is_ours(value: Any, folder: Path) -> bool:
    try:
        file = inspect.getfile(value)
    except TypeError:
        return False
    return Path(file).resolve().is_relative_to(folder)


def _syntax(value: Any) -> str:
    tree = ast.parse(textwrap.dedent(inspect.getsource(value)))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef) and ast.get_docstring(node):
            node.body = node.body[1:] or [ast.Pass()]
    return ast.dump(tree)


def _used_globals(value: Any) -> Iterator[tuple[str, Any]]:
    functions = [value] if isinstance(value, FunctionType) else vars(value).values()
    for function in functions:
        if isinstance(function, FunctionType):
            for name in sorted(set(_names(function.__code__))):
                if name in function.__globals__:
                    yield name, function.__globals__[name]


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _constant(value: Any) -> str:
    plain = (str, int, float, bool, bytes, tuple, list, dict, frozenset, set, type(None))
    if isinstance(value, set | frozenset):
        return repr(sorted(value, key=repr))
    if isinstance(value, Mapping):
        return repr(sorted(value.items(), key=repr))
    if isinstance(value, plain) or is_dataclass(value):
        return _ADDRESS.sub("", repr(value))
    return type(value).__qualname__
