"""Addresses of both versions of IP, and names."""

import errno
import os
import socket

import pytest

from host.addresses import numeric_addresses, printed, reachable
from inference_server.addresses import refuse_port_in_use
from inference_server.errors import PortInUseError


@pytest.mark.parametrize(
    ("host", "shown"),
    [("127.0.0.1", "127.0.0.1:80"), ("::1", "[::1]:80"), ("a.b", "a.b:80")],
)
def test_an_address_of_version_6_has_brackets(host: str, shown: str) -> None:
    assert shown == printed(host, 80)


@pytest.mark.parametrize(
    ("host", "there"),
    [("0.0.0.0", "127.0.0.1"), ("::", "::1"), ("0:0::0", "::1"), ("10.1.2.3", "10.1.2.3"), ("a.b", "a.b")],  # noqa: S104
)
def test_a_server_on_every_address_is_reached_at_loopback(host: str, there: str) -> None:
    assert there == reachable(host)


def test_of_a_names_addresses_those_of_version_4_come_first_and_each_once(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(socket.AF_INET6, "::1"), (socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]
    answers = [(family, socket.SOCK_STREAM, 6, "", (address, 0)) for family, address in found]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answers)

    assert ["127.0.0.1", "::1"] == numeric_addresses("localhost")


@pytest.mark.parametrize("host", ["nobody.invalid", "a" * 64, "1.2.3.4.5"])
def test_a_name_that_nobody_knows_is_an_error(host: str) -> None:
    with pytest.raises(OSError, match=r"."):
        numeric_addresses(host)


def test_a_version_of_ip_that_the_kernel_lacks_is_told_by_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_version_6(*_: object) -> socket.socket:
        raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))

    monkeypatch.setattr(socket, "socket", without_version_6)

    with pytest.raises(PortInUseError, match=r"\[::\]:80 \(Address family not .*\): set HOST to an address of this"):
        refuse_port_in_use("::", 80, "HOST", "PORT")
