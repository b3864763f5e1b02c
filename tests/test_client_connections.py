"""The client on real networks: connections that end, forks, TLS, proxies and gateways, addresses, odd answers."""

import socket
import ssl
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from aiohttp import web

from client import Client, InputError, RefusedError, ServiceAwayError, WrongAnswerError
from client.patience import read_retry_after
from tests.certificates import certificate
from tests.conftest import ROOT
from tests.contract_service import ContractService, png, sound

LARGE = b"\xff\xd8" + bytes(2**24)  # more than two sockets hold


@pytest.fixture
def service():
    with ContractService() as service:
        yield service


@pytest.fixture
def tls(tmp_path):
    """A server's TLS, whose certificate the client does not trust."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate(tmp_path / "certificate.pem"))
    return context


@pytest.fixture
def trusted_tls(tls, tmp_path, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
    return tls


@pytest.fixture
def listening():
    """A socket with which a test is the server."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        yield server


def port_of(server):
    return server.getsockname()[1]


@pytest.fixture
def pool():
    with ThreadPoolExecutor() as pool:
        yield pool


def test_a_connection_that_ended_while_it_was_idle_is_replaced_at_once(service):
    with Client(service.url, wait_s=0) as client:
        for ask in (lambda: client.analyze(png(sound())), client.served_model):
            client.analyze(png(sound()))
            service.go()
            service.come()

            ask()


def test_an_image_that_is_never_answered_is_sent_once_on_a_new_connection(service):
    image = png(sound())
    service.dropped = {image}

    with Client(service.url, wait_s=0) as client, pytest.raises(ServiceAwayError):
        client.analyze(image)

    assert 1 == len(service.posts)


FORK = """
import os, sys
from client import Client
with Client(sys.argv[1], wait_s=0) as client:
    image = sys.stdin.buffer.read()
    client.analyze(image)
    if (child := os.fork()) == 0:
        client.analyze(image)
        client.close()
        os._exit(0)
    assert (child, 0) == os.waitpid(child, 0)
    client.analyze(image)
"""


def test_a_forked_process_has_a_connection_of_its_own(service):
    subprocess.run([sys.executable, "-c", FORK, service.url], cwd=ROOT, input=png(sound()), check=True)

    first, forked, again = service.peers
    assert first == again != forked


def test_a_service_with_tls_answers_if_its_certificate_is_trusted(tls, tmp_path, monkeypatch):
    with ContractService(tls) as service:
        with Client(service.url) as client, pytest.raises(InputError, match=r"self-signed.*check its certificate"):
            client.analyze(png(sound()))
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
        with Client(service.url) as client:
            assert "ok" == client.analyze(png(sound())).verdict


def test_https_where_the_service_speaks_http_is_told_at_once(service):
    url = service.url.replace("http:", "https:")

    with Client(url) as client, pytest.raises(InputError, match=f"{url} is not trusted .* whether it is https"):
        client.analyze(png(sound()))


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_refusal_before_the_image_is_sent_is_read(scheme, listening, trusted_tls, pool):
    def refuse():
        connection, _ = listening.accept()
        if scheme == "https":
            connection = trusted_tls.wrap_socket(connection, server_side=True)
        with connection:
            connection.recv(1000)
            connection.sendall(b"HTTP/1.1 413 Too large\r\nContent-Length: 0\r\n\r\n")
            time.sleep(0.5)  # as gateways linger: an end with unread bytes may overtake the answer

    refusing = pool.submit(refuse)
    with (
        Client(f"{scheme}://127.0.0.1:{port_of(listening)}", wait_s=0) as client,
        pytest.raises(RefusedError, match=r"Too large \(413\)"),
    ):
        client.analyze(LARGE)
    refusing.result()


def test_a_closed_client_never_reads_what_is_encrypted_as_an_answer(listening, trusted_tls, pool):
    client = Client(f"https://127.0.0.1:{port_of(listening)}")
    waiting = pool.submit(client.analyze, LARGE)
    connection, _ = listening.accept()
    with trusted_tls.wrap_socket(connection, server_side=True) as connection:  # it has sent session tickets
        connection.recv(1000)

        client.close()

        with pytest.raises(ServiceAwayError):
            waiting.result(timeout=60)


def test_a_proxy_that_is_away_is_named_without_its_password(monkeypatch):
    monkeypatch.setenv("http_proxy", "http://user:secret@127.0.0.1:9")

    with (
        Client("http://tiles.invalid", wait_s=0) as client,
        pytest.raises(ServiceAwayError, match=r"tiles\.invalid could not be reached through the proxy 127\.0\.0\.1:9 "),
    ):
        client.analyze(png(sound()))


