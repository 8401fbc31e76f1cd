"""uv, run as a child that we watch: its messages line by line, its failures as our errors."""

import os
import re
import select
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from stackproof.envs.capture import uv_command
from stackproof.envs.resolving import UNREACHABLE
from stackproof.errors import Corrupted, StackproofError, StorageFull, Unavailable

LIMIT_S = 3600.0
TICK_MS = 250
FULL = re.compile(r"No space left on device|os error (28|122|27)\b|[Qq]uota exceeded|File too large")
NOISE = re.compile(r"^(×|error:|cause:|hint:|╰─▶|├─▶|│)\s*", re.IGNORECASE)
SHOWN = 600

Heard = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Ran:
    """How uv ended. `said`: what it wrote to standard error."""

    code: int
    said: str
    printed: str

    @property
    def good(self) -> bool:
        return self.code == 0


def run_uv(
    arguments: Sequence[str],
    *,
    cwd: Path,
    given: str = "",
    heard: Heard = lambda line: None,
    hold: Sequence[int] = (),
    limit_s: float = LIMIT_S,
) -> Ran:
    """Run uv to its end. It never downloads an interpreter, and reads no project's settings but those above `cwd`.

    `heard` gets each line as it comes, and "" four times a second in between. `hold`: descriptors of locks, which uv
    keeps open, so that a lock lasts as long as uv works even when this process is killed. Raises `Unavailable` when
    uv is missing or takes longer than `limit_s`. Whatever is raised meanwhile ends uv first.
    """
    quiet = {"NO_COLOR": "1", "UV_NO_PROGRESS": "1", "UV_PYTHON_DOWNLOADS": "never", "UV_HTTP_TIMEOUT": "60"}
    process = subprocess.Popen(
        [uv_command(), *arguments],
        stdin=subprocess.PIPE if given else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=cwd,
        pass_fds=tuple(hold),
        env={**quiet, **os.environ, "NO_COLOR": "1", "UV_PYTHON_DOWNLOADS": "never"},
    )
    try:
        said, printed = _listen(process, given.encode(), heard, limit_s)
        return Ran(process.wait(), said, printed)
    finally:
        if process.poll() is None:
            process.kill()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
        process.wait()


def _listen(process: "subprocess.Popen[bytes]", given: bytes, heard: Heard, limit_s: float) -> tuple[str, str]:
    assert process.stdout is not None
    assert process.stderr is not None
    if process.stdin is not None:
        process.stdin.write(given)  # requirements fit into the pipe, so this waits for nobody
        process.stdin.close()
    out, err = process.stdout.fileno(), process.stderr.fileno()
    read = {out: bytearray(), err: bytearray()}
    told, open_ends, until = 0, {out, err}, time.monotonic() + limit_s
    poll = select.poll()
    for end in open_ends:
        poll.register(end, select.POLLIN)
    while open_ends:
        for end, _ in poll.poll(TICK_MS):
            chunk = os.read(end, 65536)
            read[end] += chunk
            if not chunk:
                poll.unregister(end)
                open_ends.discard(end)
        lines = read[err][told:].split(b"\n")
        told += sum(len(line) + 1 for line in lines[:-1])
        for line in lines[:-1] or [bytearray()]:
            heard(line.decode(errors="replace"))
        if time.monotonic() > until:
            raise Unavailable("uv took too long", got=f"more than {limit_s:g} s", next_command="uv cache dir")
    return read[err].decode(errors="replace"), read[out].decode(errors="replace")


def failure(ran: Ran, what: str) -> StackproofError:
    """The error for a failed run. `what`: a sentence without its full stop."""
    said = ended(ran.code) if ran.code < 0 else summary(ran.said) or ended(ran.code)
    if FULL.search(ran.said) or ran.code == -signal.SIGXFSZ:
        return StorageFull(
            f"{what}: there is no room left on the disk",
            got=said,
            allowed="nothing was put in use; the half environment was removed",
            next_command="stackproof envs prune --dry-run",
        )
    if re.search(r"hash mismatch", ran.said, re.IGNORECASE):
        return Corrupted(
            f"{what}: a distribution differs from the digest in its lock",
            got=said,
            allowed="the very files that the lock names",
            next_command="uv cache clean",
        )
    if "network was disabled" in ran.said or UNREACHABLE.search(ran.said):
        return Unavailable(
            f"{what}: the package index can't be reached, and uv's cache does not hold all of it",
            got=said,
            allowed="a network, or a cache filled on a machine that has one (the folder that `uv cache dir` names)",
            next_command="uv cache dir",
        )
    return Unavailable(what, got=said)


def ended(code: int) -> str:
    """How a process ended, in words."""
    return f"exit code {code}" if code >= 0 else f"it was ended by {signal.Signals(-code).name}"


def summary(said: str) -> str:
    """uv's explanation as one line of at most 600 characters, without what it did well before."""
    lines = [line.strip() for line in said.splitlines()]
    first = next((n for n, line in enumerate(lines) if line.lower().startswith(("error", "×"))), 0)
    line = " ".join(NOISE.sub("", part).strip() for part in lines[first:] if part)
    return line if len(line) <= SHOWN else line[: SHOWN - 3] + "..."
