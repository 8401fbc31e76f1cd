"""Load on a server under test, and what to hold its counts against."""

import json
import math
import select
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from itertools import accumulate
from urllib.parse import urlsplit

from stackproof.testing.serving_client import Client, Reply
from stackproof.testing.serving_models import request


def binomial_bounds(trials: int, share: float, tail: float) -> tuple[int, int]:
    """The smallest range of counts outside of which a binomial count falls with at most `tail` on either side."""
    chances = [math.comb(trials, k) * share**k * (1 - share) ** (trials - k) for k in range(trials + 1)]
    low = next(k for k, total in enumerate(accumulate(chances)) if total > tail)
    high = next(k for k, total in enumerate(accumulate(reversed(chances))) if total > tail)
    return low, trials - high


def wait_until(holds: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(3000):
        if holds():
            return
        pause.wait(0.01)
    raise AssertionError("it did not come true in 30 seconds")


class Load:
    """Threads that send one-row requests without pause until the block is left."""

    def __init__(self, url: str, path: str, threads: int) -> None:
        self.replies: list[Reply] = []
        self.errors: list[Exception] = []
        self._url, self._path, self._threads = url, path, threads
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(threads)

    def __enter__(self) -> "Load":
        self._under_way = [self._pool.submit(self._send) for _ in range(self._threads)]
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for sending in self._under_way:
            sending.result()
        self._pool.shutdown()

    def wait_for(self, holds: Callable[[list[Reply]], bool]) -> None:
        wait_until(lambda: holds(list(self.replies)) or bool(self.errors))

    def _send(self) -> None:
        with Client(self._url) as client:
            while not self._stop.is_set():
                try:
                    self.replies.append(client.ask("POST", self._path, request({"x": [0.5]})))
                except (OSError, HTTPException) as failed:
                    self.errors.append(failed)
                    return


class RawConnection:
    """One request on a socket whose answer can be waited for."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host = parts.netloc
        self._socket = socket.create_connection((parts.hostname, parts.port), timeout=30)
        self._status = 0

    def send(self, path: str, content: object) -> None:
        body = json.dumps(content).encode()
        head = f"POST {path} HTTP/1.1\r\nHost: {self._host}\r\nContent-Length: {len(body)}\r\n\r\n"
        self._socket.sendall(head.encode() + body)

    def answered_within(self, seconds: float) -> bool:
        return bool(select.select([self._socket], [], [], seconds)[0])

    def status(self) -> int:
        if not self._status:
            self._status = int(self._socket.recv(65536).split()[1])
        return self._status

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> "RawConnection":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
