"""Prometheus, a real server on a free port, reads the generated files, scrapes and evaluates them."""

import json
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import parse_qs, urlencode, urlsplit
from urllib.request import urlopen

import pytest
import yaml

from stackproof.adapters.monitoring import prometheus_rules as rules
from stackproof.adapters.monitoring.prometheus import PrometheusMonitoring
from stackproof.adapters.monitoring.prometheus_dashboard import COLUMNS, dashboard, expressions
from stackproof.adapters.serving.embedded import EmbeddedServer
from stackproof.errors import NotFound, RefusedInput, UnknownName
from stackproof.roles.adapter import HasServer, ServerSpec, Setting
from stackproof.roles.serving import Deployment, Route
from stackproof.stack.metrics_page import PageServer
from stackproof.testing.monitoring import MonitoringConformance
from stackproof.testing.serving_client import ServerProcess, ask
from stackproof.testing.serving_models import onnx_package, request

ALL_RULES = (*rules.serving_rules(0.01, 0.5), *rules.watching_rules())
NOTICE_S = 300
WAIT_S = 120
SERVER, WATCHER = 'instance="127.0.0.1:8080",job="stackproof-serving"', 'instance="127.0.0.1:9101"'
WATCHED = f'deployment="delays",{WATCHER},job="stackproof-watching"'
GRAFANA_TYPES = "grafana-foundation-sdk==1769699379!11.6.0"
READ_BY_GRAFANA = """
import json, sys
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

register_default_plugins()
print(JSONEncoder().encode(Dashboard.from_json(json.load(sys.stdin))))
"""
VARIABLES = {"$instance": ".*", "$__rate_interval": "1m"}
HEALTHY = {
    f"up{{{SERVER}}}": "1x200",
    f"stackproof_serving_rows_total{{{SERVER}}}": "0+5x200",
    f'stackproof_serving_requests_total{{status="200",{SERVER}}}': "0+100x200",
    f'stackproof_serving_requests_total{{status="400",{SERVER}}}': "0+1x200",
    f'stackproof_serving_request_seconds_bucket{{le="0.25",{SERVER}}}': "0+101x200",
    f'stackproof_serving_request_seconds_bucket{{le="1.0",{SERVER}}}': "0+101x200",
    f'stackproof_serving_request_seconds_bucket{{le="+Inf",{SERVER}}}': "0+101x200",
    f'up{{{WATCHER},job="stackproof-watching"}}': "1x200",
    f"stackproof_watch_lag_seconds{{{WATCHED}}}": "3x200",
    f"stackproof_watch_last_alert_time_seconds{{{WATCHED}}}": "-1000x200",
}
"""A series every 5 seconds; the change of each fault comes at 500 seconds."""
FAULTS = {
    "StackproofServerDown": {f"up{{{SERVER}}}": "1x99 0x100"},
    "StackproofNoPredictions": {f"stackproof_serving_rows_total{{{SERVER}}}": "0+5x99 500x100"},
    "StackproofErrors": {f'stackproof_serving_requests_total{{status="500",{SERVER}}}': "0x99 2+2x100"},
    "StackproofRefusals": {f'stackproof_serving_requests_total{{status="400",{SERVER}}}': "0x99 10+10x100"},
    "StackproofSlow": {
        f'stackproof_serving_request_seconds_bucket{{le="0.25",{SERVER}}}': "0+101x99 9999x100",
    },
    "StackproofWatcherDown": {f'up{{{WATCHER},job="stackproof-watching"}}': "1x99 0x100"},
    "StackproofWatcherBehind": {f"stackproof_watch_lag_seconds{{{WATCHED}}}": "3x99 0+5x100"},
    "StackproofDrift": {f"stackproof_watch_last_alert_time_seconds{{{WATCHED}}}": "-1000x99 500x100"},
}


def prometheus(home: Path, **options: object) -> PrometheusMonitoring:
    return PrometheusMonitoring(Setting(home, options))


