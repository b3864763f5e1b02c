"""HTTP connections to one service, which stay open and which threads share.

Source: RFC 9112, 3.2.2 (requests to a proxy), 9.3 (a server may close an idle connection).
"""

import base64
import contextlib
import http.client
import os
import socket
import ssl
import threading
import time
import weakref
from collections.abc import Mapping
from email.message import Message
from typing import NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

from client.errors import ClientError, InputError
from client.request import address, is_loopback

CONNECT_S = 10.0
IDLE_S = 5.0  # no connection that was idle for longer is used: what lies in between may have dropped it silently
ENDED = (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError)  # by the other side


class Answer(NamedTuple):
    """What came back, whatever its status."""

    status: int
    reason: str
    headers: Message
    body: bytes


class Connections:
    """As many connections as there are requests at once; each is opened when it is first needed."""

    def __init__(self, url: str, *, timeout_s: float) -> None:
        """Prepare for a service; timeout_s: how long it may be silent."""
        self._url, self._timeout_s = urlsplit(url), timeout_s
        self._proxy = None if is_loopback(url) else _proxy(self._url)  # HTTP_PROXY is for other machines
        self._trust = ssl.create_default_context() if self._url.scheme == "https" else None
        standard = http.client.HTTP_PORT if self._trust is None else http.client.HTTPS_PORT
        self._service = self._url.hostname or "", self._url.port or standard
        self._closed = False
        self.forget()
        _all.add(self)

    @property
    def via(self) -> str:
        """How a message names the proxy in between; empty without one."""
        return "" if self._proxy is None else " through the proxy {}:{}".format(*_place(self._proxy))

    def forget(self) -> None:
        """Begin with no connection, and close none."""
        self._idle: list[tuple[float, http.client.HTTPConnection]] = []
        self._busy: set[http.client.HTTPConnection] = set()
        self._lock = threading.Lock()

    def send(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        """Send a request, and return its answer; twice, if a connection that was open before has ended.

        Raises: OSError or http.client.HTTPException; InputError, if TLS fails; ClientError, after `close`.
        """
        connection = self._take()
        try:
            if connection.sock is not None:
                with contextlib.suppress(*ENDED):
                    return self._exchange(connection, method, path, body, headers)
                connection.close()
            self._connect(connection)
            return self._exchange(connection, method, path, body, headers)
        except BaseException:
            connection.close()  # it opens again
            raise
        finally:
            self._give_back(connection)

    def close(self) -> None:
        """Close all connections; requests that are under way fail."""
        with self._lock:
            self._closed = True
            for connection in self._busy:
                if (sock := connection.sock) is not None:
                    with contextlib.suppress(OSError):
                        socket.socket.shutdown(sock, socket.SHUT_RDWR)  # that of TLS would go on in plain text
            for _, connection in self._idle:
                connection.close()

    def _take(self) -> http.client.HTTPConnection:
        with self._lock:
            self._check_open()
            since, connection = self._idle.pop() if self._idle else (0.0, self._new())
            self._busy.add(connection)
        if time.monotonic() - since > IDLE_S:
            connection.close()
        return connection

    def _give_back(self, connection: http.client.HTTPConnection) -> None:
        with self._lock:
            self._busy.discard(connection)
            if self._closed:
                connection.close()
            self._idle.append((time.monotonic(), connection))

    def _check_open(self) -> None:
        if self._closed:
            raise ClientError("this client was closed: make another one")

    def _connect(self, connection: http.client.HTTPConnection) -> None:
        try:
            connection.connect()
        except ENDED:
            raise
        except ssl.SSLError as error:
            what = f"{self._url.geturl()} is not trusted ({error})"
            raise InputError(f"{what}: check its certificate, and whether it is https") from None
        self._check_open()  # `close` cannot end a connection that is not there yet

    def _exchange(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        body: bytes | None,
        headers: Mapping[str, str],
    ) -> Answer:
        connection.sock.settimeout(self._timeout_s)
        target = self._url.path + path
        if self._proxy is not None and self._trust is None:
            target, headers = f"{self._url.scheme}://{self._url.netloc}{target}", {**headers, **_login(self._proxy)}
        with contextlib.suppress(*ENDED):  # a refusal may come before all is sent
            connection.request(method, target, body, headers)
        response = connection.getresponse()
        return Answer(response.status, response.reason, response.headers, response.read())

    def _new(self) -> http.client.HTTPConnection:
        host, port = self._service if self._proxy is None else _place(self._proxy)
        if self._trust is None:
            return http.client.HTTPConnection(host, port, timeout=CONNECT_S)
        connection = http.client.HTTPSConnection(host, port, timeout=CONNECT_S, context=self._trust)
        if self._proxy is not None:
            connection.set_tunnel(*self._service, _login(self._proxy))
        return connection


_all: weakref.WeakSet[Connections] = weakref.WeakSet()


def _forget_all() -> None:
    """In a forked process: the connections are its parent's, and two that share one read each other's answers."""
    for each in _all:
        each.forget()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_forget_all)


def _proxy(url: SplitResult) -> SplitResult | None:
    """Return the proxy that the environment names for a service.

    Raises: InputError.
    """
    from urllib.request import getproxies, proxy_bypass  # noqa: PLC0415  slow to load, and seldom needed

    named = getproxies().get(url.scheme)
    if named is None or proxy_bypass(url.netloc):
        return None
    proxy = address(named if "//" in named else f"http://{named}")
    if proxy is None:  # what was named may have a password
        raise InputError(f"the variable {url.scheme}_proxy names no HTTP proxy: give one, such as http://proxy:3128")
    return proxy


def _place(proxy: SplitResult) -> tuple[str, int]:
    return proxy.hostname or "", proxy.port or http.client.HTTP_PORT  # of a proxy for https, too


def _login(proxy: SplitResult) -> dict[str, str]:
    if proxy.username is None:
        return {}
    login = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"}
