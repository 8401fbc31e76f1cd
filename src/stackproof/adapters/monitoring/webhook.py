"""Posting a document to a web address: one deadline for each attempt, no redirect followed."""

import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import SplitResult, urlsplit

from stackproof.errors import RefusedInput

ATTEMPTS = 3
TIMEOUT_S = 5.0
PAUSE_S = 0.2
PORTS = range(1, 65_536)
WORTH_ANOTHER_ATTEMPT = frozenset({408, 425, 429})


@dataclass(frozen=True, slots=True)
class Address:
    """`path`: with the query, beginning with "/". `port` None means the scheme's own."""

    is_https: bool
    host: str
    port: int | None
    path: str


def parse_address(url: str) -> Address:
    """Raises `RefusedInput` unless it is an http or https URL with a host, without user and fragment."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise _refused(url) from None
    if not _is_plain(url, parts) or port == 0:
        raise _refused(url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Address(parts.scheme == "https", parts.hostname or "", port, path)


@dataclass(frozen=True, slots=True)
class Webhook:
    """`timeout_s` bounds each of three attempts as a whole, however slowly the other side answers."""

    timeout_s: float = TIMEOUT_S
    pause_s: float = PAUSE_S
    sleep: Callable[[float], None] = time.sleep

    def post(self, address: Address, body: bytes, key: str) -> str:
        """POST the JSON; "" when it was taken (2xx), else what went wrong.

        A refusal (3xx, 4xx) is final; an answer of 5xx, 408, 425 or 429, and none at all, are tried
        again, twice. All attempts carry the same `Idempotency-Key`.
        """
        problem = ""
        for attempt in range(ATTEMPTS):
            if attempt:
                self.sleep(self.pause_s * 2 ** (attempt - 1))
            problem, is_final = self._attempt(address, body, key)
            if is_final:
                return problem
        return f"{problem} ({ATTEMPTS} attempts)"

    def _attempt(self, address: Address, body: bytes, key: str) -> tuple[str, bool]:
        kind = HTTPSConnection if address.is_https else HTTPConnection
        connection = kind(address.host, address.port, timeout=self.timeout_s)
        deadline = _Deadline(connection, self.timeout_s)
        try:
            with deadline:
                status = _exchange(connection, address.path, body, key)
        except (OSError, HTTPException) as error:
            late = deadline.passed or isinstance(error, TimeoutError)
            reason = f"within {self.timeout_s:g} s" if late else f"({error or type(error).__name__})"
            return f"no answer {reason}", False
        finally:
            connection.close()
        if 200 <= status < 300:
            return "", True
        is_final = status < 500 and status not in WORTH_ANOTHER_ATTEMPT
        redirect = ", a redirect, which is not followed" if 300 <= status < 400 else ""
        return f"answered {status}{redirect}", is_final


class _Deadline:
    """Shuts the connection's socket when the time is up: a socket's own timeout starts anew with each byte."""

    def __init__(self, connection: HTTPConnection, seconds: float) -> None:
        self._connection = connection
        self._timer = threading.Timer(seconds, self._shut)
        self._timer.daemon = True
        self.passed = False

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def _shut(self) -> None:
        self.passed = True
        connected: socket.socket | None = self._connection.sock
        if connected is not None:
            try:
                connected.shutdown(socket.SHUT_RDWR)
            except OSError:
                return  # closed already: the attempt has ended by itself


def _exchange(connection: HTTPConnection, path: str, body: bytes, key: str) -> int:
    headers = {
        "Content-Type": "application/json; charset=utf-8",
        "Idempotency-Key": _header_text(key),
        "User-Agent": "stackproof",
        "Connection": "close",
    }
    connection.request("POST", path, body=body, headers=headers)
    return connection.getresponse().status


def _header_text(text: str) -> str:
    return "".join(c for c in text if c.isascii() and c.isprintable())


def _is_plain(url: str, parts: SplitResult) -> bool:
    is_clean = url.isascii() and url.isprintable() and " " not in url
    has_host = parts.scheme in ("http", "https") and bool(parts.hostname)
    return is_clean and has_host and "@" not in parts.netloc and not parts.fragment


def _refused(url: str) -> RefusedInput:
    return RefusedInput(
        "A webhook needs a plain web address",
        got=repr(url),
        allowed="http:// or https://, with a host, without user, password, fragment or spaces",
    )
