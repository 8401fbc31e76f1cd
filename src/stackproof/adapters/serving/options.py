"""What a model server may be told, whichever it is."""

from collections.abc import Mapping

from stackproof.errors import RefusedInput
from stackproof.roles.adapter import Option

LIMITS: Mapping[str, Option] = {
    "max_rows": Option("integer", "Most rows that one request may hold", 4096),
    "max_body_bytes": Option("integer", "Largest request body", 4 * 1024 * 1024),
    "max_in_flight": Option("integer", "Infer requests under way at once; more get 429", 64),
    "body_seconds": Option("number", "Longest wait for a request's body", 10.0),
    "log_seconds": Option("number", "Longest wait for the prediction log", 10.0),
}
ALLOWED_HOSTS: Mapping[str, Option] = {
    "allowed_hosts": Option(
        "string", "Host names by which others reach this server, with commas; loopback names always work", ""
    ),
}
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def limits_of(options: Mapping[str, object], known: Mapping[str, Option] = LIMITS) -> dict[str, float]:
    """Every limit by its name. Raises `RefusedInput` for one that is no number above 0."""
    given = {name: options.get(name, option.default) for name, option in known.items()}
    faults = [
        f"{name} is {value!r}; allowed: a number above 0"
        for name, value in given.items()
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not value > 0
    ]
    if faults:
        raise RefusedInput("The options of the server cannot be used", faults=faults)
    return {name: value for name, value in given.items() if isinstance(value, (int, float))}


def hosts_of(options: Mapping[str, object], host: str) -> tuple[str, ...]:
    """The host names that requests may state beside the loopback ones.

    Raises `RefusedInput` for a host that others reach, when the option does not say by which names.
    """
    hosts = tuple(name for part in str(options.get("allowed_hosts") or "").split(",") if (name := part.strip()))
    if host not in LOOPBACK and not hosts:
        raise RefusedInput(
            "The server asks for no credentials, so it listens to other machines only when told to",
            got=f"host {host}",
            allowed="a loopback host, or the option allowed_hosts with the names by which others reach it",
            next_command="stackproof serve --host 127.0.0.1",
        )
    return (*hosts, host)
