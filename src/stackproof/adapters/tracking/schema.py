"""The tables of the embedded tracking. SQLite has no NaN: a value that is NULL stands for it."""

from stackproof.store import Schema

TRACKING_SCHEMA = Schema(
    "tracking",
    (
        """
        CREATE TABLE runs (
            number INTEGER PRIMARY KEY,
            id TEXT NOT NULL UNIQUE,
            experiment TEXT NOT NULL,
            name TEXT NOT NULL,
            status TEXT NOT NULL,
            started_at INTEGER NOT NULL,
            ended_at INTEGER
        );
        CREATE INDEX runs_by_experiment ON runs (experiment, number);
        CREATE TABLE run_params (
            run INTEGER NOT NULL REFERENCES runs (number),
            name TEXT NOT NULL,
            value TEXT NOT NULL,
            PRIMARY KEY (run, name)
        ) WITHOUT ROWID;
        CREATE TABLE run_tags (
            run INTEGER NOT NULL REFERENCES runs (number),
            name TEXT NOT NULL,
            value TEXT NOT NULL,
            PRIMARY KEY (run, name)
        ) WITHOUT ROWID;
        CREATE INDEX run_tags_by_value ON run_tags (name, value, run);
        CREATE TABLE metric_series (
            number INTEGER PRIMARY KEY,
            run INTEGER NOT NULL REFERENCES runs (number),
            name TEXT NOT NULL,
            points INTEGER NOT NULL,
            last_step INTEGER NOT NULL,
            last_value REAL,
            UNIQUE (run, name)
        );
        CREATE INDEX metric_series_by_value ON metric_series (name, last_value);
        CREATE TABLE metric_points (
            series INTEGER NOT NULL REFERENCES metric_series (number),
            step INTEGER NOT NULL,
            point INTEGER NOT NULL,
            value REAL,
            at INTEGER NOT NULL,
            PRIMARY KEY (series, step, point)
        ) WITHOUT ROWID;
        CREATE TABLE run_artifacts (
            run INTEGER NOT NULL REFERENCES runs (number),
            name TEXT NOT NULL,
            digest TEXT NOT NULL,
            size INTEGER NOT NULL,
            tree TEXT NOT NULL,
            PRIMARY KEY (run, name)
        ) WITHOUT ROWID;
        CREATE TABLE model_versions (
            name TEXT NOT NULL,
            version INTEGER NOT NULL,
            run_id TEXT NOT NULL,
            digest TEXT NOT NULL,
            created_at INTEGER NOT NULL,
            PRIMARY KEY (name, version),
            UNIQUE (name, digest, run_id)
        ) WITHOUT ROWID;
        CREATE TABLE model_aliases (
            name TEXT NOT NULL,
            alias TEXT NOT NULL,
            version INTEGER NOT NULL,
            PRIMARY KEY (name, alias),
            FOREIGN KEY (name, version) REFERENCES model_versions (name, version)
        ) WITHOUT ROWID;
        """,
    ),
)
