"""Which tool holds each piece of a trace, and where its own UI shows it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from stackproof.ledger import Entity
from stackproof.stack.attached import is_attached
from stackproof.stack.live import EMBEDDED
from stackproof.stack.workspace import Workspace
from stackproof.usecases.verified import Verified

HOLDS = {
    "prediction": ("serving", "serve"),
    "deployment": ("serving", "serve"),
    "model version": ("tracking", "registry"),
    "run": ("tracking", "write-runs"),
    "feature view": ("features", "historical"),
    "dataset version": ("versioning", "snapshot"),
    "served from": ("features", "online"),
}
"""What a piece is to the role and capability whose tool holds it."""


def with_tools(workspace: Workspace, pieces: Sequence[Verified], deployment: Entity | None) -> list[Verified]:
    """The pieces, each with the tool that holds it and its page there.

    What another tool recorded stays as it is, and so does what an attached service answered.
    """
    elsewhere = ("prediction", "deployment") if deployment is not None and is_attached(deployment) else ()
    return [piece if piece.by or piece.what in elsewhere else _with_tool(workspace, piece) for piece in pieces]


def _with_tool(workspace: Workspace, piece: Verified) -> Verified:
    if piece.what not in HOLDS:
        return piece
    role, capability = HOLDS[piece.what]
    tool = workspace.live.tool(role, capability)
    if tool == EMBEDDED:
        return replace(piece, tool=tool)
    return replace(piece, tool=tool, link=workspace.live.link(role, capability, piece.id))


def worked_on(workspace: Workspace, run: Entity | None, deployment: str) -> list[Verified]:
    """The tools of other make that ran the run's steps, looked at its data, and watch the deployment."""
    tools: Any = run.attributes.get("tools", {}) if run is not None else {}
    pieces = []
    if run is not None and "orchestration" in tools:
        pieces.append(_worked(workspace, "steps run by", "orchestration", "run", tools["orchestration"], run.id))
    if run is not None and "validation" in tools:
        pieces.append(_worked(workspace, "data checked by", "validation", "validate", tools["validation"], run.id))
    for tool, capability in _watching(workspace).items():
        pieces.append(_worked(workspace, "watched by", "monitoring", capability, tool, deployment))
    return pieces


def _watching(workspace: Workspace) -> dict[str, str]:
    """Tool to a capability of monitoring that it has, for those that are not embedded."""
    found = {workspace.live.tool("monitoring", capability): capability for capability in ("metrics", "drift")}
    return {tool: capability for tool, capability in found.items() if tool != EMBEDDED}


def _worked(workspace: Workspace, what: str, role: str, capability: str, tool: str, identifier: str) -> Verified:
    """The link is there only while the same tool fills the role."""
    same = workspace.live.tool(role, capability) == tool
    link = workspace.live.link(role, capability, identifier) if same else ""
    return Verified(what, identifier, True, tool, tool=tool, link=link)
