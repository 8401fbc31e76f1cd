"""HTTP requests from several connections at once, in one thread: the load takes little of the machine itself."""

import json
import selectors
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Answer:
    """`number`: of the request, counted from 0. `seconds`: from sending it until all of the answer was there."""

    number: int
    status: int
    body: bytes
    seconds: float

    @property
    def content(self) -> Any:
        """The parsed JSON, None for anything else."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


@dataclass(slots=True)
class Connection:
    """One request at a time."""

    socket: socket.socket
    number: int = -1
    since: float = 0.0
    received: bytearray = field(default_factory=bytearray)

    def send(self, number: int, request: bytes) -> None:
        self.number, self.since = number, time.perf_counter()
        self.received.clear()
        self.socket.sendall(request)

    def answer(self) -> Answer | None:
        """Read what has come; the answer when it is complete. Raises `ConnectionError` when the server hung up."""
        part = self.socket.recv(1 << 20)
        if not part:
            raise ConnectionError("the server closed the connection")
        self.received += part
        head, separator, body = bytes(self.received).partition(b"\r\n\r\n")
        if not separator or not _is_whole(head.lower(), body):
            return None
        content = _joined(body) if b"transfer-encoding: chunked" in head.lower() else body
        return Answer(self.number, int(head.split(b" ", 2)[1]), content, time.perf_counter() - self.since)


def drive(
    url: str, requests: Callable[[int], bytes], *, connections: int, until: Callable[[int], bool]
) -> tuple[list[Answer], int]:
    """Each connection sends as soon as it may, until `until` (given the number of requests sent) says: enough.

    Returns the answers in the order in which they came, and how many requests got none because the server was gone.
    """
    load = _Load(requests, until)
    with selectors.DefaultSelector() as selector:
        for connection in [_connected(url) for _ in range(connections)]:
            if load.send(connection):
                selector.register(connection.socket, selectors.EVENT_READ, connection)
            else:
                connection.socket.close()
        last = time.perf_counter()
        while selector.get_map() and time.perf_counter() - last < TIMEOUT_S:
            for key, _ in selector.select(0.1):
                last = time.perf_counter()
                if not load.take(key.data):
                    selector.unregister(key.fileobj)
                    key.data.socket.close()
        for key in list(selector.get_map().values()):
            load.lost += 1
            key.data.socket.close()
    return load.answers, load.lost


class _Load:
    """What was sent and what came back."""

    def __init__(self, requests: Callable[[int], bytes], until: Callable[[int], bool]) -> None:
        self.answers: list[Answer] = []
        self.lost = 0
        self._sent = 0
        self._requests, self._until = requests, until

    def send(self, connection: Connection) -> bool:
        """False when it is enough, or when the server is gone."""
        if self._until(self._sent):
            return False
        number, self._sent = self._sent, self._sent + 1
        try:
            connection.send(number, self._requests(number))
        except OSError:
            self.lost += 1
            return False
        return True

    def take(self, connection: Connection) -> bool:
        """Read what has come; after a whole answer send the next request. False when the connection is done with."""
        try:
            answer = connection.answer()
        except OSError:
            self.lost += 1
            return False
        if answer is None:
            return True
        self.answers.append(answer)
        return self.send(connection)


def request_bytes(url: str, path: str, body: object) -> bytes:
    """A POST of JSON over a connection that stays open."""
    content = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


def _connected(url: str) -> Connection:
    parts = urlsplit(url)
    made = socket.create_connection((parts.hostname, parts.port), timeout=TIMEOUT_S)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return Connection(made)


def _is_whole(head: bytes, body: bytes) -> bool:
    if b"transfer-encoding: chunked" in head:
        return body.endswith(b"0\r\n\r\n")
    length = next((line for line in head.split(b"\r\n") if line.startswith(b"content-length:")), b":0")
    return len(body) >= int(length.partition(b":")[2])


def _joined(body: bytes) -> bytes:
    """The content of chunks."""
    parts, rest = [], body
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size.partition(b";")[0] or b"0", 16)
        if length == 0:
            break
        parts.append(rest[:length])
        rest = rest[length + 2 :]
    return b"".join(parts)
