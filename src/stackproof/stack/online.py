"""Feature views made readable for serving."""

from collections.abc import Sequence
from typing import Any

from stackproof.ledger import Entity, Link, Relation
from stackproof.roles.features import FeatureView, Materialization
from stackproof.stack.data import Datasets
from stackproof.stack.pipeline import feature_set_entity
from stackproof.stack.workspace import Workspace
from stackproof.store import new_id


def materialize_views(workspace: Workspace, views: Sequence[FeatureView]) -> list[Materialization]:
    """Bring in the views' sources as they are now and make them readable online."""
    datasets = Datasets(workspace)
    made = []
    for done, view in enumerate(views, start=1):
        source = datasets.bring_in(view.source)
        made.append(materialize_view(workspace, view, source.table, source.version.id))
        workspace.progress("views materialized", done, len(views))
    return made


def materialize_view(workspace: Workspace, view: FeatureView, source: Any, version: str) -> Materialization:
    """Make a view readable online from one version of its source, and record that."""
    online = workspace.live.adapter("features", "online")
    made: Materialization = online.materialize(view, source, version=version)
    definition = feature_set_entity(workspace, view)
    at = workspace.clock()
    entity = Entity(
        new_id("materialization", now=at),
        "materialization",
        at,
        {"view": view.name, "version": version, "rows": made.rows},
    )
    links = (Link(entity.id, Relation.USED, definition.id), Link(entity.id, Relation.DERIVED_FROM, version))
    workspace.ledger.record(definition, entity, *links)
    return made