@pytest.mark.parametrize("proxy", ["http://a:secret", "http://[::1", "http://", "socks5://a:1", "http://a..b", "//ä:1"])
def test_a_proxy_that_is_no_address_is_told_by_its_variable(monkeypatch, proxy):
    monkeypatch.setenv("http_proxy", proxy)

    with pytest.raises(InputError, match="the variable http_proxy names no HTTP proxy: give"):
        Client("http://tiles.invalid")


def test_a_tunnel_leads_to_the_port_of_https(listening, monkeypatch, pool):
    monkeypatch.setenv("https_proxy", f"127.0.0.1:{port_of(listening)}")

    def refuse():
        connection, _ = listening.accept()
        with connection:
            asked = connection.recv(1000)
            connection.sendall(b"HTTP/1.1 403 Forbidden\r\n\r\n")
        return asked

    asked = pool.submit(refuse)
    with Client("https://[fd00::abcd]", wait_s=0) as client, pytest.raises(ServiceAwayError, match="403"):
        client.analyze(png(sound()))
    assert b":443 HTTP/1." in asked.result().splitlines()[0]


@pytest.mark.parametrize(
    ("url", "proxy", "expected"),
    [
        ("http://tiles.invalid", {}, ("tiles.invalid", 80)),
        ("http://[::1]", {}, ("::1", 80)),
        ("http://[fd00::abcd]/prefix", {}, ("fd00::abcd", 80)),
        ("https://[fd00::abcd]", {}, ("fd00::abcd", 443)),
        ("http://[fd00::abcd]:81", {}, ("fd00::abcd", 81)),
        ("http://tiles.invalid", {"http_proxy": "http://[fd00::1]"}, ("fd00::1", 80)),
        ("https://tiles.invalid", {"https_proxy": "proxy.invalid"}, ("proxy.invalid", 80)),
    ],
)
def test_an_address_without_a_port_has_the_usual_one(monkeypatch, url, proxy, expected):
    asked = []

    def refuse(place, *_):  # a test cannot listen on these
        asked.append(place)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "create_connection", refuse)
    for name, value in proxy.items():
        monkeypatch.setenv(name, value)

    with Client(url, wait_s=0) as client, pytest.raises(ServiceAwayError):
        client.analyze(png(sound()))

    assert [expected] == asked


@pytest.mark.parametrize(
    "url",
    ["http://a/ä", "http://ä", "http://a/b c", "http://a\n", "http://a..b", f"http://{'a' * 64}.b", "http://[::1"],
)
def test_an_address_that_no_request_can_have_is_refused(url):
    with pytest.raises(InputError, match="give the service's address in ASCII"):
        Client(url)


@pytest.mark.parametrize(
    "url", ["http://user:secret@a", "ftp://user:secret@a", "http://user:secret@[", "http://secret@a"]
)
def test_an_address_with_a_password_is_refused_and_not_repeated(url):
    with pytest.raises(InputError, match="the URL has an @") as refused:
        Client(url)

    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("status", "body"),
    [(429, {}), (502, {"text": "<html>Bad gateway"}), (503, {"text": '{"message": "no upstream"}'}), (504, {})],
)
def test_a_gateway_whose_service_is_away_gets_the_image_again(service, status, body):
    service.refusals = [web.Response(status=status, **body)]

    with Client(service.url) as client:
        assert "ok" == client.analyze(png(sound())).verdict

    assert 2 == len(service.posts)


@pytest.mark.parametrize("after", ["0", "Wed, 21 Oct 2015 07:28:00 GMT"])
def test_a_service_that_names_no_time_is_asked_less_and_less_often(service, after):
    service.refusals = [(503, "Queue full", after)] * 3
    started = time.monotonic()

    with Client(service.url) as client:
        client.analyze(png(sound()))

    assert 0.25 + 0.5 + 1 <= time.monotonic() - started
    assert 4 == len(service.posts)


@pytest.mark.parametrize("year", ["99999", "9" * 20])
def test_a_retry_after_of_an_absurd_year_is_none(year):
    assert read_retry_after(f"Wed, 21 Oct {year} 07:28:00 GMT") is None


@pytest.mark.parametrize("body", [{}, {"text": "<html>"}, {"text": "{}"}])
def test_a_redirection_is_told_with_where_it_leads(service, body):
    service.refusals = [web.Response(status=301, headers={"Location": "https://tiles.invalid/v1/analyze"}, **body)]

    with (
        Client(service.url) as client,
        pytest.raises(WrongAnswerError, match=r"redirects to https://tiles\.invalid/v1/analyze: check the URL"),
    ):
        client.analyze(png(sound()))


def test_an_answer_that_is_nested_too_deeply_is_none_of_this_service(service):
    service.refusals = [web.Response(text="[" * 200_000)]

    with Client(service.url) as client, pytest.raises(WrongAnswerError, match="check the URL"):
        client.analyze(png(sound()))
