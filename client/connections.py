"""HTTP connections to one service, which stay open and which threads share.

Source: RFC 9112, 3.2.2 (requests to a proxy), 9.3 (a server may close an idle connection).
"""

import base64
import contextlib
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from email.message import Message
from typing import NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

from client.errors import ClientError
from client.request import is_loopback

CONNECT_S = 10.0
IDLE_S = 5.0  # no connection that was idle for longer is used: the service may close it in the same moment


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
        self._idle: list[tuple[float, http.client.HTTPConnection]] = []
        self._busy: set[http.client.HTTPConnection] = set()
        self._closed = False
        self._lock = threading.Lock()

    def send(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        """Send a request, and return its answer.

        Raises: OSError or http.client.HTTPException; ClientError, after `close`.
        """
        connection = self._take()
        try:
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
                if connection.sock is not None:
                    with contextlib.suppress(OSError):
                        connection.sock.shutdown(socket.SHUT_RDWR)
            for _, connection in self._idle:
                connection.close()

    def _take(self) -> http.client.HTTPConnection:
        with self._lock:
            if self._closed:
                raise ClientError("this client was closed: make another one")
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

    def _exchange(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        body: bytes | None,
        headers: Mapping[str, str],
    ) -> Answer:
        if connection.sock is None:
            connection.connect()
        connection.sock.settimeout(self._timeout_s)
        target = self._url.path + path
        if self._proxy is not None and self._trust is None:
            target, headers = f"{self._url.scheme}://{self._url.netloc}{target}", {**headers, **_login(self._proxy)}
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # a refusal may come before all is sent
            connection.request(method, target, body, headers)
        response = connection.getresponse()
        return Answer(response.status, response.reason, response.headers, response.read())

    def _new(self) -> http.client.HTTPConnection:
        at = self._proxy or self._url
        host = at.hostname or ""
        if self._trust is None:
            return http.client.HTTPConnection(host, at.port, timeout=CONNECT_S)
        connection = http.client.HTTPSConnection(host, at.port, timeout=CONNECT_S, context=self._trust)
        if self._proxy is not None:
            connection.set_tunnel(self._url.hostname or "", self._url.port, _login(self._proxy))
        return connection


def _proxy(url: SplitResult) -> SplitResult | None:
    """Return the proxy that the environment names for a service."""
    from urllib.request import getproxies, proxy_bypass  # noqa: PLC0415  slow to load, and seldom needed

    address = getproxies().get(url.scheme)
    if address is None or proxy_bypass(url.netloc):
        return None
    return urlsplit(address if "//" in address else f"//{address}")


def _login(proxy: SplitResult) -> dict[str, str]:
    if proxy.username is None:
        return {}
    login = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"}
