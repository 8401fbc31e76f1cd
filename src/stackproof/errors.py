"""The errors that Stackproof raises.

    StackproofError
    ├── RefusedInput            what the caller gave is wrong; nothing was changed
    │   ├── UnknownName         a name that is none of the allowed ones
    │   └── InvalidTable        a table without a needed column, with a wrong type or no rows
    ├── NotFound                a well-formed name that names nothing
    ├── Conflict                the thing exists already, or is in a state that forbids this
    ├── NotCapable              the tool in this role has not the capability asked for
    ├── Corrupted               stored bytes differ from their digest, or a chain is broken
    ├── StorageFailed           a write did not become durable; writing has stopped
    │   └── StorageFull         ... because the disk is full
    ├── Unavailable             worth trying again: a server that does not answer, a port in use
    └── StepFailed              code of the user raised

Each message has four parts: what happened, the value got, what is allowed, the next command to run.
Exit codes and HTTP statuses are chosen in `cli/` and `web/`.
"""

import errno
from collections.abc import Iterable, Sequence
from difflib import get_close_matches


class StackproofError(Exception):
    """Base of every error raised on purpose.

    `what` is a full sentence without its full stop. `got` and `allowed` are shown when given.
    `next_command` is a command that the reader can paste.
    """

    def __init__(
        self,
        what: str,
        *,
        got: object | None = None,
        allowed: str | None = None,
        next_command: str | None = None,
    ) -> None:
        self.what = what
        self.got = got
        self.allowed = allowed
        self.next_command = next_command
        super().__init__(str(self))

    def __str__(self) -> str:
        parts = [ended(self.what)]
        if self.got is not None:
            parts.append(ended(f"Got: {self.got}"))
        if self.allowed is not None:
            parts.append(ended(f"Allowed: {self.allowed}"))
        if self.next_command is not None:
            parts.append(f"Next: {self.next_command}")
        return " ".join(parts)

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), dict(self.__dict__))


def _rebuild(kind: type[StackproofError], state: dict[str, object]) -> StackproofError:
    error = kind.__new__(kind)
    error.__dict__.update(state)
    error.args = (str(error),)
    return error


class RefusedInput(StackproofError):
    """The input is wrong; nothing was changed. `faults` holds one line for each fault found."""

    def __init__(
        self,
        what: str,
        *,
        faults: Sequence[str] = (),
        got: object | None = None,
        allowed: str | None = None,
        next_command: str | None = None,
    ) -> None:
        self.faults = tuple(faults)
        super().__init__(what, got=got, allowed=allowed, next_command=next_command)

    def __str__(self) -> str:
        lines = "".join(f"\n  - {fault}" for fault in self.faults)
        return super().__str__() + lines


class UnknownName(RefusedInput):
    """A name that is none of the allowed ones; the message says which one was probably meant."""

    def __init__(self, kind: str, name: str, names: Iterable[str], *, next_command: str | None = None) -> None:
        known = sorted(names)
        super().__init__(
            f"There is no {kind} named {name!r}{did_you_mean(name, known)}",
            allowed=", ".join(known) or "none is defined",
            next_command=next_command,
        )


class InvalidTable(RefusedInput):
    """A table lacks a column, has a wrong type, or has no rows."""


class NotFound(StackproofError):
    """A well-formed name that names nothing."""


class Conflict(StackproofError):
    """The thing exists already, or is in a state that forbids this."""


class NotCapable(StackproofError):
    """The tool in this role has not the capability that was asked for."""


class Corrupted(StackproofError):
    """Stored bytes differ from their digest, or a hash chain is broken."""


class StorageFailed(StackproofError):
    """A write did not become durable. The process accepts no more writes until it is restarted."""


class StorageFull(StorageFailed):
    """The disk is full."""


class Unavailable(StackproofError):
    """Worth trying again: a server that does not answer, a port in use, a lock held too long."""


class StepFailed(StackproofError):
    """Code of the user raised; the original error is the `__cause__`."""


def is_full(error: BaseException) -> bool:
    """Whether there was no room: the disk is full, a quota is used up, or a file may not become larger."""
    return getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def not_written(what: str, error: OSError, *, got: object = None) -> StorageFailed:
    """What a failed write is told as, `StorageFull` where there was no room. `what`: a sentence, no full stop."""
    kind, next_command = (StorageFull, "df -h") if is_full(error) else (StorageFailed, None)
    return kind(what, got=error if got is None else got, next_command=next_command)


def ended(sentence: str) -> str:
    """With its full stop, unless it has an end."""
    return sentence if sentence.endswith((".", "?", "!")) else f"{sentence}."


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """`"; did you mean 'mlflow'?"` when a close name exists, else `""`."""
    close = get_close_matches(name, list(names), n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""
