"""A page of metrics over HTTP, for a process that shall be scraped and that serves nothing else."""

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType

from stackproof.errors import Unavailable
from stackproof.stack.workspace import Workspace

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
CONNECTION_S = 10.0
"""The longest wait for a client that says nothing."""


@contextmanager
def metrics_page(
    workspace: Workspace, deployment: str, values: Callable[[], Mapping[str, float]], port: int | None
) -> Iterator[None]:
    """Meanwhile, the watcher of a deployment tells `values` at /metrics on loopback, and is scraped where a tool does.

    `port`: None for a free one, and only if the stack has a tool that scrapes. Raises `Unavailable` for one in use.
    """
    live = workspace.live
    scraped = live.able("monitoring", "scrape")
    if port is None and not scraped:
        yield
        return
    sink = live.adapter("monitoring", "metrics")
    try:
        server = PageServer(lambda: str(sink.expose(values(), {"deployment": deployment})), port=port or 0)
    except OSError as taken:
        raise Unavailable(
            f"The port {port} can't be had", got=taken.strerror, next_command=f"stackproof watch {deployment}"
        ) from taken
    with server:
        scraper = live.adapter("monitoring", "scrape") if scraped else None
        if scraper is not None:
            scraper.scrape("watching", deployment, server.target)
        yield
        if scraper is not None:
            scraper.scrape("watching", deployment, "")


class PageServer:
    """Answers GET /metrics with what `page` gives at that moment, from threads of its own.

    `target`: HOST:PORT. A page that can't be made is answered with status 500 and told
    in the log; the scraper then counts the target as down. Raises `OSError` when the address can't be had.
    """

    def __init__(self, page: Callable[[], str], *, host: str = "127.0.0.1", port: int = 0) -> None:
        self._http = ThreadingHTTPServer((host, port), _handler_of(page))
        self._http.daemon_threads = True
        self.target = f"{host}:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever, name="metrics page", daemon=True)
        self._thread.start()

    def __enter__(self) -> "PageServer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Idempotent."""
        if self._thread.is_alive():
            self._http.shutdown()
            self._thread.join()
        self._http.server_close()


def _handler_of(page: Callable[[], str]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = CONNECTION_S

        def do_GET(self) -> None:
            if self.path.partition("?")[0] != "/metrics":
                self._answer(404, "There is only /metrics\n")
                return
            try:
                text = page()
            except Exception:  # whatever the caller's page raises, the next scrape tries again
                logging.getLogger(__name__).exception("The page of metrics can't be made")
                self._answer(500, "The page can't be made: the log of this process says why\n")
                return
            self._answer(200, text)

        def _answer(self, status: int, text: str) -> None:
            body = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", CONTENT_TYPE)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """A line for each scrape would hide what matters."""

    return Handler