@pytest.fixture
def promtool() -> Callable[..., str]:
    """Runs promtool and gives what it said."""
    if shutil.which("promtool") is None:
        pytest.skip("prometheus is not installed: bash tests/services.sh installs it")

    def run(*arguments: str | Path) -> str:
        done = subprocess.run(["promtool", *arguments], check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.mark.services
class TestPrometheus(MonitoringConformance):
    @pytest.fixture(autouse=True)
    def _installed(self, promtool: object) -> None:
        """Only where Prometheus is."""

    def make(self, home: Path) -> PrometheusMonitoring:
        return prometheus(home)


def test_the_scrape_configuration_names_each_target_once(tmp_path: Path) -> None:
    config, *_ = prometheus(tmp_path, targets="127.0.0.1:8080, [::1]:81,127.0.0.1:8080", scrape_seconds=2).write_files()
    read = yaml.safe_load(config.read_text())
    assert read["global"]["scrape_interval"] == "2s"
    serving, watching = read["scrape_configs"]
    assert serving["static_configs"] == [{"targets": ["127.0.0.1:8080", "[::1]:81"]}]
    assert "static_configs" not in watching


def test_a_target_is_found_where_the_configuration_looks_until_it_is_taken_away(tmp_path: Path) -> None:
    adapter = prometheus(tmp_path)
    config, *_ = adapter.write_files()
    jobs = {job["job_name"]: job for job in yaml.safe_load(config.read_text())["scrape_configs"]}
    for job, name in (("serving", rules.SERVING_JOB), ("watching", rules.WATCHING_JOB)):
        (pattern,) = jobs[name]["file_sd_configs"][0]["files"]
        adapter.scrape(job, "delay/a b", "127.0.0.1:9101")
        adapter.scrape(job, "delay/a b", "127.0.0.1:9102")
        (found,) = tmp_path.glob(pattern)
        assert json.loads(found.read_text()) == [{"targets": ["127.0.0.1:9102"]}]
        adapter.scrape(job, "delay/a b", "")
        assert not list(tmp_path.glob(pattern))


def test_files_are_written_anew_and_rules_of_the_user_are_kept(tmp_path: Path) -> None:
    files = prometheus(tmp_path).write_files()
    own = tmp_path / "rules" / "own.yml"
    own.write_text("groups: []\n")
    files[0].write_text("broken")
    assert prometheus(tmp_path).write_files() == files
    assert yaml.safe_load(files[0].read_text())["rule_files"] == ["rules/*.yml"]
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == sorted([*files, own])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"targets": "http://127.0.0.1:8080"}, "HOST:PORT"),
        ({"targets": "127.0.0.1:65536"}, "HOST:PORT"),
        ({"targets": 'x:1"]\nevil: ["y:1'}, "HOST:PORT"),
        ({"watch_targets": "127.0.0.1"}, "watch_targets"),
        ({"url": "127.0.0.1:9090"}, "url"),
        ({"url": "http://127.0.0.1:9090/?a"}, "url"),
        ({"port": 0}, "from 1 to 65535"),
        ({"scrape_seconds": 16}, "from 1 to 15"),
        ({"error_share": True}, "error_share"),
        ({"latency_seconds": float("nan")}, "latency_seconds"),
    ],
)
def test_wrong_options_are_refused_with_what_is_allowed(
    tmp_path: Path, options: dict[str, object], message: str
) -> None:
    with pytest.raises(RefusedInput, match=message):
        prometheus(tmp_path, **options)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_option_is_told_with_the_one_that_was_meant(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="did you mean 'targets'"):
        prometheus(tmp_path, target="127.0.0.1:8080")


def test_health_tells_of_a_missing_program_and_of_a_server_that_does_not_answer(tmp_path: Path) -> None:
    missing = prometheus(tmp_path, binary="no-such-prometheus").health()
    assert not missing.ok
    assert "apt-get install prometheus" in missing.detail
    silent = prometheus(tmp_path, url=f"http://127.0.0.1:{free_port()}").health()
    assert not silent.ok
    assert "does not answer" in silent.detail


def test_health_does_not_take_another_server_or_program_for_prometheus(tmp_path: Path) -> None:
    with PageServer(str) as other:
        assert "no Prometheus" in prometheus(tmp_path, url=f"http://{other.target}").health().detail
    health = prometheus(tmp_path, binary="true").health()
    assert not health.ok
    assert "no Prometheus" in health.detail


def test_no_server_is_started_beside_one_that_runs_or_without_the_program(tmp_path: Path) -> None:
    assert isinstance(PrometheusMonitoring, HasServer)
    assert spec_of(tmp_path, url="http://127.0.0.1:9090/") is None
    with pytest.raises(NotFound, match="no-such-prometheus"):
        spec_of(tmp_path, binary="no-such-prometheus")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.services
