"""What a process takes while it works: its memory and that of what it started, its disk, the machine's load.

Reads /proc; on a system without it memory and load are not measured.
"""

import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")
EVERY_S = 0.05
BLOCK = 512
"""The unit of `st_blocks`, whatever the file system's own is."""


def family(pid: int) -> list[int]:
    """The process and all that descend from it, as far as they live. Empty where there is no /proc."""
    children: dict[int, list[int]] = {}
    for folder in PROC.glob("[0-9]*"):
        with suppress(OSError, ValueError, IndexError):
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(folder.name))
    found, waiting = [], [pid] if (PROC / str(pid)).exists() else []
    while waiting:
        found.append(waiting.pop())
        waiting += children.get(found[-1], [])
    return found


def memory_bytes(pid: int) -> int:
    """What a process holds of the memory, shared pages divided among those that share them; 0 when it is gone.

    Where that share is not told, all that is resident.
    """
    for name, key in (("smaps_rollup", "Pss:"), ("status", "VmRSS:")):
        with suppress(OSError):
            for line in (PROC / str(pid) / name).read_text().splitlines():
                if line.startswith(key):
                    return int(line.split()[1]) * 1024
    return 0


def disk_bytes(folder: Path) -> int:
    """What a folder takes on the disk, each file once, however many names it has."""
    found = {(s.st_dev, s.st_ino): s.st_blocks * BLOCK for s in _entries(folder)}
    return sum(found.values())


def _entries(folder: Path) -> Iterator[os.stat_result]:
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            with suppress(OSError):
                yield os.lstat(os.path.join(place, name))  # a Path for each of many thousand files is slow


def load() -> float:
    """How many processes ran or waited for a processor, averaged over the last minute."""
    return os.getloadavg()[0]


class MemoryWatch:
    """Looks at the memory of a process and all that descends from it, about twenty times a second.

    A process of its own does the looking: in a thread of this one it would hold up the calls that are being timed.
    """

    def __init__(self, pid: int | None) -> None:
        self._pid = pid
        self._looking: subprocess.Popen[str] | None = None
        self.peak_bytes = 0

    def __enter__(self) -> "MemoryWatch":
        if self._pid is not None:
            command = [sys.executable, "-m", __name__, str(self._pid)]
            self._looking = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            assert self._looking.stdout is not None
            self._looking.stdout.readline()
        return self

    def __exit__(self, *_: object) -> None:
        if self._looking is not None:
            told = self._looking.communicate()[0]
            self.peak_bytes = int(told.split()[-1]) if told.split() else 0


def watch(pid: int, over: Callable[[float], bool]) -> int:
    """The most that the process and what descends from it held, until `over` (given how long to wait) says so.

    Looking takes at most a twentieth of the time. What looks is not counted.
    """
    peak = 0
    while True:
        began = time.perf_counter()
        peak = max(peak, sum(memory_bytes(one) for one in family(pid) if one != os.getpid()))
        if over(max(EVERY_S, 20 * (time.perf_counter() - began))):
            return peak


def main() -> None:
    """Until standard input is closed; then the peak in bytes is printed."""
    sys.stdout.write("looking\n")
    sys.stdout.flush()
    peak = watch(int(sys.argv[1]), lambda wait_s: bool(select.select([sys.stdin], [], [], wait_s)[0]))
    sys.stdout.write(f"{peak}\n")


if __name__ == "__main__":
    main()
