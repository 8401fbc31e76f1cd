"""A role's conformance suite on one adapter, over the bridge, in the interpreter of the tool's own environment.

    python -m stackproof.testing.suite ROLE TOOL --python INTERPRETER [--option NAME=VALUE] [--format json]

Exit code 0 when every test passed that has to, 1 when one failed, 2 when the suite can't be run.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stackproof.adapters import registry
from stackproof.errors import NotFound, RefusedInput, StackproofError, UnknownName

if TYPE_CHECKING:
    import pytest

SUITES = {
    "tracking": "stackproof.testing.tracking:TrackingConformance",
    "features": "stackproof.testing.features:FeaturesConformance",
    "serving": "stackproof.testing.serving:ServingConformance",
    "orchestration": "stackproof.testing.orchestration:OrchestrationConformance",
    "tuning": "stackproof.testing.tuning:TuningConformance",
    "monitoring": "stackproof.testing.monitoring:MonitoringConformance",
    "validation": "stackproof.testing.validation:ValidationConformance",
    "versioning": "stackproof.testing.versioning:VersioningConformance",
    "automl": "stackproof.testing.automl:AutoMLConformance",
}
NEEDED = ("pytest", "polars")
EXIT_FAILED, EXIT_REFUSED = 1, 2
LONGEST_REASON = 500

OF_THE_BRIDGE = {
    "monitoring": {
        "test_an_alert_reaches_the_console_a_file_and_a_webhook": "the console of a child is not the user's: "
        "what it prints is kept for its log"
    }
}
"""What no adapter can do behind the bridge."""

TEST = """
from pathlib import Path

from stackproof.envs.bridge.bridging import bridged
from stackproof.roles.adapter import Setting
from {module} import {suite}

MAKE = {make!r}


class TestAdapter({suite}):
    deviations = {deviations!r}

    def make(self, home):
        return eval(MAKE, globals() | {{"HOME": str(home)}})

    def make_elsewhere(self, adapter, home):
        head = "from stackproof.envs.bridge.bridging import bridged" + chr(10)
        return head + "adapter = " + MAKE.replace("HOME", repr(str(home)))