def test_other_files_make_another_server_and_the_same_files_the_same(promtool: object, tmp_path: Path) -> None:
    first = spec_of(tmp_path)
    assert first is not None
    assert first == spec_of(tmp_path)
    assert first.port == 0
    assert all(Path(path).is_absolute() for path in (first.arguments[0], first.folder))
    other = spec_of(tmp_path, error_share=0.5)
    assert other is not None
    assert other.arguments == first.arguments
    assert other != first


@pytest.mark.parametrize(
    ("options", "address"),
    [
        ({"port": 9090}, "http://127.0.0.1:9090"),
        ({}, "$PROMETHEUS_URL"),
        ({"url": "https://metrics.internal/prometheus/"}, "https://metrics.internal/prometheus"),
    ],
)
def test_grafana_is_told_where_prometheus_and_the_dashboard_are(
    tmp_path: Path, options: dict[str, object], address: str
) -> None:
    *_, shown, source, provider = prometheus(tmp_path, **options).write_files()
    assert yaml.safe_load(source.read_text())["datasources"][0]["url"] == address
    folder = yaml.safe_load(provider.read_text())["providers"][0]["options"]["path"]
    assert Path(folder) == shown.parent
    assert json.loads(shown.read_text()) == dashboard(watching=True)


def test_every_alert_looks_back_and_waits_for_less_than_five_minutes() -> None:
    for rule in ALL_RULES:
        looks_back = [int(minutes) * 60 for minutes in re.findall(r"\[(\d)m\]", rule.expr)]
        waits = rules.LAG_S if "lag" in rule.expr else 0
        assert max([0, *looks_back]) + rule.hold + waits < NOTICE_S, rule.alert


