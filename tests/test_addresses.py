"""Addresses of both versions of IP, and names."""

import pytest

from host.addresses import numeric_addresses, printed, reachable


@pytest.mark.parametrize(
    ("host", "shown"),
    [("127.0.0.1", "127.0.0.1:80"), ("::1", "[::1]:80"), ("fe80::1%eth0", "[fe80::1%eth0]:80"), ("a.b", "a.b:80")],
)
def test_an_address_of_version_6_has_brackets(host: str, shown: str) -> None:
    assert shown == printed(host, 80)


@pytest.mark.parametrize(
    ("host", "there"),
    [("0.0.0.0", "127.0.0.1"), ("::", "::1"), ("0:0::0", "::1"), ("10.1.2.3", "10.1.2.3"), ("a.b", "a.b")],  # noqa: S104
)
def test_a_server_on_every_address_is_reached_at_loopback(host: str, there: str) -> None:
    assert there == reachable(host)


def test_localhost_is_loopback_first_of_version_4() -> None:
    assert numeric_addresses("localhost")[0] in ("127.0.0.1", "::1")
    assert ["::1"] == numeric_addresses("::1")


@pytest.mark.parametrize("host", ["nobody.invalid", "a" * 64, "1.2.3.4.5"])
def test_a_name_that_nobody_knows_is_an_error(host: str) -> None:
    with pytest.raises(OSError, match=r"."):
        numeric_addresses(host)
