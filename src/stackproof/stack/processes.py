"""Which process runs something, so that it can be told later whether it is gone."""

import os
import platform
from pathlib import Path


def this_process() -> str:
    """Host, process id and start time of this process, as one text."""
    return f"{platform.node()}|{os.getpid()}|{_started(os.getpid())}"


def is_gone(process: str) -> bool:
    """Whether that process has ended. One of another host is never called gone: it can't be seen from here."""
    host, pid, started = process.split("|")
    if host != platform.node():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return _started(int(pid)) != started


def _started(pid: int) -> str:
    """The process's start time in clock ticks since boot, "" where the system does not tell."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    return status.rpartition(")")[2].split()[19]
