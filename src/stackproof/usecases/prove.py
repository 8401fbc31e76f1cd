"""Prove: the same scenario on each candidate of a role, on this machine, side by side."""

import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from stackproof.envs.environments import Environments
from stackproof.envs.locking import Locks
from stackproof.errors import NotFound, RefusedInput
from stackproof.prove.runner import Plan, Proven, run
from stackproof.prove.scenario import Given, Predict
from stackproof.prove.scenarios import make_scenario
from stackproof.prove.verdict import Compared, compare
from stackproof.roles.proof import Conformance, Figure, Proof
from stackproof.stack.live import EMBEDDED
from stackproof.usecases.candidates import Options, Place, bridge_call_ms, candidate, place_of, versions
from stackproof.usecases.conformance import run_suite
from stackproof.usecases.proofs import read_proofs, this_machine, write_proofs

SERVING = "serving"
OF_ANY_ROLE = frozenset({"links"})
"""Capabilities that belong to no role in particular."""
OVER_THE_BRIDGE = (
    "It ran in a process of its own, like every candidate. In a stack it runs in your process: "
    "each call is then quicker by what an empty call over the bridge takes."
)

Told = Callable[[str], None]


def _no_options() -> Mapping[str, Options]:
    return {}


@dataclass(frozen=True, slots=True)
class Request:
    """`options`: tool to the options that stack.toml would hold. `folder`: where the proofs go.

    `conformance`: run the role's suite on each candidate as well, which takes minutes.
    """

    role: str
    tools: tuple[str, ...]
    size: str = "smoke"
    repeats: int = 3
    given: Given = field(default_factory=Given)
    options: Mapping[str, Options] = field(default_factory=_no_options)
    folder: Path = Path("proofs")
    conformance: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """Proofs of one role beside each other, in the order of the candidates. `files`: where they were written."""

    role: str
    proofs: tuple[Proof, ...]
    compared: tuple[Compared, ...]
    files: tuple[Path, ...] = ()

    @property
    def correct(self) -> bool:
        return all(proof.correct for proof in self.proofs)


def prove(
    request: Request, environments: Environments, told: Told = lambda line: None, locks: Locks | None = None
) -> Outcome:
    """Make what is missing, run, and write a proof for each candidate.

    Raises `UnknownName` and `RefusedInput` before anything is made, and as `Environments.ensure` and `write_proofs`.
    A candidate that fails in the scenario is an incorrect one, and no error.
    """
    _check(request)
    given = _with_predict(request.given) if request.role == SERVING else request.given
    scenario = make_scenario(request.role, request.size, given)
    for tool in request.tools:
        candidate(request.role, tool, Place(Path(sys.executable)), request.options.get(tool, {}))
    with ExitStack() as using:
        places: dict[str, Place] = {}
        for tool in request.tools:
            places[tool] = place = place_of(tool, environments, locks)
            if place.handle is not None:
                using.callback(environments.use(place.handle).close)
        folder = Path(using.enter_context(tempfile.TemporaryDirectory(prefix="stackproof-proof-")))
        found = [candidate(request.role, t, places[t], request.options.get(t, {})) for t in request.tools]
        bridge = bridge_call_ms(folder)
        proven = run(scenario, found, Plan(folder, request.repeats), told)
        suites = {t: _suite(request, t, places[t], told) for t in request.tools}
    proofs = [
        _proof(request, scenario.name, one, places[one.candidate.tool], bridge, suites[one.candidate.tool])
        for one in proven
    ]
    files = write_proofs(proofs, request.folder)
    return Outcome(request.role, tuple(proofs), tuple(compare(proofs)), tuple(files))


