"""The conformance suite of a role on a tool's adapter, run in a process of its own: it needs pytest, we don't."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stackproof.adapters import registry
from stackproof.envs.environments import EnvironmentHandle
from stackproof.errors import NotFound, Unavailable
from stackproof.roles.proof import Conformance
from stackproof.usecases.environments import Check, CheckResult

LIMIT_S = 7_200.0
EXIT_REFUSED = 2


def run_suite(
    role: str, tool: str, python: Path, options: Mapping[str, Any] | None = None, select: str = ""
) -> Conformance:
    """Run the role's suite over the bridge, the adapter in that interpreter. `select`: as pytest's -k has it.

    Raises `NotFound` when what the suite needs is not installed, `Unavailable` when it gave no result.
    """
    given = [part for name, value in (options or {}).items() for part in ("--option", f"{name}={_text(value)}")]
    command = [sys.executable, "-m", "stackproof.testing.suite", role, tool, "--python", str(python), *given]
    if select:
        command += ["--select", select]
    command += ["--format", "json"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    except subprocess.TimeoutExpired as late:
        raise Unavailable(
            f"The conformance suite of {role} did not end on {tool}", got=f"more than {LIMIT_S:g} s"
        ) from late
    if done.returncode == EXIT_REFUSED:
        what = (done.stderr.strip().splitlines() or ["Error: it said nothing"])[-1].removeprefix("Error: ")
        if "is not installed" in what:
            raise NotFound(
                f"The conformance suite of {role} can't be run here",
                got=what.partition(". Next:")[0],
                next_command="pip install 'stackproof[embedded,testing]'",
            )
        raise Unavailable(f"The conformance suite of {role} can't be run on {tool}", got=what)
    return _parsed(role, tool, done)


def _parsed(role: str, tool: str, done: "subprocess.CompletedProcess[str]") -> Conformance:
    try:
        document = json.loads(done.stdout)
        return Conformance(*(document[key] for key in ("passed", "failed", "deviating", "lacking")))
    except (ValueError, KeyError, TypeError):
        last = (done.stderr.strip().splitlines() or ["it printed nothing"])[-1]
        raise Unavailable(f"The conformance suite of {role} gave no result for {tool}", got=last) from None


def check_of(tool: str) -> Check:
    """For `environments.upgrade`: the suite of every role that the tool fills must pass in the new environment."""

    def check(handle: EnvironmentHandle) -> CheckResult:
        passed, failed = 0, []
        for entry in registry.entries():
            if entry.tool == tool:
                found = run_suite(entry.role, tool, handle.python)
                passed += found.passed
                failed += [f"{entry.role}: {name}: {why}" for name, why in found.failed.items()]
        return CheckResult(passed, tuple(failed))

    return check


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
