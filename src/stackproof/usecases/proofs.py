"""Proofs as files: what was measured on a machine, one JSON document for each proof.

The format is described in docs/reference/proof-files.md.
"""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from stackproof.errors import RefusedInput
from stackproof.roles.proof import Conformance, Figure, Proof

SCHEMA = 1
_TEXTS: dict[str, Any] = {"type": "array", "items": {"type": "string"}}
_REASONS: dict[str, Any] = {"type": "object", "additionalProperties": {"type": "string"}}
SHAPE: dict[str, Any] = {
    "type": "object",
    "properties": {
        "proof": {"const": SCHEMA},
        "role": {"type": "string", "minLength": 1},
        "tool": {"type": "string", "minLength": 1},
        "scenario": {"type": "string", "minLength": 1},
        "at": {"type": "string", "minLength": 1},
        "machine": {"type": "object", "additionalProperties": {"type": "string"}},
        "versions": {"type": "object", "additionalProperties": {"type": "string"}},
        "lock_digest": {"type": "string"},
        "correct": {"type": "boolean"},
        "faults": _TEXTS,
        "lacking": _TEXTS,
        "deviations": _REASONS,
        "conformance": {
            "type": "object",
            "properties": {
                "passed": {"type": "integer", "minimum": 0},
                "failed": _REASONS,
                "deviating": _REASONS,
                "lacking": _REASONS,
            },
            "required": ["passed", "failed", "deviating", "lacking"],
            "additionalProperties": False,
        },
        "notes": _TEXTS,
        "figures": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "name": {"type": "string", "minLength": 1},
                    "unit": {"type": "string", "minLength": 1},
                    "values": {"type": "array", "items": {"type": "number"}, "minItems": 1},
                },
                "required": ["name", "unit", "values"],
                "additionalProperties": False,
            },
        },
    },
    "required": ["proof", "role", "tool", "scenario", "at", "machine", "versions", "lock_digest", "correct", "figures"],
    "additionalProperties": False,
}


def this_machine() -> dict[str, str]:
    """What identifies the machine that measures: its name, processor, cores and system."""
    return {
        "name": platform.node(),
        "processor": platform.machine(),
        "cores": str(os.cpu_count() or 0),
        "system": platform.system(),
    }


def same_machine(proof: Proof, machine: Mapping[str, str]) -> bool:
    """Whether everything that identifies the machine is the same; what the proof doesn't say is not asked."""
    return all(proof.machine.get(key, value) == value for key, value in machine.items())


def read_proofs(folder: Path, machine: Mapping[str, str] | None = None) -> tuple[Proof, ...]:
    """Every proof in the folder, by file name; with `machine`, only those that were measured on it.

    No folder is no proof. Raises `RefusedInput` with every fault of every file.
    """
    if not folder.is_dir():
        return ()
    found: list[Proof] = []
    faults: list[str] = []
    for file in sorted(folder.glob("*.json")):
        try:
            found.append(parse_proof(json.loads(file.read_text("utf-8")), file.name))
        except (UnicodeDecodeError, json.JSONDecodeError) as error:
            faults.append(f"{file.name}: this is not JSON: {error}")
        except RefusedInput as refused:
            faults += refused.faults
    if faults:
        raise RefusedInput("The proofs have faults", got=str(folder), faults=faults)
    return tuple(proof for proof in found if machine is None or same_machine(proof, machine))


def parse_proof(document: Any, source: str) -> Proof:
    """Raises `RefusedInput` with every fault: file, key, what was given, what is allowed."""
    from stackproof.facts.shape import faults as shape_faults

    faults = shape_faults(document if isinstance(document, dict) else {"": document}, SHAPE, source)
    at = None if faults else _instant(document["at"])
    if not faults and at is None:
        faults = [f"{source}: at: got {document['at']!r}. Allowed: an instant with its zone, 2026-11-21T10:00:00+00:00"]
    if faults or at is None:
        raise RefusedInput("A proof has faults", faults=faults)
    figures = tuple(Figure(one["name"], one["unit"], tuple(map(float, one["values"]))) for one in document["figures"])
    return Proof(
        role=document["role"],
        tool=document["tool"],
        scenario=document["scenario"],
        at=at,
        machine=document["machine"],
        versions=document["versions"],
        lock_digest=document["lock_digest"],
        correct=document["correct"],
        faults=tuple(document.get("faults", ())),
        figures=figures,
        lacking=tuple(document.get("lacking", ())),
        deviations=document.get("deviations", {}),
        conformance=Conformance(**document["conformance"]) if "conformance" in document else None,
        notes=tuple(document.get("notes", ())),
    )


def _instant(text: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at if at.tzinfo is not None else None


def proof_document(proof: Proof) -> dict[str, Any]:
    """The document of a proof, as its file holds it."""
    return {
        "proof": SCHEMA,
        "role": proof.role,
        "tool": proof.tool,
        "scenario": proof.scenario,
        "at": proof.at.isoformat(),
        "machine": dict(proof.machine),
        "versions": dict(proof.versions),
        "lock_digest": proof.lock_digest,
        "correct": proof.correct,
        "faults": list(proof.faults),
        "figures": [{"name": one.name, "unit": one.unit, "values": list(one.values)} for one in proof.figures],
        **_further(proof),
    }


def _further(proof: Proof) -> dict[str, Any]:
    """What a proof need not have: it is left out where there is nothing to say."""
    found: dict[str, Any] = {
        "lacking": list(proof.lacking),
        "deviations": dict(proof.deviations),
        "notes": list(proof.notes),
    }
    if proof.conformance is not None:
        found["conformance"] = {
            "passed": proof.conformance.passed,
            "failed": dict(proof.conformance.failed),
            "deviating": dict(proof.conformance.deviating),
            "lacking": dict(proof.conformance.lacking),
        }
    return {key: value for key, value in found.items() if value}


def write_proofs(proofs: Sequence[Proof], folder: Path) -> list[Path]:
    """One file for each proof, named by role, tool and instant. Raises `StorageFailed` or `StorageFull`."""
    from stackproof.store.files import make_folders, write_durably

    make_folders(folder)
    written = []
    for proof in proofs:
        name = f"{proof.role}-{proof.tool}-{proof.scenario}-{proof.at:%Y%m%dT%H%M%S}.json"
        file = folder / name.replace("/", "-").replace(" ", "-").replace(",", "")
        text = json.dumps(proof_document(proof), indent=2, ensure_ascii=False)
        write_durably(file, f"{text}\n".encode())
        written.append(file)
    return written
