"""Reads an MLflow server over its REST API, with the standard library alone. Writes nothing there."""

import base64
import http.client
import json
import os
import time
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode, urlsplit, urlunsplit
from urllib.request import Request, urlopen

from stackproof.errors import NotFound, RefusedInput, StackproofError, Unavailable

API = "/api/2.0/mlflow/"
RUNS_AT_ONCE = 500
EXPERIMENTS_AT_ONCE = 50
AT_ONCE = 100
TRIES = 3
PAUSE_S = 0.5
FOLDERS_AT_MOST = 20
TOKEN, USERNAME, PASSWORD = "MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"

Found = dict[str, Any]


class MlflowServer:
    """`url`: where the server's pages are, such as http://127.0.0.1:5000.

    Who asks is said by the variables that MLflow's own client reads: MLFLOW_TRACKING_TOKEN, or
    MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD. They are in no message and no record.

    Every method raises `Unavailable` when the server does not answer, or no longer, and `RefusedInput` when it is no
    MLflow, refuses who asks, or refuses the question.
    """

    def __init__(self, url: str, *, timeout_s: float = 30.0, environ: Mapping[str, str] = os.environ) -> None:
        self.url = plain_url(url)
        self._timeout_s = timeout_s
        self._authorization = _authorization(environ)

    def version(self) -> str:
        """As the server says it; "" when it does not."""
        try:
            text = self._fetched("/version", None).decode("ascii", errors="replace").strip()
        except StackproofError:
            return ""
        return text if text[:1].isdigit() and len(text) < 40 else ""

    def experiments(self) -> list[Found]:
        """All that are not deleted."""
        asked = {"max_results": 1000, "view_type": "ACTIVE_ONLY"}
        pages = self._pages("experiments/search", asked, post=True)
        return [experiment for page in pages for experiment in _list(page, "experiments")]

    def run_pages(self, experiments: list[str]) -> Iterator[list[Found]]:
        """The runs of the experiments that are not deleted, the earliest first, so that one that starts meanwhile
        comes last."""
        for first in range(0, len(experiments), EXPERIMENTS_AT_ONCE):
            asked = {
                "experiment_ids": experiments[first : first + EXPERIMENTS_AT_ONCE],
                "max_results": RUNS_AT_ONCE,
                "run_view_type": "ACTIVE_ONLY",
                "order_by": ["attributes.start_time ASC", "attributes.run_id ASC"],
            }
            for page in self._pages("runs/search", asked, post=True):
                yield _list(page, "runs")

    def run(self, run_id: str) -> Found | None:
        """One run; None when there is none."""
        return self._one("runs/get", {"run_id": run_id}, "run")

    def artifacts(self, run_id: str) -> tuple[list[str], bool]:
        """The paths of a run's files, sorted, and whether these are all: at most 20 folders are looked into."""
        files: list[str] = []
        folders = [""]
        for _ in range(FOLDERS_AT_MOST):
            if not folders:
                break
            folder = folders.pop(0)
            for page in self._pages("artifacts/list", {"run_id": run_id} | ({"path": folder} if folder else {})):
                for file in _list(page, "files"):
                    (folders if file.get("is_dir") else files).append(str(file.get("path", "")))
        return sorted(files), not folders

    def model_pages(self) -> Iterator[list[Found]]:
        """Registered models, with their aliases."""
        for page in self._pages("registered-models/search", {"max_results": AT_ONCE}):
            yield _list(page, "registered_models")

    def model(self, name: str) -> Found | None:
        """One registered model; None when there is none."""
        return self._one("registered-models/get", {"name": name}, "registered_model")

    def version_pages(self, name: str | None = None) -> Iterator[list[Found]]:
        """Model versions: all, or a model's."""
        asked: Found = {"max_results": AT_ONCE}
        if name is not None:
            asked["filter"] = "name = '" + name.replace("'", "\\'") + "'"
        for page in self._pages("model-versions/search", asked):
            yield [one for one in _list(page, "model_versions") if name is None or one.get("name") == name]

    def _one(self, path: str, asked: Found, what: str) -> Found | None:
        try:
            found = self._ask(path, asked, post=False).get(what)
        except NotFound:
            return None
        return found if isinstance(found, dict) else None

    def _pages(self, path: str, asked: Found, *, post: bool = False) -> Iterator[Found]:
        token = ""
        while True:
            page = self._ask(path, asked | ({"page_token": token} if token else {}), post=post)
            yield page
            following = str(page.get("next_page_token") or "")
            if following in ("", token):
                return
            token = following

    def _ask(self, path: str, asked: Found, *, post: bool) -> Found:
        query = "" if post else "?" + urlencode(asked, quote_via=quote)
        body = json.dumps(asked).encode() if post else None
        content = self._fetched(f"{API}{path}{query}", body)
        try:
            answer = json.loads(content)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise _no_mlflow(self.url, f"an answer that is no JSON object: {content[:60]!r}")
        return answer

    def _fetched(self, path: str, body: bytes | None) -> bytes:
        for left in reversed(range(TRIES)):
            try:
                return self._fetched_once(path, body)
            except Unavailable:
                if not left:
                    raise
                time.sleep(PAUSE_S)
        raise AssertionError("unreachable")

    def _fetched_once(self, path: str, body: bytes | None) -> bytes:
        request = Request(self.url + path, data=body)  # noqa: S310  # plain_url lets http and https through
        if body is not None:
            request.add_header("Content-Type", "application/json")
        if self._authorization:
            request.add_unredirected_header("Authorization", self._authorization)
        try:
            with urlopen(request, timeout=self._timeout_s) as response:  # noqa: S310  # as above
                content: bytes = response.read()
                return content
        except HTTPError as answer:
            with answer:
                raise self._refusal(answer.code, _read_rest(answer)) from None
        except URLError as unreachable:
            raise self._silent(unreachable.reason) from unreachable
        except (OSError, http.client.HTTPException) as broken:
            raise self._silent(f"{type(broken).__name__}: {broken}") from broken

    def _silent(self, why: object) -> Unavailable:
        return Unavailable(
            f"The MLflow server at {self.url} does not answer", got=why, allowed="a server that can be reached",
            next_command=f"curl {self.url}/health",
        )  # fmt: skip

    def _refusal(self, status: int, content: bytes) -> StackproofError:
        code, text = _error_of(content)
        if status in (401, 403):
            return RefusedInput(
                f"The MLflow server at {self.url} refuses who asks", got=f"HTTP {status}",
                allowed=f"{TOKEN}, or {USERNAME} and {PASSWORD}, as variables of the environment",
                next_command=f"export {USERNAME}=… {PASSWORD}=…",
            )  # fmt: skip
        if code == "RESOURCE_DOES_NOT_EXIST":
            return NotFound("The MLflow server knows no such thing", got=text)
        if status == 429 or status >= 500:
            return Unavailable(f"The MLflow server at {self.url} failed", got=f"HTTP {status} {text}".strip())
        if not code:
            return _no_mlflow(self.url, f"HTTP {status}")
        return RefusedInput("The MLflow server refuses the question", got=f"{code}: {text}")