def report(folder: Path, role: str | None = None) -> list[Outcome]:
    """The newest proof of each tool, beside those of the same role, scenario and machine; by role and scenario.

    Raises `NotFound` when there is none.
    """
    sets: dict[tuple[str, str, str], dict[str, Proof]] = {}
    for proof in sorted(read_proofs(folder), key=lambda proof: proof.at):
        if role is None or proof.role == role:
            where = ", ".join(f"{key} {value}" for key, value in sorted(proof.machine.items()))
            sets.setdefault((proof.role, proof.scenario, where), {})[proof.tool] = proof
    if not sets:
        what = f"no proof of {role}" if role else "no proof"
        command = f"stackproof prove {role or 'tracking'} embedded mlflow"
        raise NotFound(f"There is {what} in this folder", got=str(folder), next_command=command)
    ordered = [(key[0], tuple(one for _, one in sorted(tools.items()))) for key, tools in sorted(sets.items())]
    return [Outcome(role_, proofs, tuple(compare(proofs))) for role_, proofs in ordered]


def _check(request: Request) -> None:
    if not request.tools:
        raise RefusedInput("There is no candidate", next_command=f"stackproof prove {request.role} embedded")
    twice = sorted({tool for tool in request.tools if request.tools.count(tool) > 1})
    if twice:
        raise RefusedInput("A candidate is named twice", got=", ".join(twice))
    if request.repeats < 1:
        raise RefusedInput("A scenario is repeated at least once", got=str(request.repeats))
    unused = sorted(set(request.options) - set(request.tools))
    if unused:
        raise RefusedInput(
            "There are options for no candidate", got=", ".join(unused), allowed=", ".join(request.tools)
        )


def _with_predict(given: Given) -> Given:
    """What the user's own model gives in this process, as the yardstick for what the servers answer."""
    return given if given.model is None else Given(given.data, given.model, _predict(given.model))


def _predict(package: Path) -> Predict:
    import numpy as np

    from stackproof.adapters.serving.trial import load_safely

    (loaded,) = load_safely([package])

    def predict(rows: Sequence[Sequence[float | None]]) -> list[float]:
        matrix = np.array([[np.nan if v is None else v for v in row] for row in rows], dtype=loaded.model.dtype)
        outputs = loaded.model.predict(matrix)
        return [float(value) for value in outputs[loaded.signature.outputs[0].name].reshape(len(rows), -1)[:, 0]]

    return predict


def _proof(
    request: Request, scenario: str, one: Proven, place: Place, bridge: float, suite: Conformance | None
) -> Proof:
    tool, record = one.candidate.tool, one.record
    notes = [OVER_THE_BRIDGE] if tool == EMBEDDED else []
    return Proof(
        role=request.role,
        tool=tool,
        scenario=_named(scenario, request),
        at=one.at,
        machine=this_machine(),
        versions=versions(tool, place, one.version),
        lock_digest=place.lock.digest if place.lock is not None else "",
        correct=record.correct,
        faults=tuple(record.faults),
        figures=(*one.figures(), Figure("bridge_call", "ms", (bridge,))),
        lacking=tuple(sorted(capabilities(request.role) - one.capabilities)) if one.capabilities else (),
        deviations=dict(getattr(_class(request.role, tool), "deviations", {})),
        conformance=suite,
        notes=(*notes, *record.notes),
    )


def _named(scenario: str, request: Request) -> str:
    """With its size and what the user brought: other work is never compared."""
    brought = (request.given.data, request.given.model)
    return ", ".join([scenario, request.size, *(path.name for path in brought if path is not None)])


def _class(role: str, tool: str) -> object:
    from stackproof.adapters import registry

    return registry.load(registry.find(role, tool))


def capabilities(role: str) -> frozenset[str]:
    """All that the role's contract knows, as far as an adapter of ours has it."""
    from stackproof.adapters import registry

    ours = [registry.load(entry).capabilities for entry in registry.ADAPTERS if entry.role == role]
    return frozenset().union(*ours) - OF_ANY_ROLE


def _suite(request: Request, tool: str, place: Place, told: Told) -> Conformance | None:
    if not request.conformance:
        return None
    told(f"{tool}: its conformance suite")
    return run_suite(request.role, tool, place.python, request.options.get(tool, {}))
