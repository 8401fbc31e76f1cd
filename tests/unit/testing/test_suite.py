"""The shipped runner tells what passed, what failed, what is a known deviation and what is lacking."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from stackproof.adapters import registry
from stackproof.errors import Unavailable
from stackproof.usecases.conformance import run_suite

pytestmark = pytest.mark.slow

PYTHON = Path(sys.executable)
FEW = "names_its_tool or closing or links or ctrl_c"


def run(*arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "stackproof.testing.suite", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=variables or None)


def test_a_suite_passes_over_the_bridge_and_what_is_lacking_is_told() -> None:
    found = run_suite("orchestration", "embedded", PYTHON, select=FEW)
    assert (found.passed, dict(found.failed), dict(found.deviating)) == (3, {}, {})
    ((name, why),) = found.lacking.items()
    assert name == "test_it_links_to_nothing_that_it_does_not_hold"
    assert why == "embedded has not the capability 'links'"


def test_options_reach_the_adapter() -> None:
    found = run_suite("orchestration", "embedded", PYTHON, {"no_such_option": 3}, select="names_its_tool")
    assert "no_such_option" in found.failed["test_it_names_its_tool_capabilities_and_options"]


def test_a_tool_that_fails_is_told_by_test_and_reason_and_the_exit_code_is_one() -> None:
    """The do-nothing adapter has none of the methods that it says it has."""
    adapter = "stackproof.prove.nothing:Nothing"
    done = run(
        *("tracking", "nothing", "--adapter", adapter, "--select", "names_its_tool or empty_experiment"),
        *("--format", "json"),
    )
    assert done.returncode == 1, done.stderr
    document = json.loads(done.stdout)
    assert (document["role"], document["tool"], document["passed"]) == ("tracking", "nothing", 1)
    assert len(document["failed"]) == 3
    assert all("has no start_run" in why for why in document["failed"].values())


def test_as_text_every_line_says_what_it_is() -> None:
    done = run("orchestration", "embedded", "--select", "links or closing")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("orchestration.embedded: 1 passed, 0 failed, 0 known deviations, 1 lacking\n")
    assert "  lacks: test_it_links_to_nothing" in done.stdout


def test_a_deviation_that_passes_is_a_failure() -> None:
    """It is on the adapter's class, so that what is told of a tool is what its suite holds it to."""
    code = (
        "from stackproof.adapters.orchestration.embedded import LocalRunner\n"
        "LocalRunner.deviations = {'test_closing_twice_is_harmless': 'so we said'}\n"
        "from stackproof.testing.suite import main\n"
        "raise SystemExit(main(['orchestration', 'embedded', '--select', 'closing', '--format', 'json']))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert "XPASS(strict)" in json.loads(done.stdout)["failed"]["test_closing_twice_is_harmless"]


def test_a_deviation_of_no_test_is_refused() -> None:
    code = (
        "from stackproof.adapters.orchestration.embedded import LocalRunner\n"
        "LocalRunner.deviations = {'test_nothing': 'no such test'}\n"
        "from stackproof.testing.suite import main\n"
        "raise SystemExit(main(['orchestration', 'embedded', '--select', 'closing']))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "The conformance suite could not be run" in done.stderr


def test_where_pytest_is_missing_the_command_that_installs_it_is_told() -> None:
    code = (
        "import sys; sys.modules['pytest'] = None; from stackproof.testing.suite import main; raise SystemExit(main())"
    )
    command = [sys.executable, "-c", code, "orchestration", "embedded"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "needs pytest, which is not installed" in done.stderr
    assert "pip install 'stackproof[embedded,testing]'" in done.stderr


def test_a_role_without_a_suite_or_a_tool_without_an_adapter_is_refused() -> None:
    assert run("tracking", "nonesuch").returncode == 2
    with pytest.raises(Unavailable, match="nonesuch"):
        run_suite("tracking", "nonesuch", PYTHON)


def test_every_deviation_of_every_adapter_has_a_reason() -> None:
    for entry in registry.ADAPTERS:
        deviations: Mapping[str, Any] = getattr(registry.load(entry), "deviations", {})
        assert all(name.startswith("test_") and len(why) > 10 for name, why in deviations.items()), entry