def plain_url(url: str) -> str:
    """Scheme, host and path, without what a browser adds. Raises `RefusedInput`."""
    parts = urlsplit(url.strip())
    if parts.username or parts.password:
        raise RefusedInput(
            "An address must hold no credentials: it is written down",
            got=f"{parts.scheme}://…@{parts.hostname}", allowed=f"{USERNAME} and {PASSWORD}, or {TOKEN}, as variables",
        )  # fmt: skip
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise RefusedInput(
            "That is no address of an MLflow server", got=url, allowed="http://HOST:PORT or https://HOST/PATH",
            next_command="stackproof attach mlflow http://127.0.0.1:5000",
        )  # fmt: skip
    return urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/"), "", ""))


def _no_mlflow(url: str, got: str) -> RefusedInput:
    return RefusedInput(
        f"What answers at {url} is no MLflow server", got=got,
        allowed="the address of MLflow's pages, with the path below which they are", next_command=f"curl {url}/version",
    )  # fmt: skip


def _authorization(environ: Mapping[str, str]) -> str:
    if environ.get(USERNAME) and environ.get(PASSWORD):
        pair = f"{environ[USERNAME]}:{environ[PASSWORD]}"
        return "Basic " + base64.b64encode(pair.encode()).decode()
    return f"Bearer {environ[TOKEN]}" if environ.get(TOKEN) else ""


def _read_rest(answer: HTTPError) -> bytes:
    try:
        return answer.read(10_000)
    except (OSError, http.client.HTTPException):
        return b""


def _error_of(content: bytes) -> tuple[str, str]:
    """MLflow's code and message; "" where there is none."""
    try:
        told = json.loads(content)
    except ValueError:
        return "", ""
    if not isinstance(told, dict):
        return "", ""
    return str(told.get("error_code") or ""), str(told.get("message") or "")[:300]


def _list(page: Found, key: str) -> list[Found]:
    found = page.get(key) or []
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []
