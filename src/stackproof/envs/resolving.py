"""Ask the resolver whether requirements can be installed together. Nothing is installed."""

import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from stackproof.envs.capture import uv_command
from stackproof.errors import RefusedInput, Unavailable

TIMEOUT_S = 180
UNREACHABLE = re.compile(
    r"failed to (fetch|download)|error sending request|network|dns error|connection|timed? ?out|offline", re.IGNORECASE
)
PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;]+)")
NOISE = re.compile(r"^(×|error:|hint:|╰─▶|│)\s*|\s+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Resolution:
    """`versions`: distribution to version, empty where the requirements can't be met together; `because` says why."""

    versions: dict[str, str]
    because: str = ""

    @property
    def together(self) -> bool:
        return bool(self.versions)


def resolve_together(requirements: Sequence[str], python: str, *, offline: bool = False) -> Resolution:
    """One set of versions for all requirements on one Python version ("3.12").

    The package index is that of the machine's configuration. Raises `Unavailable` when it can't be reached, and
    `RefusedInput` for what is no requirement.
    """
    quiet = os.environ | {"NO_COLOR": "1", "UV_PYTHON_DOWNLOADS": "never", "UV_HTTP_TIMEOUT": "30"}
    command = [
        uv_command(),
        "pip",
        "compile",
        "--quiet",
        "--no-header",
        "--no-annotate",
        "--python-version",
        python,
        "-",
    ]
    command += ["--offline"] if offline else []
    try:
        done = subprocess.run(
            command, input="\n".join(requirements) + "\n", capture_output=True, text=True, timeout=TIMEOUT_S,
            check=False, env=quiet,
        )  # fmt: skip
    except subprocess.TimeoutExpired as late:
        raise Unavailable("The resolver took too long", got=f"more than {TIMEOUT_S} s") from late
    if done.returncode == 0:
        return Resolution({m[1]: m[2] for line in done.stdout.splitlines() if (m := PINNED.match(line))})
    said = _said(done.stderr)
    if "No solution found" in done.stderr or "unsatisfiable" in done.stderr:
        if offline and UNREACHABLE.search(done.stderr):
            raise Unavailable("The resolver needs the package index", got=said)
        return Resolution({}, said)
    if "Couldn't parse requirement" in done.stderr:
        raise RefusedInput("This is no requirement", got=said, allowed="a distribution and its versions: mlflow>=3.18")
    if UNREACHABLE.search(done.stderr):
        raise Unavailable(
            "The package index can't be reached, so nothing can be resolved", got=said, next_command="pip config list"
        )
    return Resolution({}, said)


def _said(text: str) -> str:
    """The resolver's explanation as one line of at most 600 characters."""
    lines = [NOISE.sub(" ", line.strip()).strip() for line in text.splitlines()]
    line = " ".join(part for part in lines if part)
    return line if len(line) <= 600 else line[:597] + "..."
