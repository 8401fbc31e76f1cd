"""The files that Prometheus and Grafana read, as text."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from stackproof.adapters.monitoring.prometheus_dashboard import dashboard
from stackproof.adapters.monitoring.prometheus_rules import (
    SERVING_JOB,
    WATCHING_JOB,
    Rule,
    serving_rules,
    watching_rules,
)
from stackproof.adapters.option_values import check_names
from stackproof.errors import RefusedInput, StorageFailed
from stackproof.roles.adapter import Option

CONFIG, RULES = "prometheus.yml", "rules/stackproof.yml"
DASHBOARDS, DASHBOARD = "grafana/dashboards", "grafana/dashboards/stackproof.json"
GENERATED = "# Generated from stack.toml; changes here are overwritten."
OPTIONS: Mapping[str, Option] = {
    "targets": Option("string", "further model servers to scrape, as HOST:PORT with commas; ours are found", ""),
    "watch_targets": Option("string", "further watchers to scrape, as HOST:PORT with commas; ours are found", ""),
    "url": Option("string", "a Prometheus that runs already, such as http://127.0.0.1:9090; nothing is started then"),
    "port": Option("integer", "loopback port of the Prometheus that is started; none: one that is free"),
    "binary": Option("string", "the program; a name is looked up on PATH", "prometheus"),
    "scrape_seconds": Option("integer", "seconds between looks at the targets and the rules, 1 to 15", 5),
    "error_share": Option("number", "share of failed requests above which an alert is raised", 0.01),
    "latency_seconds": Option("number", "99th percentile of seconds per request above which an alert is raised", 0.5),
}
_HOST_AND_PORT = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})")
_URL = re.compile(r"https?://[^\s/?#@]+(/[^\s?#]*)?")


@dataclass(frozen=True, slots=True)
class Choices:
    """The options, checked. `url` is "" where a Prometheus is to be started, `port` 0 where any will do."""

    targets: tuple[str, ...]
    watch_targets: tuple[str, ...]
    url: str
    port: int
    binary: str
    scrape_seconds: int
    error_share: float
    latency_seconds: float

    @classmethod
    def read(cls, options: Mapping[str, object]) -> "Choices":
        """Raises `UnknownName` for an option that there is not, `RefusedInput` for a value."""
        check_names("prometheus", options, OPTIONS)
        given = {name: option.default for name, option in OPTIONS.items()} | dict(options)
        return cls(
            targets=_targets(given, "targets"),
            watch_targets=_targets(given, "watch_targets"),
            url=_url(given["url"]),
            port=int(_number(given, "port", 1, 65535)) if given["port"] is not None else 0,
            binary=str(given["binary"]),
            scrape_seconds=int(_number(given, "scrape_seconds", 1, 15)),
            error_share=_number(given, "error_share", 0, 1),
            latency_seconds=_number(given, "latency_seconds", 0, 3600),
        )


def write_files(home: Path, choices: Choices) -> tuple[Path, ...]:
    """Write all files below `home`, each whole or not at all. Prometheus reads further files in `rules/` too."""
    contents = {
        CONFIG: config_text(choices),
        RULES: rules_text(choices),
        DASHBOARD: json.dumps(dashboard(watching=True), indent=2) + "\n",
        "grafana/provisioning/datasources/stackproof.yml": _datasource_text(choices),
        "grafana/provisioning/dashboards/stackproof.yml": _provider_text(home / DASHBOARDS),
    }
    for name, text in contents.items():
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f".{path.name}.{os.getpid()}")
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(path)
    return tuple(home / name for name in contents)


def place_target(home: Path, job: str, name: str, target: str) -> None:
    """Have `target` scraped under the job "serving" or "watching"; "" ends it. Raises `StorageFailed`."""
    folder = home / _targets_folder({"serving": SERVING_JOB, "watching": WATCHING_JOB}[job])
    file = folder / f"{quote(name, safe='')}.json"
    try:
        if target:
            file.parent.mkdir(parents=True, exist_ok=True)
            unfinished = file.with_suffix(f".{os.getpid()}")
            unfinished.write_text(json.dumps([{"targets": [target]}]), encoding="utf-8")
            unfinished.replace(file)
        else:
            file.unlink(missing_ok=True)
    except OSError as error:
        raise StorageFailed("A target of Prometheus can't be written", got=f"{file}: {error.strerror}") from error


def _targets_folder(job: str) -> str:
    return f"targets/{job}"


def config_text(choices: Choices) -> str:
    """prometheus.yml."""
    jobs = [(SERVING_JOB, choices.targets), (WATCHING_JOB, choices.watch_targets)]
    lines = [
        GENERATED,
        "global:",
        f"  scrape_interval: {choices.scrape_seconds}s",
        f"  scrape_timeout: {choices.scrape_seconds}s",
        f"  evaluation_interval: {choices.scrape_seconds}s",
        "rule_files:",
        '  - "rules/*.yml"',
        "scrape_configs:",
    ]
    for job, targets in jobs:
        lines += [f"  - job_name: {job}", "    file_sd_configs:", f'      - files: ["{_targets_folder(job)}/*.json"]']
        if targets:
            lines += ["    static_configs:", f"      - targets: {json.dumps(targets)}"]
    return "\n".join(lines) + "\n"


def rules_text(choices: Choices) -> str:
    """The rules on the servers, and those on the watchers."""
    lines = [GENERATED, "# Rules of your own: any other .yml file beside this one.", "groups:"]
    lines += _group(SERVING_JOB, serving_rules(choices.error_share, choices.latency_seconds))
    lines += _group(WATCHING_JOB, watching_rules())
    return "\n".join(lines) + "\n"


def _group(name: str, rules: Sequence[Rule]) -> list[str]:
    lines = [f"  - name: {name}", "    rules:"]
    for rule in rules:
        lines += [
            f"      - alert: {rule.alert}",
            f"        expr: {_quoted(rule.expr)}",
            f"        for: {rule.hold}s",
            f"        labels: {{severity: {rule.severity}}}",
            "        annotations:",
            f"          summary: {_quoted(rule.summary)}",
            f"          description: {_quoted(rule.description)}",
        ]
    return lines


def _quoted(text: str) -> str:
    """In YAML's single quotes, in which every other character stands for itself."""
    return "'" + text.replace("'", "''") + "'"


