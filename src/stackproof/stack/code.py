"""What code a run came from: a snapshot of the project's files, its git state, and each step's own digest."""

import ast
import hashlib
import inspect
import json
import shutil
import subprocess
import tempfile
import textwrap
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from stackproof.stack.definitions import Dataset, Step
from stackproof.store import Blobs

CODE_SUFFIXES = frozenset({".py", ".toml", ".sql", ".yaml", ".yml", ".cfg", ".ini"})
MAX_FILE_BYTES = 5 * 1024 * 1024


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
    patch = blobs.put_bytes(changes) if changes else None
    return CodeState(tree.digest, len(tree.files), commit.decode().strip() if commit else None, patch)


def code_files(folder: Path) -> Iterator[Path]:
    """The code files below `folder`, sorted; hidden folders and environments are left out."""
    environments = {marker.parent for marker in folder.rglob("pyvenv.cfg")}
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if any(part.startswith(".") or part in ("__pycache__", "node_modules") for part in parts):
            continue
        if environments.intersection(path.parents):
            continue
        is_code = path.suffix in CODE_SUFFIXES and path.is_file() and not path.is_symlink()
        if is_code and path.stat().st_size <= MAX_FILE_BYTES:
            yield path


def _git(folder: Path, *arguments: str) -> bytes | None:
    """What git prints; None without git or outside of a repository."""
    git = shutil.which("git")
    if git is None:
        return None
    done = subprocess.run([git, "-C", str(folder), *arguments], capture_output=True, check=False)
    return done.stdout if done.returncode == 0 else None


def step_code_digest(step: Step, declared: Collection[Step | Dataset], folder: Path) -> str:
    """A digest of all code of the project that the step may run.

    That is every Python file below `folder`, without the bodies of the other steps and datasets
    (`declared`), unless what stays names them. Comments, layout and docstrings don't count; installed
    packages don't either, the environment's digest stands for them.
    """
    others = {other.name for other in declared if other.name != step.name}
    trees = {file.relative_to(folder).as_posix(): _syntax(file) for file in code_files(folder) if file.suffix == ".py"}
    own = inspect.getsourcefile(step.function)
    if own is None or not Path(own).resolve().is_relative_to(folder.resolve()):
        trees[step.name] = ast.parse(textwrap.dedent(inspect.getsource(step.function)))
    left_out = others
    while left_out:
        kept = {name: _without(tree, left_out) for name, tree in trees.items()}
        named = {name for tree in kept.values() for name in _called(tree)} & left_out
        if not named:
            break
        left_out = left_out - named
    else:
        kept = trees
    text = json.dumps({name: ast.dump(tree) for name, tree in sorted(kept.items())})
    return hashlib.sha256(text.encode()).hexdigest()


def _syntax(file: Path) -> ast.Module:
    tree = ast.parse(file.read_bytes(), filename=str(file))
    for node in ast.walk(tree):
        is_documented = isinstance(node, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        if is_documented and ast.get_docstring(node, clean=False) is not None:  # type: ignore[arg-type]  # narrowed above
            node.body = node.body[1:] or [ast.Pass()]  # type: ignore[attr-defined]  # narrowed above
    return tree


def _without(tree: ast.Module, names: Collection[str]) -> ast.Module:
    """The module without the top-level functions of these names that a `.step` or `.dataset` decorates."""
    body = [node for node in tree.body if not (_is_declaration(node) and getattr(node, "name", "") in names)]
    return ast.Module(body=body, type_ignores=[])


def _is_declaration(node: ast.stmt) -> bool:
    decorators = getattr(node, "decorator_list", [])
    called = (d.func if isinstance(d, ast.Call) else d for d in decorators)
    return any(isinstance(d, ast.Attribute) and d.attr in ("step", "dataset") for d in called)


def _called(tree: ast.Module) -> Iterator[str]:
    """Global names used inside functions and classes: a list of steps at the top level runs none of them."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            inside = list(ast.walk(node))
            names = [n for n in inside if isinstance(n, ast.Name)]
            local = {n.arg for n in inside if isinstance(n, ast.arg)}
            local |= {n.id for n in names if isinstance(n.ctx, ast.Store)}
            yield from (n.id for n in names if isinstance(n.ctx, ast.Load) and n.id not in local)
