"""Threads that run what comes over the bridge. A job never waits for a thread: there is always one more."""

import threading
from collections.abc import Callable
from queue import SimpleQueue

Rest = Callable[[], None]
Job = Callable[[], Rest | None]
"""What a job returns is done once its thread counts as free: the answer that it sends may bring the next job."""


class Workers:
    """Idle threads are used again. They are daemons: a job that never ends keeps no process alive.

    `here`: a thread will come to `work_here`; what is submitted before it is there waits for it.
    """

    def __init__(self, name: str, *, here: bool = False) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._idle = 0
        self._here: SimpleQueue[Job | None] = SimpleQueue()
        self._here_idle = here
        self._ended = False

    def submit(self, job: Job) -> None:
        """Run it: in the thread that is in `work_here` when that is free, else in one of our own."""
        with self._lock:
            if self._here_idle:
                self._here_idle = False
                self._here.put(job)
                return
            if self._idle == 0:
                threading.Thread(target=self._work, name=self._name, daemon=True).start()
            else:
                self._idle -= 1
            self._jobs.put(job)

    def work_here(self) -> None:
        """Run jobs in the calling thread until `end`. Libraries that set signal handlers need the main thread."""
        while (job := self._here.get()) is not None:
            rest = job()
            with self._lock:
                self._here_idle = True
            if rest is not None:
                rest()
            del job, rest

    def end(self) -> None:
        """The threads that are idle end; the others end after their job."""
        with self._lock:
            self._here.put(None)
            self._ended = True
            for _ in range(self._idle):
                self._jobs.put(None)
            self._idle = 0

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            rest = job()
            with self._lock:
                ended = self._ended
                self._idle += not ended
            if rest is not None:
                rest()
            if ended:
                return
            del job, rest
