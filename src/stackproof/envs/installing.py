"""Fill a folder with a tool's environment: an interpreter, the lock's distributions, and proof that they import."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from stackproof.envs.locking import Lock
from stackproof.envs.uv import Heard, ended, failure, run_uv
from stackproof.errors import RefusedInput, StackproofError, StorageFull
from stackproof.store.failures import write_errors

IMPORTING_S = 300.0
TICK_S = 0.5
REQUIREMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9.!+_-]+(\s+--hash=sha256:[0-9a-f]{64})+\s*")
DOWNLOADING = re.compile(r"^\s*Downloading (\S+) \(([\d.]+)(KiB|MiB|GiB)\)")
DOWNLOADED = re.compile(r"^\s*Downloaded (\S+)")
MEGABYTES = {"KiB": 1024 / 1e6, "MiB": 1024**2 / 1e6, "GiB": 1024**3 / 1e6}
TRIES_IMPORTS = """
import importlib, sys
for name in sys.argv[1:]:
    print(name, flush=True)
    importlib.import_module(name)
"""


@dataclass(frozen=True, slots=True)
class Step:
    """How far an environment is. `doing`: "downloading", "installing" or "importing".

    `packages` of `of` are installed; `megabytes` of `of_megabytes` known so far are downloaded (0 of 0 when uv's
    cache has it all); `seconds` since the start.
    """

    tool: str
    doing: str
    packages: int
    of: int
    megabytes: float
    of_megabytes: float
    seconds: float


Stepped = Callable[[Step], None]


@dataclass(frozen=True, slots=True)
class Installed:
    """`cached`: the network was not needed. `megabytes`: what was downloaded, of files above 1 MB."""

    seconds: float
    cached: bool
    megabytes: float


def install(lock: Lock, interpreter: Path, folder: Path, *, hold: Sequence[int], stepped: Stepped) -> Installed:
    """Make the environment in `folder`, which must not exist, and import the tool in it.

    uv's cache alone is tried first; the network only for what is missing there. Every file is held against its
    digest. Raises `StorageFull`, `Corrupted` for a wrong digest, `RefusedInput` for a text that is no lock or a tool
    that does not import, `Unavailable` for the rest. Leaves the folder as it is then: its caller removes it.
    """
    _check(lock)
    watch = _Watch(lock, folder, stepped)
    what = f"The environment of {lock.tool} could not be made"
    made = run_uv(
        ["venv", "--quiet", "--no-project", "--no-config", "--relocatable", "--python", str(interpreter), str(folder)],
        cwd=folder.parent,
        hold=hold,
    )
    if not made.good:
        raise failure(made, what)
    cached = _fill(lock, folder, hold, watch.heard, what)
    watch.doing = "importing"
    try_imports(lock, folder, waiting=watch.tell)
    return Installed(time.monotonic() - watch.started, cached, watch.downloaded)


def _fill(lock: Lock, folder: Path, hold: Sequence[int], heard: Heard, what: str) -> bool:
    """Install the lock's distributions; whether uv's cache was enough."""
    requirements = folder / "stackproof-lock.txt"
    with write_errors(requirements):
        requirements.write_text(lock.text, encoding="utf-8")
    command = ["pip", "install", "--no-deps", "--require-hashes", "--python", str(folder / "bin" / "python")]
    command += ["-r", str(requirements)]
    ran = run_uv([*command, "--offline"], cwd=folder.parent, hold=hold, heard=heard)
    if ran.good:
        return True
    if not isinstance(failure(ran, what), StorageFull):
        ran = run_uv(command, cwd=folder.parent, hold=hold, heard=heard)
    if not ran.good:
        raise failure(ran, what)
    return False


def _check(lock: Lock) -> None:
    """Nothing but pinned distributions with digests: no option, no address, no file."""
    lines = lock.text.replace("\\\n", " ").splitlines()
    wrong = [line.strip() for line in lines if not REQUIREMENT.fullmatch(line)]
    if wrong or not lines:
        raise RefusedInput(
            f"The lock of {lock.tool} is no lock",
            got=repr(wrong[0][:80]) if wrong else "an empty file",
            allowed="lines like six==1.17.0 --hash=sha256:…",
            next_command=f"stackproof apply --upgrade {lock.tool}",
        )


def try_imports(
    lock: Lock, folder: Path, limit_s: float = IMPORTING_S, waiting: Callable[[], None] = lambda: None
) -> None:
    """Import what the lock says must import, in a child with a home of its own. `waiting` is called meanwhile.

    Raises `RefusedInput` that names the module and its error: a set of versions that resolves need not work.
    """
    home = folder.with_name(f"{folder.name}.home")
    home.mkdir(exist_ok=True)
    quiet = {"HOME": str(home), "DO_NOT_TRACK": "1", "TMPDIR": str(home)}
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "XDG_"))}
    process = subprocess.Popen(
        [str(folder / "bin" / "python"), "-P", "-s", "-c", TRIES_IMPORTS, *lock.imports],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=home,
        env=ours | quiet,
        start_new_session=True,
        text=True,
        errors="replace",
    )
    try:
        printed, said = _communicate(process, limit_s, waiting)
        why = said.strip().splitlines()[-1:] or [ended(process.returncode)]
    except subprocess.TimeoutExpired:
        printed, why = "", [f"it took longer than {limit_s:g} s"]
    finally:
        _end_group(process)
    if process.returncode != 0:
        names = [line for line in printed.splitlines() if line in lock.imports]
        raise _no_import(lock, names[-1] if names else ", ".join(lock.imports), why[0])


def _communicate(process: "subprocess.Popen[str]", limit_s: float, waiting: Callable[[], None]) -> tuple[str, str]:
    until = time.monotonic() + limit_s
    while True:
        waiting()
        try:
            return process.communicate(timeout=min(TICK_S, limit_s))
        except subprocess.TimeoutExpired:
            if time.monotonic() > until:
                raise


def _no_import(lock: Lock, module: str, why: str) -> StackproofError:
    if "No space left on device" in why:
        return StorageFull(f"There is no room left to import {module}", got=why, next_command="df -h")
    return RefusedInput(
        f"{lock.tool} was installed from its lock, and its module {module!r} cannot be imported",
        got=why,
        allowed="nothing was put in use; another lock may do",
        next_command=f"stackproof apply --upgrade {lock.tool}",
    )


def _end_group(process: "subprocess.Popen[str]") -> None:
    """The child and whatever the import started."""
    with suppress(ProcessLookupError, PermissionError):  # none of it is left
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


def answers(python: Path, limit_s: float = 20.0) -> str:
    """The version that an interpreter says it is, "3.12.1"; "" when it does not run."""
    code = "import sys; print('%d.%d.%d' % sys.version_info[:3])"
    command = [str(python), "-I", "-S", "-c", code]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit_s, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def site_packages(folder: Path) -> Path | None:
    """Where an environment keeps its distributions; None where there is no such folder."""
    return next(folder.glob("lib/python3.*/site-packages"), None)


class _Watch:
    """Counts what uv says, and the distributions in place."""

    def __init__(self, lock: Lock, folder: Path, stepped: Stepped) -> None:
        self.started = time.monotonic()
        self.doing = "installing"
        self._lock, self._folder, self._stepped = lock, folder, stepped
        self._sizes: dict[str, float] = {}
        self._done: set[str] = set()

    @property
    def downloaded(self) -> float:
        return sum(self._sizes.get(name, 0.0) for name in self._done)

    def heard(self, line: str) -> None:
        if (found := DOWNLOADING.match(line)) is not None:
            self.doing = "downloading"
            self._sizes[found[1]] = float(found[2]) * MEGABYTES[found[3]]
        elif (done := DOWNLOADED.match(line)) is not None:
            self._done.add(done[1])
        elif line.startswith("Prepared"):
            self.doing = "installing"
        self.tell()

    def tell(self) -> None:
        site = site_packages(self._folder)
        packages = sum(1 for _ in site.glob("*.dist-info")) if site is not None else 0
        total = sum(self._sizes.values())
        seconds = time.monotonic() - self.started
        step = Step(self._lock.tool, self.doing, packages, len(self._lock.pins), self.downloaded, total, seconds)
        self._stepped(step)


def silent(step: Step) -> None:
    """For callers that show nothing."""


def in_words(step: Step) -> str:
    """One line for a person."""
    amount = f", {step.megabytes:.0f} of {step.of_megabytes:.0f} MB" if step.of_megabytes else ""
    return f"{step.tool}: {step.doing}, {step.packages} of {step.of} packages{amount}, {step.seconds:.0f} s"
