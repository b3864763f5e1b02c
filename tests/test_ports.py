"""Ports for servers on loopback: free, and never twice in one process."""

import socket

import pytest

from host import ports
from host.ports import free_port


def test_no_port_is_returned_twice_though_nothing_listens_yet():
    given = [free_port() for _ in range(200)]
    assert 200 == len(set(given))
    assert all(1024 < port < 32_768 for port in given)


def test_a_port_on_which_somebody_listens_is_passed_over(monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        busy, free = taken.getsockname()[1], free_port()
        monkeypatch.setattr(ports, "_untried", iter([busy, free]))
        assert free == free_port()


def test_where_no_port_is_free_the_error_names_the_range(monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setattr(ports, "_untried", iter([taken.getsockname()[1]]))
        with pytest.raises(OSError, match="no port of loopback from 20000 to 31999 is free"):
            free_port()


def test_a_port_is_reusable_by_a_server_at_once():
    port = free_port()
    with socket.create_server(("127.0.0.1", port)) as server:
        assert port == server.getsockname()[1]
