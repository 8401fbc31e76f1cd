"""The tables of the ledger.

Every row of records, predictions and outcomes has a number, counted from 1 without holes. A batch covers a
range of numbers of one kind, and its digest covers the content of these rows and the batch before it.
Rows are only ever added.
"""

from stackproof.store import Schema

LEDGER_SCHEMA = Schema(
    "ledger",
    (
        """
        CREATE TABLE ledger_batches (
            number INTEGER PRIMARY KEY,
            kind TEXT NOT NULL,
            at INTEGER NOT NULL,
            first INTEGER NOT NULL,
            count INTEGER NOT NULL,
            content TEXT NOT NULL,
            digest TEXT NOT NULL
        );
        CREATE TABLE ledger_entities (
            number INTEGER PRIMARY KEY,
            id TEXT NOT NULL UNIQUE,
            kind TEXT NOT NULL,
            at INTEGER NOT NULL
        );
        CREATE INDEX ledger_entities_by_kind ON ledger_entities (kind, number);
        CREATE TABLE ledger_attributes (
            number INTEGER PRIMARY KEY,
            entity TEXT NOT NULL REFERENCES ledger_entities (id),
            key TEXT NOT NULL,
            value TEXT NOT NULL,
            UNIQUE (entity, key)
        );
        CREATE TABLE ledger_links (
            number INTEGER PRIMARY KEY,
            source TEXT NOT NULL,
            relation TEXT NOT NULL,
            target TEXT NOT NULL,
            UNIQUE (source, target, relation)
        );
        CREATE INDEX ledger_links_by_target ON ledger_links (target, number);
        CREATE TABLE ledger_predictions (
            number INTEGER PRIMARY KEY,
            id TEXT NOT NULL UNIQUE,
            deployment TEXT NOT NULL,
            deployment_name TEXT NOT NULL,
            at INTEGER NOT NULL,
            body TEXT NOT NULL
        );
        CREATE INDEX ledger_predictions_by_name ON ledger_predictions (deployment_name, number);
        CREATE TABLE ledger_outcomes (
            number INTEGER PRIMARY KEY,
            prediction TEXT NOT NULL UNIQUE REFERENCES ledger_predictions (id),
            value REAL,
            at INTEGER NOT NULL
        );
        """,
    ),
)
