"""A piece of evidence."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Verified:
    """One piece of the path. `ok`: it is there and its bytes have the recorded digest; or, where `by` names a tool,
    that tool recorded it, and Stackproof can't verify it. `tool`: the one that holds it here, "" for the
    ledger itself. `link`: its page in that tool's own UI, "" or None for none.
    """

    what: str
    id: str
    ok: bool
    detail: str
    by: str = ""
    tool: str = ""
    link: str | None = None
