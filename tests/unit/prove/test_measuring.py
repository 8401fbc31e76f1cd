"""What a process takes is seen, with what it started; HTTP answers are whole; a comparison names who is ahead."""

import os
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from stackproof.errors import Unavailable
from stackproof.prove.candidate import Writer
from stackproof.prove.http_load import drive, request_bytes
from stackproof.prove.measuring import MemoryWatch, disk_bytes, family, memory_bytes
from stackproof.prove.model import COLUMNS, BoostedTrees
from stackproof.prove.record import Record
from stackproof.prove.tracking import check_recovered
from stackproof.prove.verdict import compare
from stackproof.roles.proof import Figure, Proof
from stackproof.usecases.installed import installed_closure

GROWS = "import sys; held = bytearray(b'x' * 60_000_000); print('held', flush=True); sys.stdin.read()"


@pytest.fixture
def nested() -> Iterator["subprocess.Popen[bytes]"]:
    """A process whose child holds 60 MB."""
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {GROWS!r}])"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield process
        process.communicate()


def test_the_memory_of_what_a_process_started_counts(nested: "subprocess.Popen[bytes]") -> None:
    assert len(family(nested.pid)) == 2
    with MemoryWatch(nested.pid) as watch:
        pass
    assert 60e6 < watch.peak_bytes < 200e6
    assert memory_bytes(nested.pid) < 60e6


def test_a_process_that_is_gone_has_no_family_and_no_memory() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert family(process.pid) == []
    assert memory_bytes(process.pid) == 0
    with MemoryWatch(None) as watch:
        pass
    assert watch.peak_bytes == 0


def test_a_file_with_two_names_takes_its_room_once(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "a").write_bytes(os.urandom(1_000_000))
    once = disk_bytes(tmp_path)
    (tmp_path / "b").hardlink_to(tmp_path / "inner" / "a")
    assert 1_000_000 <= disk_bytes(tmp_path) <= once + 8192
    assert disk_bytes(tmp_path / "nowhere") == 0


class Echo(BaseHTTPRequestHandler):
    """Answers the body; every third answer in chunks; hangs up at the path /gone."""

    protocol_version = "HTTP/1.1"
    count = 0

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.path == "/gone":
            self.close_connection = True
            return
        Echo.count += 1
        self.send_response(200)
        if Echo.count % 3 == 0:
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            half = len(body) // 2
            for part in (body[:half], body[half:], b""):
                self.wfile.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
            return
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


class Threaded(socketserver.ThreadingTCPServer):
    daemon_threads = True


@pytest.fixture
def url() -> Iterator[str]:
    with Threaded(("127.0.0.1", 0), Echo) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.parametrize("connections", [1, 5])
def test_every_request_gets_its_own_answer_whole(url: str, connections: int) -> None:
    made = [request_bytes(url, "/", {"number": n, "filling": "ü" * n}) for n in range(60)]
    answers, lost = drive(url, lambda n: made[n], connections=connections, until=lambda sent: sent >= 60)
    assert lost == 0
    assert sorted(answer.number for answer in answers) == list(range(60))
    assert all(answer.content["number"] == answer.number for answer in answers)
    assert all(answer.status == 200 and answer.seconds > 0 for answer in answers)


def test_requests_that_a_dead_server_took_are_counted_as_lost(url: str) -> None:
    gone = request_bytes(url, "/gone", {})
    answers, lost = drive(url, lambda n: gone, connections=3, until=lambda sent: sent >= 10)
    assert (answers, lost) == ([], 3)


