"""The contracts of the nine roles. Standard library only, so that any tool's environment can host them."""

ROLES = (
    "tracking",
    "features",
    "serving",
    "orchestration",
    "tuning",
    "monitoring",
    "validation",
    "versioning",
    "automl",
)
"""The nine roles, in the order in which they are shown."""
