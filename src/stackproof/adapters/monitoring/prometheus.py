"""Monitoring with Prometheus, a server of its own that scrapes the model servers: 2.42 and newer.

Its files are generated below the role's home: prometheus.yml, the alert rules, a Grafana dashboard, and what
provisions that dashboard and its data source. Prometheus evaluates the rules and shows what fires; sending alerts is
the work of an Alertmanager, so this adapter has not the capability "alerts".
"""

import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import urlopen

from stackproof.adapters.monitoring.exposition import page_of
from stackproof.adapters.monitoring.prometheus_files import CONFIG, OPTIONS, Choices, place_target, write_files
from stackproof.adapters.monitoring.prometheus_rules import LAG
from stackproof.errors import NotFound, StackproofError, Unavailable
from stackproof.roles.adapter import PORT, Health, Option, ServerSpec, Setting

ANSWER_S, START_S = 5.0, 30.0
_VERSION = re.compile(r"prometheus, version (\S+)")


class PrometheusMonitoring:
    """Capabilities "metrics", "scrape" and "links". It runs in the caller's process and needs no Python package."""

    tool: ClassVar[str] = "prometheus"
    capabilities: ClassVar[frozenset[str]] = frozenset({"metrics", "scrape", "links"})
    options: ClassVar[Mapping[str, Option]] = OPTIONS

    def __init__(self, setting: Setting) -> None:
        self._home = setting.home
        self._choices = Choices.read(setting.options)

    def health(self) -> Health:
        """Of the server at the option `url`, else of the program that would be started."""
        try:
            if self._choices.url:
                version = _running_version(self._choices.url)
                return Health(True, version, f"Prometheus {version} answers at {self._choices.url}")
            program = found_program(self._choices.binary)
            version = _program_version(program)
            return Health(True, version, f"Prometheus {version} at {program}, its files are in {self._home}")
        except StackproofError as problem:
            return Health(False, "", str(problem))

    def close(self) -> None:
        """Nothing is held."""

    def expose(self, values: Mapping[str, float], labels: Mapping[str, str]) -> str:
        return page_of(values, labels)

    def scrape(self, job: str, name: str, target: str) -> None:
        place_target(self._home, job, name, target)

    def link(self, identifier: str, ui: str) -> str:
        """Of a deployment: the chart of how far its watcher is behind, where Prometheus has read one in these days."""
        kind, _, name = identifier.partition(":")
        at = ui or self._choices.url
        if kind != "deployment" or not at:
            return ""
        series = f"{LAG}{{deployment={json.dumps(name.rpartition('@')[0], ensure_ascii=False)}}}"
        if not _asked(f"{at}/api/v1/series?{urlencode({'match[]': series})}", at):
            return ""
        return f"{at}/graph?{urlencode({'g0.expr': series, 'g0.tab': '0', 'g0.range_input': '1h'})}"

    def write_files(self) -> tuple[Path, ...]:
        """Write what Prometheus and Grafana read below the home, from the options; prometheus.yml is the first."""
        return write_files(self._home, self._choices)

    @staticmethod
    def server(setting: Setting, python: Path) -> ServerSpec | None:
        """See `HasServer.server`. The files of `write_files` are written; its data are beside them. A variable tells
        their digest, so that a server on other files is another server. `python` is not used.

        Raises `NotFound` where the program is missing.
        """
        choices, home = Choices.read(setting.options), setting.home.absolute()
        if choices.url:
            return None
        program = found_program(choices.binary)
        files = write_files(home, choices)
        url = f"http://127.0.0.1:{PORT}"
        arguments = (
            program,
            f"--config.file={home / CONFIG}",
            f"--storage.tsdb.path={home / 'data'}",
            f"--web.listen-address=127.0.0.1:{PORT}",
        )
        return ServerSpec(
            "prometheus", arguments, home, url, f"{url}/-/ready",
            variables={"STACKPROOF_FILES": hashlib.sha256(b"".join(map(Path.read_bytes, files))).hexdigest()},
            options={"url": url}, port=choices.port,
        )  # fmt: skip


def found_program(binary: str) -> str:
    """The program's absolute path. Raises `NotFound`."""
    found = shutil.which(binary)
    if found is None:
        raise NotFound(
            f"The program {binary} is not on this machine",
            allowed="a path in the option binary, or a running server in the option url",
            next_command="apt-get install prometheus",
        )
    return str(Path(found).absolute())


def _running_version(url: str) -> str:
    told = _asked(f"{url}/api/v1/status/buildinfo", url)
    if not (isinstance(told, dict) and "version" in told):
        raise Unavailable("What answers is no Prometheus", got=url)
    return str(told["version"])


def _asked(address: str, url: str) -> Any:
    """The `data` of an answer of Prometheus at `url`. Raises `Unavailable`."""
    try:
        with urlopen(address, timeout=ANSWER_S) as answer:  # noqa: S310  # the scheme is checked with the options
            return json.load(answer)["data"]
    except HTTPError as other:
        other.close()
        raise Unavailable("What answers is no Prometheus", got=f"{url}: {other}") from other
    except (URLError, OSError) as silent:
        raise Unavailable("Prometheus does not answer", got=f"{url}: {silent}") from silent
    except (ValueError, KeyError, TypeError) as other:
        raise Unavailable("What answers is no Prometheus", got=url) from other


def _program_version(program: str) -> str:
    try:
        done = subprocess.run([program, "--version"], check=False, capture_output=True, text=True, timeout=START_S)
    except (OSError, subprocess.TimeoutExpired) as failed:
        raise Unavailable("The program can't be run", got=f"{program}: {failed}") from failed
    found = _VERSION.search(done.stdout + done.stderr)
    if found is None:
        raise NotFound("This program is no Prometheus", got=program, allowed="prometheus, 2.42 or newer")
    return found[1]
