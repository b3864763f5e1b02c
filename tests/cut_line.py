"""A TCP line to a server on loopback that can be cut, or held, after so many bytes."""

import contextlib
import math
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path


class Line(socketserver.ThreadingTCPServer):
    """Each connection carries at most `down_bytes` from the server and `up_bytes` to it; then it is closed.

    `full` is set when the first one is; with `go_on` cleared, it waits for that before it is closed.
    """

    daemon_threads = True

    def __init__(self, port: int, certificate: Path | None) -> None:
        super().__init__(("127.0.0.1", 0), Connection)
        self.tls = None
        if certificate:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(certificate)
        self.target = ("127.0.0.1", port)
        self.full, self.go_on = threading.Event(), threading.Event()
        self.go_on.set()
        self.mend()

    @property
    def endpoint(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.server_address[1]}"

    def mend(self) -> None:
        self.down_bytes = self.up_bytes = math.inf

    def carry(self, source: socket.socket, target: socket.socket, allowance: float) -> None:
        with contextlib.suppress(OSError):  # the other direction has closed both
            while allowance and (chunk := source.recv(int(min(2**16, allowance)))):
                target.sendall(chunk)
                allowance -= len(chunk)
        if not allowance:
            self.full.set()
            self.go_on.wait()
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


class Connection(socketserver.BaseRequestHandler):
    """One client's connection and its other half, to the server."""

    server: Line

    def handle(self) -> None:
        client = self.request
        if self.server.tls:
            try:
                client = self.server.tls.wrap_socket(client, server_side=True)
            except OSError:  # the client does not trust the certificate
                return
        with client, socket.create_connection(self.server.target) as upstream:
            up = threading.Thread(target=self.server.carry, args=(client, upstream, self.server.up_bytes))
            up.start()
            self.server.carry(upstream, client, self.server.down_bytes)
            up.join()


@contextlib.contextmanager
def line_to(port: int, certificate: Path | None = None) -> Iterator[Line]:
    """Serve a line to this port until the end of the `with` block; over TLS with a certificate and its key."""
    with Line(port, certificate) as line:
        thread = threading.Thread(target=line.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield line
        finally:
            line.go_on.set()
            line.shutdown()
            thread.join()
