"""Build an environment anew from what `capture_environment` recorded."""

import io
import json
import os
import platform
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from stackproof.envs.capture import Environment, LocalCode, uv_command
from stackproof.errors import Unavailable
from stackproof.store import Blobs

BUILD_TIMEOUT_S = 600


def build_environment(environment: Environment, folder: Path, blobs: Blobs) -> Path:
    """Make a virtual environment in `folder` (which must not exist) and return its interpreter.

    Every distribution is checked against its recorded hashes. Raises `Unavailable` when the
    interpreter's version or a distribution can't be had; then nothing is left behind.
    """
    python = folder / "bin" / "python"
    lock = folder.with_suffix(".lock.txt")
    lock.write_text(environment.lock, encoding="utf-8")
    hashes = ["--require-hashes"] if environment.hashed else []
    try:
        _uv("venv", "--quiet", "--no-project", "--python", _interpreter(environment.python), str(folder))
        _uv("pip", "install", "--quiet", "--no-deps", *hashes, "--python", str(python), "-r", str(lock))
        for local in environment.local:
            _place(local, blobs.read(local.archive), python)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    finally:
        lock.unlink(missing_ok=True)
    return python


def _interpreter(version: str) -> str:
    """This process's own interpreter when it has the version, which need not be on any path; else the version."""
    same = platform.python_version() == version
    return (
        str(Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}")
        if same
        else version
    )


def _place(local: LocalCode, archive: bytes, python: Path) -> None:
    """Put a local distribution's code in a folder of its own, and that on the environment's path."""
    (site,) = (python.parent.parent / "lib").glob("python*/site-packages")
    folder = python.parent.parent / "local" / local.name
    with zipfile.ZipFile(io.BytesIO(archive)) as packed:
        packed.extractall(folder)
    (site / f"_local_{local.name}.pth").write_text(f"{folder}\n")
    information = site / f"{local.name.replace('-', '_')}-{local.version}.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {local.name}\nVersion: {local.version}\n")
    (information / "RECORD").write_text("")
    (information / "direct_url.json").write_text(json.dumps({"url": folder.as_uri(), "dir_info": {"editable": True}}))


def _uv(*arguments: str) -> None:
    quiet = os.environ | {"NO_COLOR": "1", "UV_PYTHON_DOWNLOADS": "never"}
    command = [uv_command(), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=BUILD_TIMEOUT_S, check=False, env=quiet)
    except subprocess.TimeoutExpired as late:
        raise Unavailable("Building an environment took too long", got=f"more than {BUILD_TIMEOUT_S} s") from late
    if done.returncode != 0:
        raise Unavailable(
            "An environment could not be built from its lock",
            got=done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"exit code {done.returncode}",
            allowed="the same Python version, and distributions that the package index or uv's cache still has",
            next_command="uv python list",
        )
