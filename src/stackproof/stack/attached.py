"""Deployments that something else serves: Stackproof reads their predictions, and watches them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stackproof.errors import InvalidTable
from stackproof.ledger import Entity
from stackproof.roles.monitoring import ColumnKind
from stackproof.store.tables import read_table

if TYPE_CHECKING:
    import polars as pl

    from stackproof.roles.serving import LoggedPrediction
    from stackproof.stack.workspace import Workspace

ATTACHED = "attached"
"""The attribute of whatever another tool told of: which tool."""
UNKNOWN_MODEL = "model:unknown"
FIRST_PREDICTIONS = 1000
ENOUGH_TO_KNOW_COLUMNS = 100


@dataclass(frozen=True, slots=True)
class Reference:
    """What an attached deployment is compared with. `position`: predictions up to there are not looked at, because
    the reference is made of them; 0 when it is not.
    """

    table: "pl.DataFrame"
    kinds: Mapping[str, ColumnKind]
    position: int


def is_attached(entity: Entity) -> bool:
    return ATTACHED in entity.attributes


def main_model(deployment: Entity) -> str:
    """The model version that it was attached with; `UNKNOWN_MODEL` when none was named."""
    routes: Any = deployment.attributes["routes"]
    return f"model:{routes[0][0]}@{routes[0][1]}" if routes else UNKNOWN_MODEL


def reference_of(workspace: "Workspace", deployment: Entity) -> Reference | None:
    """None as long as there are too few predictions: the first ones are the reference, or say which of a file's
    columns are inputs. Raises `Corrupted`; `InvalidTable` when file and predictions have no column in common.
    """
    given: Any = deployment.attributes["reference"]
    needed = given.get("first", ENOUGH_TO_KNOW_COLUMNS)
    rows = workspace.ledger.predictions.after(0, deployment=deployment.id, limit=needed)
    if not rows or ("first" in given and len(rows) < needed):
        return None
    seen = _features([prediction for _, prediction in rows])
    table = seen if "first" in given else read_table(workspace.store.blobs.path(given["digest"]))
    columns = [name for name in table.columns if name in seen.columns and name not in given.get("ignore", ())]
    if not columns:
        raise _nothing_in_common(table, seen)
    chosen = table.select(columns)
    return Reference(chosen, _kinds(chosen), rows[-1][0] if "first" in given else 0)


def missing_for_reference(workspace: "Workspace", deployment: Entity) -> str:
    """What `reference_of` waits for, in words."""
    given: Any = deployment.attributes["reference"]
    if "digest" in given:
        return "the first prediction, which says what the inputs are"
    count = workspace.ledger.predictions.count(deployment.id)
    return f"the first {given['first']:,} predictions, which are the reference: {count:,} are there"


def _nothing_in_common(table: "pl.DataFrame", seen: "pl.DataFrame") -> InvalidTable:
    return InvalidTable(
        "The reference and the predictions have no column in common", got=", ".join(table.columns),
        allowed=", ".join(seen.columns) or "predictions with named inputs",
        next_command="stackproof attach service NAME --reference FILE",
    )  # fmt: skip


def _features(predictions: list["LoggedPrediction"]) -> "pl.DataFrame":
    import polars as pl

    names = dict.fromkeys(name for prediction in predictions for name in prediction.features)
    return pl.DataFrame(
        {name: [prediction.features.get(name) for prediction in predictions] for name in names}, strict=False
    )


def _kinds(table: "pl.DataFrame") -> dict[str, ColumnKind]:
    """Numbers are watched as numbers, everything else as categories."""
    return {
        name: ColumnKind.NUMERIC if kind.is_numeric() else ColumnKind.CATEGORICAL for name, kind in table.schema.items()
    }
