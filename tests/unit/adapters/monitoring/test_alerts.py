"""Alerts arrive whole, at each sink, whatever the others do."""

import io
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from stackproof.adapters.monitoring.alerts import as_json, as_text, send_alert
from stackproof.adapters.monitoring.webhook import Webhook, parse_address
from stackproof.errors import RefusedInput
from stackproof.roles.monitoring import Alert
from stackproof.testing.monitoring import an_alert, webhook_server

QUICK = Webhook(timeout_s=0.2, pause_s=0.0)


@contextmanager
def _raw_server(answer: bytes, *, pause_s: float) -> Iterator[tuple[str, list[socket.socket]]]:
    """Accepts, and then sends the answer byte by byte with a pause before each, for ever if it is b""."""
    listener = socket.create_server(("127.0.0.1", 0))
    accepted: list[socket.socket] = []
    stopping = threading.Event()

    def drip(connection: socket.socket) -> None:
        for byte in answer:
            if stopping.wait(pause_s):
                return
            try:
                connection.sendall(bytes([byte]))
            except OSError:
                return

    def serve() -> None:
        while not stopping.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            accepted.append(connection)
            threading.Thread(target=drip, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/", accepted
    finally:
        stopping.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
        for connection in accepted:
            connection.close()


def _send(sinks: list[str], alert: Alert | None = None, webhook: Webhook = QUICK) -> dict[str, str]:
    return dict(send_alert(alert or an_alert(), sinks, webhook))


def test_a_server_that_never_answers_is_tried_three_times_and_given_up(tmp_path: Path) -> None:
    file = f"file:{tmp_path / 'alerts'}"
    with _raw_server(b"", pause_s=0.0) as (url, accepted):
        results = _send([f"webhook:{url}", file])
        assert results == {f"webhook:{url}": "no answer within 0.2 s (3 attempts)", file: "sent"}
        assert len(accepted) == 3


def test_a_server_that_answers_a_byte_at_a_time_cannot_hold_us_beyond_the_deadline() -> None:
    answer = b"HTTP/1.1 200 OK\r\n" + b"X-Slow: 1\r\n" * 10
    with _raw_server(answer, pause_s=0.1) as (url, accepted):
        (result,) = _send([f"webhook:{url}"]).values()
        assert result == "no answer within 0.2 s (3 attempts)"
        assert len(accepted) == 3


def test_a_server_that_speaks_no_http_is_told_of() -> None:
    with _raw_server(b"SSH-2.0-x\r\n\r\n", pause_s=0.0) as (url, _):
        (result,) = _send([f"webhook:{url}"]).values()
    assert result.startswith("no answer (")


def test_a_failing_server_that_recovers_gets_the_alert_once_more_under_the_same_key() -> None:
    with webhook_server(500, 503, 200) as server:
        assert _send([f"webhook:{server.url}"]) == {f"webhook:{server.url}": "sent"}
    assert len(set(server.bodies)) == 1
    assert [headers["Idempotency-Key"] for headers in server.headers] == ["alert:1"] * 3
    assert server.headers[0]["Content-Type"] == "application/json; charset=utf-8"


@pytest.mark.parametrize(("status", "attempts"), [(500, 3), (429, 3), (400, 1), (401, 1), (404, 1)])
def test_only_what_may_pass_is_tried_again(status: int, attempts: int) -> None:
    with webhook_server(status) as server:
        (result,) = _send([f"webhook:{server.url}"]).values()
    assert result.startswith(f"answered {status}")
    assert len(server.bodies) == attempts


def test_a_redirect_is_not_followed() -> None:
    with webhook_server() as target, webhook_server(307, headers={"Location": target.url}) as server:
        (result,) = _send([f"webhook:{server.url}"]).values()
    assert result == "answered 307, a redirect, which is not followed"
    assert target.bodies == []


def test_pauses_grow_between_the_attempts() -> None:
    pauses: list[float] = []
    with webhook_server(500) as server:
        _send([f"webhook:{server.url}"], webhook=Webhook(timeout_s=1.0, pause_s=0.2, sleep=pauses.append))
    assert pauses == [0.2, 0.4]


@pytest.mark.parametrize(
    "url",
    [
        "", "ftp://host/", "file:///etc/passwd", "gopher://host/", "host", "//host/", "http://", "http:///path",
        "http://user:secret@host/", "http://host:0/", "http://host:99999/", "http://host:x/", "http://ho st/",
        "http://host/\r\nX: y", "http://host/\x00", "http://[::1", "http://host/é", "http://host/#part",
    ],
)  # fmt: skip
def test_addresses_of_another_form_are_refused(url: str) -> None:
    with pytest.raises(RefusedInput):
        parse_address(url)


def test_addresses_keep_their_port_path_and_query() -> None:
    address = parse_address("https://[::1]:8443/a/b?c=d")
    assert (address.is_https, address.host, address.port, address.path) == (True, "::1", 8443, "/a/b?c=d")
    assert parse_address("http://host").path == "/"


def test_nothing_is_sent_when_one_sink_is_refused() -> None:
    with webhook_server() as server, pytest.raises(RefusedInput):
        _send([f"webhook:{server.url}", "pager:1"])
    assert server.bodies == []


def test_a_sink_named_twice_is_sent_to_once(tmp_path: Path) -> None:
    file = tmp_path / "alerts"
    assert _send([f"file:{file}"] * 2) == {f"file:{file}": "sent"}
    assert file.read_bytes().count(b"\n") == 1


def test_a_line_that_a_crash_had_cut_does_not_spoil_the_next(tmp_path: Path) -> None:
    file = tmp_path / "alerts"
    file.write_bytes(b'{"id": "aler')
    _send([f"file:{file}"])
    lines = file.read_text().splitlines()
    assert len(lines) == 2
    assert json.loads(lines[1])["id"] == "alert:1"


def test_a_full_disk_is_told_and_the_next_sink_is_served(tmp_path: Path) -> None:
    results = _send(["file:/dev/full", f"file:{tmp_path / 'alerts'}", f"file:{tmp_path}"])
    assert list(results) == ["file:/dev/full", f"file:{tmp_path / 'alerts'}", f"file:{tmp_path}"]
    assert "cannot be written" in results["file:/dev/full"]
    assert results[f"file:{tmp_path / 'alerts'}"] == "sent"
    assert "cannot be written" in results[f"file:{tmp_path}"]


APPEND_MANY = """
import sys
from dataclasses import replace
from stackproof.adapters.monitoring.alerts import send_alert
from stackproof.adapters.monitoring.webhook import Webhook
from stackproof.testing.monitoring import an_alert

sink, letter = sys.argv[1:]
for _ in range(20):
    send_alert(replace(an_alert(), id=f"alert:{letter}", title=letter * 20_000), [sink], Webhook())
"""


def test_alerts_of_several_processes_do_not_mix(tmp_path: Path) -> None:
    file = tmp_path / "alerts"
    command = [sys.executable, "-c", APPEND_MANY, f"file:{file}"]
    workers = [subprocess.Popen([*command, letter]) for letter in "abc"]
    assert [worker.wait() for worker in workers] == [0, 0, 0]
    alerts = [json.loads(line) for line in file.read_text().splitlines()]
    assert len(alerts) == 60
    assert all(alert["title"] == alert["id"][-1] * 20_000 for alert in alerts)


@pytest.mark.parametrize("statistic", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_json_has_not_are_spelt_out(statistic: float) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    document = json.loads(as_json(an_alert(statistic=statistic)), parse_constant=refuse)
    read_back = float(document["findings"][0]["statistic"])
    assert repr(read_back) == repr(statistic)


def test_the_console_shows_the_evidence_and_no_control_characters() -> None:
    finding = replace(an_alert().findings[0], effect="share of '\x1b[31mé'\n1 % -> 2 %")
    text = as_text(replace(an_alert(), findings=(finding,)))
    assert "\x1b" not in text
    assert "share of '\\x1b[31mé'\\n1 % -> 2 %" in text
    assert "p = 1e-10" in text
    assert "prediction:1" in text
    assert text.count("\n") == 3


def test_a_console_that_cannot_show_a_letter_still_shows_the_alert(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(raw, encoding="ascii"))
    assert _send(["console"], replace(an_alert(), title="größe")) == {"console": "sent"}
    assert b"gr\\xf6\\xdfe" in raw.getvalue()


def test_a_closed_console_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)
    assert "cannot be written" in _send(["console"])["console"]