"""


@dataclass(slots=True)
class Result:
    """`failed`, `deviating` and `lacking`: test to reason. Deviations are expected failures that did fail."""

    role: str
    tool: str
    passed: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    deviating: dict[str, str] = field(default_factory=dict)
    lacking: dict[str, str] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """A suite in which nothing ran has shown nothing."""
        return self.passed > 0 and not self.failed


class Reports:
    """A pytest plugin that counts."""

    def __init__(self, result: Result) -> None:
        self._result = result

    def pytest_runtest_logreport(self, report: "pytest.TestReport") -> None:
        name = report.nodeid.rpartition("::")[2]
        if report.outcome == "passed":
            self._result.passed += report.when == "call"
        elif report.outcome == "skipped" and hasattr(report, "wasxfail"):
            self._result.deviating[name] = report.wasxfail.removeprefix("reason: ")
        elif report.outcome == "skipped":
            self._result.lacking[name] = _why_skipped(report)
        else:
            self._result.failed[name] = _why_failed(report)


def run(role: str, tool: str, adapter: str, python: Path, options: Mapping[str, Any], select: str = "") -> Result:
    """Run the suite. `adapter`: "module:Class". `select`: which tests, as pytest's -k has it; all when empty.

    Raises `UnknownName` for a role without a suite, `NotFound` when what the suite needs is not installed,
    `RefusedInput` when pytest refuses it: a deviation names no test, or nothing is left to run.
    """
    if role not in SUITES:
        raise UnknownName("conformance suite", role, SUITES)
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise NotFound(
            f"The conformance suite needs {', '.join(missing)}, which is not installed",
            next_command="pip install 'stackproof[embedded,testing]'",
        )
    result = Result(role, tool)
    with tempfile.TemporaryDirectory(prefix="stackproof-suite-") as name:
        folder = Path(name)
        (folder / "test_adapter.py").write_text(_test(role, tool, adapter, python, options), encoding="utf-8")
        (folder / "pytest.ini").write_text("[pytest]\nmarkers =\n    slow: takes long\n", encoding="utf-8")
        _run_pytest(folder, result, select)
    return result


def _test(role: str, tool: str, adapter: str, python: Path, options: Mapping[str, Any]) -> str:
    module, _, suite = SUITES[role].partition(":")
    own = getattr(registry.load(registry.Entry(role, tool, adapter, "")), "deviations", {})
    make = (
        f"bridged({role!r}, {tool!r}, adapter={adapter!r}, python=Path({str(python.absolute())!r}), "
        f"setting=Setting(Path(HOME), {dict(options)!r}))"
    )
    return TEST.format(module=module, suite=suite, make=make, deviations={**OF_THE_BRIDGE.get(role, {}), **own})


def _run_pytest(folder: Path, result: Result, select: str) -> None:
    import pytest

    given = [str(folder), f"--rootdir={folder}", f"-c={folder / 'pytest.ini'}", "-p", "no:cacheprovider"]
    given += ["--import-mode=importlib", "-q", *(["-k", select] if select else [])]
    with redirect_stdout(sys.stderr):
        code = pytest.main([*given, f"--basetemp={folder / 'tmp'}"], plugins=[Reports(result)])
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        raise RefusedInput("The conformance suite could not be run", got=f"pytest: {pytest.ExitCode(code).name}")


def _why_skipped(report: "pytest.TestReport") -> str:
    said = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return said.removeprefix("Skipped: ")


def _why_failed(report: "pytest.TestReport") -> str:
    """What the assertion or the error said, on one line."""
    lines = [line[1:].strip() for line in report.longreprtext.splitlines() if line.startswith("E ")]
    said = lines[0] if lines else (report.longreprtext.strip().splitlines() or ["no reason was given"])[-1]
    where = "" if report.when == "call" else f"in its {report.when}: "
    return f"{where}{said}"[:LONGEST_REASON]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m stackproof.testing.suite", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("role")
    parser.add_argument("tool")
    parser.add_argument("--python", type=Path, default=Path(sys.executable), help="the interpreter to run it in")
    parser.add_argument("--adapter", default="", metavar="MODULE:CLASS", help="of an adapter that is not registered")
    parser.add_argument("--option", action="append", default=[], metavar="NAME=VALUE", help="as stack.toml has it")
    parser.add_argument("--select", default="", metavar="EXPRESSION", help="which tests, as pytest's -k")
    parser.add_argument("--format", choices=["text", "json"], default="text")
    given = parser.parse_args(arguments)
    try:
        adapter = given.adapter or registry.find(given.role, given.tool).path
        result = run(given.role, given.tool, adapter, given.python, _options(given.option), given.select)
    except StackproofError as error:
        sys.stderr.write(f"Error: {error}\n")
        return EXIT_REFUSED
    sys.stdout.write(json.dumps(asdict(result), indent=1) + "\n" if given.format == "json" else _said(result))
    return 0 if result.ok else EXIT_FAILED


def _options(given: Sequence[str]) -> dict[str, Any]:
    """Numbers, true and false as such, as TOML reads them; anything else is text."""
    found: dict[str, Any] = {}
    for pair in given:
        name, equals, value = pair.partition("=")
        if not equals:
            raise RefusedInput("An option has no value", got=pair, allowed="NAME=VALUE")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found


def _said(result: Result) -> str:
    counted = (
        f"{result.role}.{result.tool}: {result.passed} passed, {len(result.failed)} failed, "
        f"{len(result.deviating)} known deviations, {len(result.lacking)} lacking"
    )
    parts = (("failed", result.failed), ("deviates", result.deviating), ("lacks", result.lacking))
    return (
        "\n".join([counted, *(f"  {word}: {name}: {why}" for word, found in parts for name, why in found.items())])
        + "\n"
    )


if __name__ == "__main__":
    sys.exit(main())
