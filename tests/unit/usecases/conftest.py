"""A package index on this machine, that answers what a test gives it to answer."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from stackproof.usecases.index_settings import IndexSettings
from stackproof.usecases.package_index import PackageIndex, Published

JSON_TYPE = "application/vnd.pypi.simple.v1+json"


@dataclass
class Index:
    """A package index on this machine: path to its status, type and body. What was asked is kept."""

    url: str = ""
    pages: dict[str, tuple[int, str, bytes]] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    hanging: threading.Event = field(default_factory=threading.Event)

    def serve(self, path: str, body: str | bytes, kind: str = "text/html", status: int = 200) -> None:
        self.pages[path] = (status, kind, body.encode() if isinstance(body, str) else body)

    def serve_json(self, package: str, files: list[dict[str, Any]], **more: Any) -> None:
        document = {"meta": {"api-version": "1.1"}, "name": package, "files": files, **more}
        self.serve(f"/simple/{package}/", json.dumps(document), JSON_TYPE)

    def settings(self, **more: Any) -> IndexSettings:
        return IndexSettings(**{"index": f"{self.url}/simple", "timeout_s": 5.0, **more})

    def ask(self, package: str) -> Published:
        return PackageIndex(self.settings()).ask(package)

    @staticmethod
    def wheel(version: str, package: str = "demo", **more: Any) -> dict[str, Any]:
        name = f"{package}-{version}-py3-none-any.whl"
        return {"filename": name, "url": f"../../files/{name}", "upload-time": "2026-12-24T10:00:00Z", **more}


@pytest.fixture
def index() -> Iterator[Index]:
    told = Index()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told.asked.append((self.path, dict(self.headers)))
            status, kind, body = told.pages.get(self.path, (404, "", b""))
            if kind == "hangs":
                told.hanging.wait(20)
                return
            self.send_response(status)
            if status == 301:
                self.send_header("Location", body.decode())
            if kind:
                self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body) + (7 if kind == "breaks/off" else 0)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            del format, args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    told.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield told
    told.hanging.set()
    server.shutdown()
    thread.join()
    server.server_close()