def test_the_dashboard_has_what_grafana_asks_of_one() -> None:
    shown = dashboard(watching=True)
    assert json.loads(json.dumps(shown)) == shown
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,40}", shown["uid"])
    assert shown["schemaVersion"] >= 36
    assert {"title", "time", "templating", "annotations"} <= shown.keys()
    variables = {variable["name"] for variable in shown["templating"]["list"]}
    assert variables == {"datasource", "instance"}
    assert "id" not in shown
    ids = [panel["id"] for panel in shown["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in shown["panels"]:
        assert panel["title"]
        assert panel["type"] in {"row", "stat", "timeseries"}
        used = {name for name in re.findall(r"\$\{?(\w+)", json.dumps(panel)) if not name.startswith("__")}
        assert used <= variables
        if panel["type"] != "row":
            assert panel["targets"]
            assert {target["datasource"]["type"] for target in panel["targets"]} == {"prometheus"}
            references = [target["refId"] for target in panel["targets"]]
            assert len(set(references)) == len(references)


@pytest.mark.parametrize("watching", [True, False])
def test_the_panels_of_the_dashboard_do_not_overlap(watching: bool) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard(watching=watching)["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= COLUMNS
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken
        taken |= cells
    bottom = max(y for _, y in taken) + 1
    assert len({y for _, y in taken}) == bottom


@pytest.mark.tools
def test_grafanas_own_types_know_every_key_of_the_dashboard(environment_with: Callable[..., Path]) -> None:
    """They are generated from Grafana's schema. No Grafana has rendered the dashboard: it is no Python package."""
    python = environment_with("grafana-types", GRAFANA_TYPES)
    shown = dashboard(watching=True)
    read = subprocess.run(
        [str(python), "-c", READ_BY_GRAFANA], input=json.dumps(shown), capture_output=True, text=True, check=True
    )
    assert lost(shown, json.loads(read.stdout), "dashboard") == []


def test_a_page_server_answers_with_the_page_of_the_moment_and_tells_what_fails() -> None:
    pages = iter(["stackproof_rows 1.0\n", "stackproof_rows 2.0\n"])
    with PageServer(lambda: next(pages)) as server:
        for page in ("stackproof_rows 1.0\n", "stackproof_rows 2.0\n"):
            with urlopen(f"http://{server.target}/metrics?a=b") as answer:
                assert answer.read().decode() == page
                assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        for path, status in (("/metrics", 500), ("/", 404)):
            with pytest.raises(HTTPError) as refused:
                urlopen(f"http://{server.target}{path}")
            assert refused.value.code == status
            refused.value.close()
    server.close()
    with pytest.raises(URLError):
        urlopen(f"http://{server.target}/metrics")


@pytest.mark.services
@pytest.mark.parametrize("watch_targets", ["", "127.0.0.1:9101,watcher.internal:9101"])
def test_promtool_finds_no_fault_in_the_generated_files(
    promtool: Callable[..., str], tmp_path: Path, watch_targets: str
) -> None:
    config, generated, *_ = prometheus(tmp_path, watch_targets=watch_targets).write_files()
    assert "SUCCESS" in promtool("check", "config", config)
    assert f"{len(ALL_RULES)} rules found" in promtool("check", "rules", generated)


@pytest.mark.services
@pytest.mark.parametrize("alert", FAULTS)
def test_an_alert_fires_within_five_minutes_of_its_fault(
    promtool: Callable[..., str], tmp_path: Path, alert: str
) -> None:
    _unit_tested(promtool, tmp_path, HEALTHY | FAULTS[alert], [alert])


@pytest.mark.services
def test_no_alert_fires_on_healthy_servers_and_watchers(promtool: Callable[..., str], tmp_path: Path) -> None:
    _unit_tested(promtool, tmp_path, HEALTHY, [])


def test_every_alert_has_a_fault_that_proves_it() -> None:
    assert FAULTS.keys() == {rule.alert for rule in ALL_RULES}


@pytest.mark.services
def test_every_expression_of_the_dashboard_is_one_of_promql(promtool: Callable[..., str], tmp_path: Path) -> None:
    recorded = [{"record": f"shown:{n}", "expr": expr} for n, expr in enumerate(shown_expressions())]
    file = tmp_path / "shown.json"
    file.write_text(json.dumps({"groups": [{"name": "shown", "rules": recorded}]}))
    assert f"{len(recorded)} rules found" in promtool("check", "rules", file)


class Serving:
    """What `ServerProcess` asks for the adapter."""

    def make(self, home: Path) -> EmbeddedServer:
        return EmbeddedServer(Setting(home))


@pytest.fixture
def model_server(tmp_path: Path) -> Iterator[str]:
    """The URL of an embedded model server that has answered and refused."""
    route = Route("delays", 1, onnx_package(tmp_path / "package", bias=1.0), 1.0)
    process = ServerProcess(Serving, __file__, tmp_path / "server", Deployment("deployment:1", "delays", (route,)), {})
    try:
        url = process.wait_until_ready()
        infer(url, {"x": [0.5, 1.5, 2.5]}, 200)
        infer(url, {"unknown": [1.0]}, 400)
        yield url
    finally:
        process.ensure_dead()


@pytest.mark.services
@pytest.mark.slow
def test_a_real_prometheus_reads_the_servers_and_watchers_and_fires(
    promtool: object, model_server: str, tmp_path: Path
) -> None:
    values = dict.fromkeys(rules.WATCH_METRICS, 0.0) | {"watch_last_alert_time_seconds": time.time()}
    page = prometheus(tmp_path).expose(values, {"deployment": "delays"})
    with PageServer(lambda: page) as watcher:
        targets = {"targets": model_server.removeprefix("http://"), "watch_targets": watcher.target}
        with running(tmp_path, **targets, scrape_seconds=1) as url:
            assert sample(url, "stackproof_serving_rows_total") == 3.0
            assert sample(url, "stackproof_watch_rows") == 0.0
            infer(model_server, {"x": [1.0] * 4}, 200)
            wait_until(lambda: sample(url, "stackproof_serving_rows_total") == 7.0)
            alert = wait_until(lambda: firing(url).get("StackproofDrift"))
            assert alert["labels"]["deployment"] == "delays"
            assert "differs from the reference" in alert["annotations"]["summary"]
            assert firing(url).keys() == {"StackproofDrift"}
            wait_until(lambda: answers_every_panel(url))
            adapter = prometheus(tmp_path, url=url)
            assert adapter.link("deployment:other@1", url) == ""
            address = urlsplit(adapter.link("deployment:delays@2", url))
            (expr,) = parse_qs(address.query)["g0.expr"]
            assert sample(url, expr) == 0.0
            with urlopen(address.geturl()) as page:
                assert page.status == 200
            health = adapter.health()
            assert health.ok, health.detail
            assert health.version in subprocess.check_output(["prometheus", "--version"], text=True)


@pytest.mark.services
@pytest.mark.slow
def test_every_metric_that_rules_and_panels_name_is_one_that_we_expose(model_server: str, tmp_path: Path) -> None:
    with urlopen(f"{model_server}/metrics") as answer:
        pages = answer.read().decode()
    pages += prometheus(tmp_path).expose(dict.fromkeys(rules.WATCH_METRICS, 0.0), {"deployment": "delays"})
    exposed = set(re.findall(r"^(stackproof_\w+)", pages, re.MULTILINE))
    named = re.findall(r"stackproof_\w+", " ".join([*shown_expressions(), *(rule.expr for rule in ALL_RULES)]))
    assert named
    assert set(named) <= exposed


def lost(given: Any, read: Any, place: str) -> list[str]:
    """Where what was read says less than, or other than, what was given."""
    if isinstance(given, dict) and isinstance(read, dict):
        return [fault for key in given for fault in lost(given[key], read.get(key), f"{place}.{key}")]
    if isinstance(given, list) and isinstance(read, list) and len(given) == len(read):
        return [fault for n, pair in enumerate(zip(given, read, strict=True)) for fault in lost(*pair, f"{place}[{n}]")]
    return [] if given == read else [place]


def shown_expressions() -> list[str]:
    """Of the whole dashboard, its variables filled in."""
    shown = expressions(dashboard(watching=True))
    for variable, value in VARIABLES.items():
        shown = [expr.replace(variable, value) for expr in shown]
    assert not any("$" in expr for expr in shown)
    return shown


def _unit_tested(promtool: Callable[..., str], folder: Path, series: Mapping[str, str], firing: list[str]) -> None:
    """By promtool's unit test of rules, these alerts fire 290 seconds after the fault, and none before it."""
    _, generated, *_ = prometheus(folder, watch_targets="127.0.0.1:9101").write_files()
    expected = [
        {
            "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
            "eval_time": f"{seconds}s",
            "exp_samples": [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in alerts],
        }
        for seconds, alerts in ((495, []), (790, firing))
    ]
    test = {
        "interval": "5s",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": expected,
    }
    file = folder / "test.json"
    file.write_text(json.dumps({"rule_files": [str(generated)], "evaluation_interval": "5s", "tests": [test]}))
    promtool("test", "rules", file)


def spec_of(home: Path, **options: Any) -> ServerSpec | None:
    return PrometheusMonitoring.server(Setting(home, options), Path(sys.executable))


@contextmanager
def running(home: Path, **options: Any) -> Iterator[str]:
    """The URL of a Prometheus with the generated files, once it is healthy and has scraped all targets."""
    spec = spec_of(home, **options)
    assert spec is not None
    server = spec.at(free_port())
    url = server.url
    with (home / "prometheus.log").open("w") as log:
        process = subprocess.Popen(server.arguments, cwd=server.folder, stdout=log, stderr=log)
    try:
        wait_until(lambda: is_healthy(server.health) or process.poll() is not None)
        assert process.poll() is None, (home / "prometheus.log").read_text()
        wait_until(lambda: sample(url, "sum(up)") == 2.0)
        yield url
        process.terminate()
        assert process.wait(WAIT_S) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def is_healthy(address: str) -> bool:
    try:
        with urlopen(address) as answer:
            return bool(answer.status == 200)
    except HTTPError as not_yet:
        not_yet.close()
        return False
    except URLError:
        return False


def asked(url: str, path: str, **parameters: str) -> Any:
    with urlopen(f"{url}/api/v1/{path}?{urlencode(parameters)}") as answer:
        return json.load(answer)["data"]


def sample(url: str, query: str) -> float | None:
    """The value of the one series; None where there is none."""
    found = asked(url, "query", query=query)["result"]
    return float(found[0]["value"][1]) if found else None


def firing(url: str) -> dict[str, Any]:
    """The alerts that fire, by name."""
    return {a["labels"]["alertname"]: a for a in asked(url, "alerts")["alerts"] if a["state"] == "firing"}


def answers_every_panel(url: str) -> bool:
    return all(asked(url, "query", query=expr)["result"] for expr in shown_expressions())


def infer(url: str, columns: Mapping[str, list[float]], status: int) -> None:
    assert ask(url, "POST", "/v2/models/delays/infer", request(columns)).status == status


def wait_until(holds: Callable[[], Any]) -> Any:
    end = time.monotonic() + WAIT_S
    while not (found := holds()):
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.1)
    return found


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
