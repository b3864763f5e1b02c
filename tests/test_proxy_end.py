"""The end of the proxy, and what it does when it may open no more connections."""

import contextlib
import os
import resource
import socket
import subprocess
import time

import pytest
from conftest import ROOT, answers, wait_until

from host.environment import near_misses
from host.ports import free_port
from proxy.settings import Settings


@pytest.fixture
def start_proxy(start_service):
    """start_proxy(NAME="value") → the service, and its port; Triton is away."""

    def start(**env):
        port = free_port()
        service = start_service("proxy", PORT=str(port), TRITON_URL=f"127.0.0.1:{free_port()}", **env)
        wait_until(lambda: answers(f"http://127.0.0.1:{port}/health/live"), service)
        return service, port

    return start


def ask(connection, path="/health/live"):
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: proxy\r\n\r\n".encode())
    return connection.recv(10_000).decode().partition("\r\n\r\n")[0].split("\r\n")


def test_an_answer_after_the_stop_signal_tells_that_the_connection_closes(start_proxy):
    service, port = start_proxy()
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        before = ask(connection)
        service.process.terminate()
        wait_until(lambda: "event=stopping" in service.said, service)
        after = ask(connection)

        assert "Connection: close" not in before
        assert ("HTTP/1.1 200 OK", True) == (after[0], "Connection: close" in after)
        assert b"" == connection.recv(1), "and it does"
    assert 0 == service.process.wait(10)


def test_without_connections_a_stop_signal_ends_the_process_at_once(start_proxy):
    """Pass figure: 2 s."""
    service, _ = start_proxy()
    began_s = time.monotonic()
    assert 0 == service.stop()
    assert time.monotonic() - began_s < 2


@pytest.mark.parametrize("grace_s", [1, 4])
def test_clients_that_never_end_cannot_hold_the_process_beyond_its_grace(start_proxy, grace_s):
    """Pass figure: 100 slow uploads, idle and half-sent requests; it ends within the grace period and 1 s."""
    service, port = start_proxy(SHUTDOWN_GRACE_S=str(grace_s))
    begun = b"POST /analyze HTTP/1.1\r\nHost: proxy\r\nContent-Type: image/png\r\nContent-Length: 1000\r\n\r\nx"
    with contextlib.ExitStack() as held:
        for n in range(99):
            connection = held.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
            connection.sendall([b"", b"GET / HTTP/1.1\r\nHo", begun][n % 3])
        began_s = time.monotonic()

        assert 0 == service.stop()
        assert time.monotonic() - began_s < grace_s + 1


STUCK = """
import threading, time
from proxy.draining import end_in_time
threading.Thread(target=time.sleep, args=(600,)).start()  # as a decoder that cannot be told to stop
end_in_time(1.0)
"""


def test_a_thread_that_never_ends_cannot_hold_the_process_beyond_its_grace(serving_python):
    """Pass figure: status 0 within the grace period of 1 s, and 3 s for the start of Python."""
    began_s = time.monotonic()
    ended = subprocess.run([serving_python, "-c", STUCK], cwd=ROOT, capture_output=True, timeout=30, check=False)
    assert 0 == ended.returncode
    assert 1 < time.monotonic() - began_s < 4


def test_used_up_descriptors_cost_one_log_line_a_second_and_nothing_else(start_proxy):
    """Pass figure: 190 connections to a process that may have 100 open; at most 1 line a second; then it serves."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    service, port = start_proxy()
    resource.prlimit(service.pid, resource.RLIMIT_NOFILE, (100, hard))
    assert soft > 300, "this test itself opens 190"

    with contextlib.ExitStack() as held:
        began_s = time.monotonic()
        for _ in range(190):  # the rest waits in the backlog of 128
            held.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
        wait_until(lambda: "event=no_more_connections" in service.said, service, timeout_s=10)
        time.sleep(3)
        lines = [line for line in service.said.splitlines() if "no_more_connections" in line]
        others = [line for line in service.said.splitlines() if "event=" not in line]
        elapsed_s = time.monotonic() - began_s

    assert 1 <= len(lines) <= elapsed_s + 1
    assert [] == others, "no traceback"
    wait_until(lambda: answers(f"http://127.0.0.1:{port}/health/live"), service, timeout_s=10)


def test_too_few_descriptors_for_the_connections_are_told(serving_python):
    words = ["sh", "-c", 'ulimit -n 250 && exec "$0" -m proxy', serving_python]
    with subprocess.Popen(words, cwd=ROOT, env=os.environ | {"PORT": "0"}, stdout=subprocess.PIPE, text=True) as proxy:
        told = next(line for line in proxy.stdout if "too_few_open_files" in line or "event=listening" in line)
        proxy.terminate()
    assert "event=too_few_open_files connections=50 " in told


def test_a_misspelled_variable_is_told_with_the_name_that_is_nearest(start_proxy):
    service, _ = start_proxy(MAX_PIXEL="5000000")
    assert "MAX_PIXEL is not read by anything here: did you mean MAX_PIXELS?" in service.said


@pytest.mark.parametrize("name", ["PATH", "HOSTNAME", "TRITON_PORT", "TRITON_SERVICE_HOST", "PROXY_PORT", "LOGNAME"])
def test_what_is_no_misspelling_is_passed_by(name):
    assert [] == near_misses({name: "x"}, Settings)
