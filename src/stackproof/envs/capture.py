"""Record the environment that runs: the interpreter, every distribution with its hashes, local code by content."""

import hashlib
import io
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import zipfile
from dataclasses import asdict, dataclass
from importlib.metadata import Distribution, distributions
from pathlib import Path
from urllib.parse import unquote, urlsplit

from stackproof.errors import NotFound, Unavailable
from stackproof.store import Blobs

LOCK_TIMEOUT_S = 60


@dataclass(frozen=True, slots=True)
class LocalCode:
    """A distribution that was installed from a folder: its import package as one archive, named by digest."""

    name: str
    version: str
    archive: str


@dataclass(frozen=True, slots=True)
class Environment:
    """`python`: the interpreter's version. `system`: processor and operating system.

    `lock`: requirement lines with hashes, in pip's format, sorted by name. `hashed`: whether every
    line has hashes (without network and with a cold cache it may not). `local`: what was installed
    from folders.
    """

    python: str
    system: str
    lock: str
    hashed: bool
    local: tuple[LocalCode, ...]

    @property
    def digest(self) -> str:
        return "sha256:" + hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    @property
    def id(self) -> str:
        return f"env:{self.digest.removeprefix('sha256:')[:12]}"


def capture_environment(blobs: Blobs, cache: Path) -> Environment:
    """The environment of this process. `cache` is a folder in which locks are kept by their pins."""
    pins, local = [], []
    for distribution in sorted(distributions(), key=lambda d: d.name.lower()):
        folder = _installed_from(distribution)
        if folder is None:
            pins.append(f"{distribution.name}=={distribution.version}")
        else:
            local.append(LocalCode(distribution.name, distribution.version, _snapshot(distribution, folder, blobs)))
    lock, hashed = _lock(sorted(set(pins)), cache)
    return Environment(
        python=platform.python_version(),
        system=f"{platform.machine()} {platform.system()}",
        lock=lock,
        hashed=hashed,
        local=tuple(local),
    )


def uv_command() -> str:
    """The path of uv, which is a dependency. Raises `Unavailable` when it was removed."""
    beside = Path(sys.executable).with_name("uv")
    found = str(beside) if beside.exists() else shutil.which("uv")
    if found is None:
        raise Unavailable("uv, which makes environments, is missing", next_command="pip install uv")
    return found


def _installed_from(distribution: Distribution) -> Path | None:
    """The folder that a distribution was installed from; None for one from an index."""
    text = distribution.read_text("direct_url.json")
    if text is None:
        return None
    url = urlsplit(json.loads(text)["url"])
    return Path(unquote(url.path)) if url.scheme == "file" else None


def _snapshot(distribution: Distribution, folder: Path, blobs: Blobs) -> str:
    """The distribution's import packages and modules as one archive. Raises `NotFound` when there are none."""
    name = re.sub(r"[-.]+", "_", distribution.name)
    for root in (folder / "src", folder):
        if (root / name).is_dir():
            return blobs.put_bytes(_archive(root, [root / name]))
    for root in (folder / "src", folder):
        packages = [path.parent for path in root.glob("*/__init__.py")] if root.is_dir() else []
        found = sorted([*packages, *root.glob("*.py")])
        if found:
            return blobs.put_bytes(_archive(root, found))
    raise NotFound(
        f"The code of {distribution.name}, which is installed from a folder, cannot be found",
        got=str(folder),
        allowed="import packages in the folder or in its src/",
        next_command=f"pip install --force-reinstall {folder}",
    )


def _archive(root: Path, items: list[Path]) -> bytes:
    """A zip of files and folders whose bytes depend on names and contents only."""
    files = [file for item in items for file in ([item] if item.is_file() else sorted(item.rglob("*")))]
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as packed:
        for file in files:
            if file.is_file() and "__pycache__" not in file.parts:
                entry = zipfile.ZipInfo(file.relative_to(root).as_posix(), date_time=(1980, 1, 1, 0, 0, 0))
                packed.writestr(entry, file.read_bytes())
    return archive.getvalue()


def _lock(pins: list[str], cache: Path) -> tuple[str, bool]:
    """The pins with hashes, asked of the package index or of uv's cache; without, when neither answers."""
    key = hashlib.sha256("\n".join([platform.python_version(), *pins]).encode()).hexdigest()
    kept = cache / f"{key}.txt"
    if kept.exists():
        return kept.read_text(encoding="utf-8"), True
    command = [
        uv_command(), "pip", "compile", "--quiet", "--generate-hashes", "--no-deps", "--no-header",
        "--no-annotate", "--no-emit-index-url", "--python", sys.executable, "-",
    ]  # fmt: skip
    try:
        done = subprocess.run(
            command, input="\n".join(pins), capture_output=True, text=True, timeout=LOCK_TIMEOUT_S,
            check=True, env=os.environ | {"NO_COLOR": "1"},
        )  # fmt: skip
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        return "\n".join(pins) + "\n", False
    cache.mkdir(parents=True, exist_ok=True)
    scratch = kept.with_suffix(f".{os.getpid()}")
    scratch.write_text(done.stdout, encoding="utf-8")
    scratch.replace(kept)
    return done.stdout, True
