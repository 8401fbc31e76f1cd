"""The record of what happened and of what came from what."""

from stackproof.ledger.ledger import Ledger
from stackproof.ledger.predictions import PredictionStore
from stackproof.ledger.records import JSON, ChainReport, Entity, Kind, Lineage, Link, Relation

__all__ = [
    "JSON",
    "ChainReport",
    "Entity",
    "Kind",
    "Ledger",
    "Lineage",
    "Link",
    "PredictionStore",
    "Relation",
]
