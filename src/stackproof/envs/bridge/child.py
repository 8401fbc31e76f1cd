"""The far side: what runs in the tool's environment. Standard library and Stackproof's contracts only."""

import ctypes
import json
import logging
import os
import platform
import select
import signal
import socket
import sys
import threading
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from stackproof.envs.bridge.contracts import methods_of
from stackproof.envs.bridge.description import Description
from stackproof.envs.bridge.frames import BrokenBridge, Kind
from stackproof.envs.bridge.limits import Limits
from stackproof.envs.bridge.peer import Peer
from stackproof.roles.adapter import Setting

HOST, ADAPTER = 0, 2**63
HOSTED = frozenset({"load", "open", "shut"})
DIE_WITH_PARENT = 1


class Host:
    """What the parent finds at the number 0. The adapter, once opened, is at `ADAPTER`."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._class: Any = None
        self._adapter: Any = None

    def load(self, path: str) -> tuple[Any, ...]:
        """Import the class "module:Class". What is missing is told by the error of the import itself."""
        module, _, name = path.partition(":")
        self._class = getattr(import_module(module), name)
        offered = frozenset(name for name in methods_of(self._peer.role) if callable(getattr(self._class, name, None)))
        return Description(
            tool=self._class.tool,
            capabilities=frozenset(self._class.capabilities),
            options=dict(self._class.options),
            methods=offered,
            keyed=frozenset(getattr(self._class, "keyed", ())),
            python=platform.python_version(),
            pid=os.getpid(),
        ).as_plain()

    def open(self, home: Path, options: Mapping[str, object]) -> None:
        self._adapter = self._class(Setting(home=home, options=options))
        names = frozenset(methods_of(self._peer.role)) | {"health"}
        self._peer.exports.add(self._adapter, names, None, number=ADAPTER)

    def shut(self) -> None:
        if self._adapter is not None:
            self._adapter.close()


class Messages(logging.Handler):
    """Takes the place of logging's last resort, so that the parent's logging decides, as if there were no bridge."""

    def __init__(self, peer: Peer) -> None:
        super().__init__(logging.WARNING)
        self._peer = peer

    def emit(self, record: logging.LogRecord) -> None:
        told = json.dumps([record.name, record.levelno, self.format(record)])
        self._peer.send_if_possible(Kind.LOG, 0, told.encode())


def main(told: str) -> None:
    """Serve until the parent says goodbye, then end as a program does; when the parent is gone, end at once."""
    given = json.loads(told)
    _die_with(given["parent"])
    sys.argv[:] = ["stackproof-bridge"]
    sock = socket.socket(fileno=given["socket"])
    sock.set_inheritable(False)
    limits = Limits(
        message_bytes=given["message_bytes"],
        calls=given["calls"],
        bytes_in_flight=given["bytes_in_flight"],
        stop_s=given["stop_s"],
    )
    peer = Peer(sock, given["role"], limits, given["where"], starts=False)
    peer.exports.add(Host(peer), HOSTED, None, number=HOST)
    peer.on_bye = peer.workers.end
    signal.signal(signal.SIGINT, peer.running.on_interrupt)
    logging.lastResort = Messages(peer)
    threading.Thread(target=_listen, args=(sock, peer), name="bridge", daemon=True).start()
    peer.workers.work_here()


def _listen(sock: socket.socket, peer: Peer) -> None:
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    try:
        while True:
            poll.poll()
            peer.receive()
    except (EOFError, OSError, BrokenBridge) as broken:
        if isinstance(broken, BrokenBridge):
            sys.stderr.write(f"{broken}\n")
            sys.stderr.flush()
        # With what the tool started: this process leads a session and a group of its own.
        os.killpg(0, signal.SIGKILL)


def _die_with(parent: int) -> None:
    """Linux ends this process when the thread that started it is gone; elsewhere the closed socket does."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
