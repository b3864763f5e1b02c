"""The watch over a Triton: it finds out what to ask however late it is told, and ends what stands still."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from inference_server import launcher, watch
from inference_server.errors import OutOfMemoryError
from inference_server.launcher import Server
from inference_server.watch import NOT_HEALTHY, Watch

CONFIG = {
    "name": "segmenter",
    "max_batch_size": 8,
    "input": [{"name": "image", "data_type": "TYPE_UINT8", "dims": ["-1", "-1"]}],
    "output": [{"name": "probability"}],
}
PATIENCE_S = 20


class Handler(BaseHTTPRequestHandler):
    """Answers the questions for a configuration with the server's answers, one after the other; None is no answer."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        server = self.server
        answer = server.answers.pop(0) if len(server.answers) > 1 else server.answers[0]
        if answer is None:
            server.over.wait(PATIENCE_S)
        else:
            self._send(answer)

    def do_POST(self) -> None:
        self.server.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self._send(b'{"error": "the stub is ' + NOT_HEALTHY + b'"}')

    def _send(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def watched(
    *answers: bytes | None, program: str = "import time; time.sleep(600)"
) -> Iterator[tuple[Watch, ThreadingHTTPServer, subprocess.Popen[bytes]]]:
    """A watch over a process of this program, in whose name a server gives these answers."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.answers, server.asked, server.over = list(answers), [], threading.Event()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    process = subprocess.Popen([sys.executable, "-c", program])
    time.sleep(0.2)  # until it has started
    looking = Watch(process, [], f"127.0.0.1:{server.server_port}", ["segmenter"], stall_s=2)
    looking.start()
    try:
        yield looking, server, process
    finally:
        looking.stop()
        server.over.set()
        server.shutdown()
        server.server_close()
        thread.join()
        process.kill()
        process.wait()


@pytest.mark.parametrize("first", [b"", b"not yet", b"[]", b'{"error": "the model is not ready"}'])
def test_a_server_that_does_not_tell_at_once_what_it_wants_is_asked_again(
    monkeypatch: pytest.MonkeyPatch, first: bytes
) -> None:
    monkeypatch.setattr(watch, "ASK_S", 0.05)
    with watched(first, json.dumps(CONFIG).encode()) as (looking, server, process):
        assert process.wait(PATIENCE_S)
        assert "one of its instances did not answer in time" == looking.reason
        (image,) = server.asked[0]["inputs"]
        assert [1, 32, 32] == image["shape"]


def test_a_server_that_stands_still_before_it_tells_what_it_wants_is_ended() -> None:
    with watched(None) as (looking, _, process):
        assert process.wait(PATIENCE_S)
        assert "it answered no small inference within" in looking.reason
        assert looking.reason.endswith("did not compute either")


def test_a_server_that_answers_nothing_for_too_long_is_ended_however_busy_it_is() -> None:
    with watched(None, program="while True: pass") as (looking, _, process):
        assert process.wait(PATIENCE_S)
        assert "it answered no small inference within 2 s" == looking.reason


def test_a_server_whose_model_wants_something_else_than_numbers_is_asked_for_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watch, "ASK_S", 0.05)
    words = {**CONFIG, "input": [{"name": "text", "data_type": "TYPE_STRING", "dims": ["1"]}]}
    with watched(json.dumps(words).encode()) as (looking, server, process):
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1)
        assert ("", []) == (looking.reason, server.asked)


def test_a_stalled_server_ended_because_of_that_whatever_the_kernel_has_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launcher, "memory_kills", lambda: 1)
    with watched(None) as (looking, _, process):
        server = Server("127.0.0.1:1", "127.0.0.1:2", process, 0, looking)
        with pytest.raises(OutOfMemoryError):
            server.why_ended()
        assert process.wait(PATIENCE_S)

        assert f"Triton is stalled: {looking.reason}; it was ended" == str(server.why_ended())
