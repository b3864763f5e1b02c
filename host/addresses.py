"""Addresses to listen on: names and IPv4 or IPv6 addresses, resolved before anything starts."""

import ipaddress
import socket
import threading

RESOLVE_S = 2.0  # a resolver that knows no answer may take half a minute to say so


def numeric_addresses(host: str) -> list[str]:
    """Return the addresses that a name stands for, those of IPv4 first.

    Raises: OSError where nobody knows the name, or not within two seconds.
    """
    found: list[str] = []
    failed: list[OSError] = []

    def ask() -> None:
        try:
            answers = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
            found.extend(str(address[0]) for *_, address in sorted(answers, key=lambda answer: answer[0]))
        except (OSError, UnicodeError) as error:  # UnicodeError: no such name can exist
            failed.append(error if isinstance(error, OSError) else OSError(0, str(error)))

    asking = threading.Thread(target=ask, name="resolve", daemon=True)
    asking.start()
    asking.join(RESOLVE_S)
    if failed:
        raise failed[0]
    if not found:
        raise OSError(0, f"no answer within {RESOLVE_S:g} s")
    return list(dict.fromkeys(found))


def is_version_6(address: str) -> bool:
    """Return whether this is a numeric address of IPv6."""
    return ":" in address


def reachable(address: str) -> str:
    """Return where a program on this machine reaches a server that listens on the address: `::` is `::1`."""
    try:
        listens_everywhere = ipaddress.ip_address(address).is_unspecified
    except ValueError:  # a name
        return address
    if not listens_everywhere:
        return address
    return "::1" if is_version_6(address) else "127.0.0.1"


def printed(host: str, port: int) -> str:
    """Return host:port as a URL has it, with brackets around an address of IPv6."""
    return f"[{host}]:{port}" if is_version_6(host) else f"{host}:{port}"