def test_a_writer_counts_what_returned_and_ends_at_the_first_error() -> None:
    def call(number: int) -> None:
        if number == 5:
            raise Unavailable("it is gone")

    writer = Writer(call)
    assert writer.wait_for(5)
    writer.end()
    assert (writer.acknowledged, writer.attempted) == (5, 6)
    assert isinstance(writer.error, Unavailable)
    assert not writer.wait_for(6)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ([0, 1, 2, 3, 4], ""),
        ([0, 1, 2, 3, 4, 5], ""),
        ([0, 1, 3, 4], "1 of 5 acknowledged points are gone"),
        ([0, 1, 2, 3, 4, 6], "1 points that nobody wrote"),
        ([0, 1, 1, 2, 3, 4], "1 points are there twice"),
    ],
)
def test_acknowledged_is_within_recovered_and_recovered_within_attempted(found: list[int], said: str) -> None:
    record, writer = Record(), Writer(lambda n: time.sleep(0))
    writer.end()
    writer.acknowledged, writer.attempted = 5, 6
    check_recovered(record, found, writer, "points")
    assert said in "\n".join(record.faults)
    assert record.correct is (said == "")


def test_a_round_that_warms_up_leaves_no_figure_and_keeps_its_faults() -> None:
    record = Record(counted=False)
    record.figure("x", "s", 1.0)
    record.check(False, "wrong")
    record.check(False, "wrong")
    record.counted = True
    record.figure("x", "s", 2.0)
    record.figure("x", "s", float("inf"))
    assert record.figures() == (Figure("x", "s", (2.0,)),)
    assert record.faults == ["wrong"]


def proof(tool: str, values: tuple[float, ...], *, correct: bool = True, name: str = "predict_p99") -> Proof:
    figures = (Figure(name, "ms", values),) if values else ()
    return Proof("serving", tool, "requests", datetime.now(UTC), {}, {}, "", correct, (), figures)


@pytest.mark.parametrize(
    ("proofs", "ahead"),
    [
        ([proof("a", (1, 2, 3)), proof("b", (4, 5, 6))], {0}),
        ([proof("a", (4, 5, 6)), proof("b", (1, 2, 3))], {1}),
        ([proof("a", (1, 2, 5)), proof("b", (4, 5, 6))], set()),
        ([proof("a", (1, 2, 3)), proof("b", (2, 3, 4)), proof("c", (7, 8, 9))], {0, 1}),
        ([proof("a", (1, 2, 3), correct=False), proof("b", (4, 5, 6))], set()),
        ([proof("a", (1, 2, 3)), proof("b", ())], set()),
        ([proof("a", (1,)), proof("b", (4,))], set()),
        ([proof("a", (1,), name="lines_of_stack"), proof("b", (4,), name="lines_of_stack")], {0}),
        ([proof("a", (1, 2, 3), name="requests_per_second"), proof("b", (4, 5, 6), name="requests_per_second")], {1}),
        ([proof("a", (1, 2, 3), name="load"), proof("b", (4, 5, 6), name="load")], set()),
    ],
)
def test_ahead_is_who_can_be_told_from_the_others(proofs: list[Proof], ahead: set[int]) -> None:
    (compared,) = compare(proofs)
    assert compared.ahead == ahead


def test_the_served_model_gives_what_its_trees_give_without_a_runtime(tmp_path: Path) -> None:
    import numpy as np
    import onnxruntime

    trees = BoostedTrees()
    session = onnxruntime.InferenceSession(str(trees.write(tmp_path / "package") / "model.onnx"))
    rows = np.random.default_rng(1).normal(size=(200, COLUMNS)).astype(np.float32)
    (found,) = session.run(None, {"columns": rows})
    assert found[:, 0].tolist() == pytest.approx(trees.predict(rows.tolist()), abs=1e-6)
    assert len(set(found[:, 0].tolist())) > 190


def test_what_is_installed_is_counted_with_all_that_it_needs() -> None:
    base, embedded = installed_closure("stackproof"), installed_closure("stackproof[embedded]")
    assert {"stackproof", "click", "rich"} <= base.keys()
    assert "polars" not in base
    assert {"polars", "numpy", *base} <= embedded.keys()
    assert sum(embedded.values()) > sum(base.values()) > 1e6
    assert installed_closure("no-such-distribution") == {}
