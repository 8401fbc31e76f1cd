"""The embedded parts beside real tools, each in its own environment: the smoke scenarios prove them all correct."""

from pathlib import Path

import pytest

from stackproof.envs.environments import Environments
from stackproof.envs.locking import Locks
from stackproof.usecases.conformance import run_suite
from stackproof.usecases.proofs import read_proofs, this_machine
from stackproof.usecases.prove import Request, prove

pytestmark = pytest.mark.tools

MEASURED = {
    "start_up",
    "first_call",
    "import",
    "peak_memory",
    "disk",
    "load",
    "bridge_call",
    "install_size",
    "recovery",
}


@pytest.mark.parametrize(
    ("role", "tool"),
    [
        ("tracking", "mlflow"),
        ("monitoring", "evidently"),
        ("validation", "great-expectations"),
        ("versioning", "dvc"),
    ],
)
def test_the_embedded_part_and_a_real_tool_are_measured_alike_and_correct(
    tool_environments: Environments, tmp_path: Path, role: str, tool: str
) -> None:
    told: list[str] = []
    request = Request(role, ("embedded", tool), repeats=1, folder=tmp_path / "proofs")
    outcome = prove(request, tool_environments, told.append)
    assert [proof.faults for proof in outcome.proofs] == [(), ()]
    embedded, real = ({figure.name: figure.unit for figure in proof.figures} for proof in outcome.proofs)
    assert embedded.keys() >= MEASURED
    assert real.keys() >= MEASURED | {"install_time"}
    proof = outcome.proofs[1]
    assert proof.lock_digest in {Locks().find(tool, python).digest for python in Locks().pythons(tool)}
    assert proof.versions[tool]
    written = {proof.tool: proof for proof in read_proofs(tmp_path / "proofs", this_machine())}
    assert written == {proof.tool: proof for proof in outcome.proofs}
    turns = [line.partition(":")[0] for line in told]
    assert turns == ["embedded", tool, tool, "embedded", "embedded", tool]


def test_the_suite_of_a_real_tool_tells_its_deviations(tool_environments: Environments) -> None:
    """MLflow keeps an instant to the millisecond; its adapter's class says so."""
    python = Locks().pythons("mlflow")[0]
    handle = tool_environments.ensure(Locks().find("mlflow", python))
    found = run_suite("tracking", "mlflow", handle.python, select="microsecond or names_its_tool")
    assert (found.passed, dict(found.failed)) == (1, {})
    assert list(found.deviating.values()) == ["MLflow keeps an instant to the millisecond"]
