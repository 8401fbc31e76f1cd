"""Sending an alert to the console, to a file of JSON lines, or to a web address."""

import fcntl
import json
import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from stackproof.adapters.monitoring.webhook import Address, Webhook, parse_address
from stackproof.errors import RefusedInput
from stackproof.roles.monitoring import Alert

SENT = "sent"
CONSOLE, FILE, WEBHOOK = "console", "file:", "webhook:"


def send_alert(alert: Alert, sinks: Sequence[str], webhook: Webhook) -> Mapping[str, str]:
    """Send to each sink once, those on this machine first. Returns "sent" or what went wrong, by sink.

    Raises `RefusedInput`, before anything is sent, for a sink of another form.
    """
    document = as_json(alert)
    senders = {sink: _sender(sink, alert, document, webhook) for sink in sinks}
    order = sorted(senders, key=lambda sink: sink.startswith(WEBHOOK))
    results = {sink: senders[sink]() for sink in order}
    return {sink: results[sink] for sink in senders}


def as_json(alert: Alert) -> str:
    """One line of strict JSON; instants in ISO 8601, and numbers that JSON has not as "NaN" or "Infinity"."""
    values = asdict(alert) | {"at": alert.at.isoformat()}
    return json.dumps(_plain(values), ensure_ascii=False, allow_nan=False)


def as_text(alert: Alert) -> str:
    """For a person at a terminal: the title, then one line for each finding."""
    lines = [f"ALERT {alert.at.isoformat(timespec='seconds')} {alert.title}"]
    for finding in alert.findings:
        hint = f"; {finding.hint}" if finding.hint else ""
        lines.append(
            f"  {finding.column}: {finding.effect} ({finding.test}, p = {finding.p_value:.2g}, "
            f"threshold {finding.threshold:.2g}, rows {finding.first} to {finding.last}){hint}"
        )
    lines.append(f"  predictions {alert.first_prediction} to {alert.last_prediction}; alert {alert.id}")
    return "".join(f"{_printable(line)}\n" for line in lines)


def _sender(sink: str, alert: Alert, document: str, webhook: Webhook) -> Callable[[], str]:
    if sink == CONSOLE:
        return lambda: _print(as_text(alert), sys.stderr)
    if sink.startswith(FILE) and _is_path(sink.removeprefix(FILE)):
        return lambda: _append(document, Path(sink.removeprefix(FILE)))
    if sink.startswith(WEBHOOK):
        address = parse_address(sink.removeprefix(WEBHOOK))
        return lambda: _post(webhook, address, document, alert.id)
    raise RefusedInput(
        "Alerts cannot be sent to such a sink",
        got=repr(sink),
        allowed='"console", "file:PATH", "webhook:http://..." or "webhook:https://..."',
    )


def _is_path(text: str) -> bool:
    return bool(text) and "\0" not in text


def _print(text: str, stream: TextIO) -> str:
    """The stream may be closed, or unable to write a character."""
    try:
        encoding = stream.encoding or "utf-8"
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        stream.flush()
    except (OSError, ValueError) as error:
        return f"the console cannot be written: {error}"
    return SENT


def _append(document: str, path: Path) -> str:
    """Whole lines, durable, also when several processes write and when a crash had cut the last line."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        with os.fdopen(descriptor, "r+b", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            end = file.seek(0, os.SEEK_END)
            is_cut = end > 0 and os.pread(descriptor, 1, end - 1) != b"\n"
            _write_whole(descriptor, (b"\n" if is_cut else b"") + document.encode("utf-8", "backslashreplace") + b"\n")
            os.fsync(descriptor)
    except OSError as error:
        return f"{path} cannot be written: {error.strerror or error}"
    return SENT


def _write_whole(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _post(webhook: Webhook, address: Address, document: str, alert_id: str) -> str:
    return webhook.post(address, document.encode("utf-8", "backslashreplace"), alert_id) or SENT


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _printable(line: str) -> str:
    """A value from production must not steer the terminal."""
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in line)