def _datasource_text(choices: Choices) -> str:
    """Grafana fills in a variable, which is needed where the port is known only once the server runs."""
    url = choices.url or (f"http://127.0.0.1:{choices.port}" if choices.port else "$PROMETHEUS_URL")
    return f"""{GENERATED}
apiVersion: 1
datasources:
  - name: Stackproof Prometheus
    uid: stackproof-prometheus
    type: prometheus
    access: proxy
    url: {_quoted(url)}
    jsonData:
      timeInterval: {choices.scrape_seconds}s
"""


def _provider_text(folder: Path) -> str:
    return f"""{GENERATED}
apiVersion: 1
providers:
  - name: Stackproof
    type: file
    allowUiUpdates: false
    options:
      path: {_quoted(str(folder.absolute()))}
"""


def _targets(given: Mapping[str, object], name: str) -> tuple[str, ...]:
    parts = [part.strip() for part in str(given[name]).split(",")]
    targets = tuple(dict.fromkeys(part for part in parts if part))
    if not all(map(_is_target, targets)):
        raise RefusedInput(
            f"The option {name} is wrong", got=repr(given[name]), allowed="HOST:PORT, several with commas"
        )
    return targets


def _is_target(text: str) -> bool:
    found = _HOST_AND_PORT.fullmatch(text)
    return found is not None and 1 <= int(found[2]) <= 65535


def _url(value: object) -> str:
    if value in (None, ""):
        return ""
    if not _URL.fullmatch(str(value)):
        raise RefusedInput("The option url is wrong", got=repr(value), allowed="http://HOST:PORT, or https")
    return str(value).rstrip("/")


def _number(given: Mapping[str, object], name: str, least: float, most: float) -> float:
    value = given[name]
    if isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most:
        return value
    raise RefusedInput(f"The option {name} is wrong", got=repr(value), allowed=f"a number from {least} to {most}")
