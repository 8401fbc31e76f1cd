"""Candidates in this process. Their `kill` only cuts them off: what they hold in memory is what a kill would lose."""

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stackproof.errors import Unavailable
from stackproof.prove.candidate import Candidate
from stackproof.prove.runner import Plan, Proven, run
from stackproof.prove.scenario import Given
from stackproof.prove.scenarios import make_scenario
from stackproof.roles.adapter import Setting


class Mortal:
    """The adapter's methods, until it is dead."""

    def __init__(self, adapter: Any) -> None:
        self.__dict__["alive"] = threading.Event()
        self.__dict__["adapter"] = adapter
        self.alive.set()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.adapter, name)
        if not callable(found):
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            if not self.alive.is_set():
                raise Unavailable("it was killed")
            found_now = found(*args, **kwargs)
            if not self.alive.is_set():
                raise Unavailable("it was killed")
            return found_now

        return call


class InProcess:
    """A `Running` without a process."""

    def __init__(self, adapter: Any) -> None:
        self.adapter = Mortal(adapter)
        self._inner = adapter

    @property
    def pid(self) -> int:
        return os.getpid()

    def stop(self) -> None:
        self._inner.close()

    def kill(self) -> None:
        self.adapter.alive.clear()
        self._inner.close()

    def close(self) -> None:
        self._inner.close()


@pytest.fixture
def proved(tmp_path: Path) -> Callable[..., Proven]:
    """What the smoke scenario of a role says of an adapter's class, in one round and a crash."""

    def prove(role: str, adapter: Any, *, given: Given | None = None, crash: bool = True) -> Proven:
        candidate = Candidate("candidate", lambda home: InProcess(adapter(Setting(home=home))))
        scenario = make_scenario(role, "smoke", given or Given())
        (found,) = run(scenario, [candidate], Plan(tmp_path / "proof", repeats=1, warm_up=0, crash=crash))
        return found

    return prove
