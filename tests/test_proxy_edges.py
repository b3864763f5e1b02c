"""What comes before and around a request: bad HTTP, headers, Expect, CORS, inner addresses, slow connections."""

import asyncio
import contextlib
import gc
import json

import pytest
from proxy_servers import png, problem, running_proxy, texture, until
from structlog.testing import capture_logs

from proxy import limited_server
from proxy.connection_limits import PATIENCE_S
from proxy.connections import Connection
from proxy.image_steps import ADMISSION
from proxy.problems import without_addresses
from proxy.security_headers import SECURITY_HEADERS

BODY = png(texture(32, 40))
SETTINGS = {"max_pixels": 10_240}
LIVE = b"GET /health/live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
HEAD = b"POST /analyze HTTP/1.1\r\nHost: proxy\r\nContent-Type: image/png\r\n"
EXPECT = HEAD + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n"


async def raw(proxy, sent):
    """Send bytes; return the status, headers and document of what comes until the connection ends."""
    reader, writer = await proxy.connect()
    writer.write(sent)
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    first, *lines = head.decode().split("\r\n")
    return int(first.split()[1]), dict(each.split(": ", 1) for each in lines), json.loads(body)


BAD = {
    "a key with a stray return": (b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer secret\r\r\n\r\n", 400),
    "a URL without a host": (b"GET http:///\x9bsecret HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "another protocol": (b"\x16\x03\x01\x02\x00\r\n\r\n", 400),
    "HTTP/0.9": (b"GET /\r\n\r\n", 505),
    "two lengths": (b"POST /analyze HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
    "a long header": (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + 9000 * b"x" + b"\r\n\r\n", 431),
    "many headers": (b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: a\r\n" % n for n in range(65)) + b"\r\n", 431),
    "a long head": (b"GET / HTTP/1.1\r\nHost: a\r\n" + 40 * (b"X: " + 1000 * b"x" + b"\r\n") + b"\r\n", 431),
    "an endless head": (b"GET / HTTP/1.1\r\nHost: a\r\n" + 60 * (b"X: " + 1000 * b"x" + b"\r\n"), 431),
}


@pytest.mark.parametrize(("sent", "status"), BAD.values(), ids=BAD)
async def test_bad_http_is_a_problem_and_one_line_in_the_log(proxy, sent, status):
    with capture_logs() as logs:
        found, headers, document = await raw(proxy, sent)
    assert (status, status, "magnetic-tiles") == (found, document["status"], headers["Server"])
    assert "application/problem+json" == headers["Content-Type"]
    assert SECURITY_HEADERS.items() <= headers.items()
    assert "aiohttp" not in json.dumps(document) + json.dumps(headers)
    assert 1 == len(logs)
    assert not any(each.get("exc_info") for each in logs)
    assert "secret" not in str(logs)
    assert await proxy.analysis(BODY)


async def test_a_boundary_that_is_not_ascii_is_a_malformed_body(proxy):
    head = b"POST /analyze HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 1\r\n"
    sent = head + b'Content-Type: multipart/form-data; boundary="\xff"\r\n\r\nx'
    with capture_logs() as logs:
        status, _, document = await raw(proxy, sent)
    assert (400, "Malformed body") == (status, document["title"])
    assert not any(each.get("exc_info") for each in logs)


@pytest.mark.parametrize("path", ["/analyze", "/", "/unknown"])
async def test_an_unknown_expectation_is_a_problem(proxy, path):
    named = {"Expect": "more", "X-Request-ID": "line-7"}
    with capture_logs() as logs:
        async with proxy.request("POST", path, data=b"x", headers=named) as response:
            document = json.loads(await response.read())
    assert (417, 417, "magnetic-tiles") == (response.status, document["status"], response.headers["Server"])
    assert "line-7" == response.headers["X-Request-ID"] == document["request_id"]
    assert ["line-7"] == [each["id"] for each in logs]


async def test_pipelined_requests_are_answered_in_turn_and_few_of_them_are_held(fake):
    async with running_proxy(fake.url) as proxy:
        fake.open.clear()
        reader, writer = await proxy.connect()
        heads = [LIVE.replace(b"Connection: close\r\n", b"X: " + 8000 * b"x" + b"\r\n")] * 40
        writer.write(HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY + b"".join(heads) + LIVE)
        await fake.asked.acquire()
        (connection,) = (each for each in gc.get_objects() if type(each) is Connection and each.connected)
        assert len(connection._messages) <= 3  # noqa: SLF001
        fake.open.set()
        assert 42 == (await reader.read()).count(b"HTTP/1.1 200 OK\r\n")
        writer.close()


async def test_requests_that_come_behind_a_late_body_are_all_answered(fake):
    async with running_proxy(fake.url) as proxy:
        fake.open.clear()
        reader, writer = await proxy.connect()
        writer.write(HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY))
        await asyncio.sleep(0.1)
        writer.write(BODY)
        await fake.asked.acquire()
        writer.write(3 * LIVE.replace(b"Connection: close\r\n", b"") + LIVE)
        fake.open.set()
        assert 5 == (await asyncio.wait_for(reader.read(), 10)).count(b"HTTP/1.1 200 OK\r\n")
        writer.close()


async def test_a_request_behind_a_late_body_and_a_declined_upgrade_is_answered(proxy):
    reader, writer = await proxy.connect()
    writer.write(HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY))
    await asyncio.sleep(0.1)
    upgrade = b"Connection: upgrade\r\nUpgrade: websocket\r\n"
    writer.write(BODY + LIVE.replace(b"Connection: close\r\n", upgrade) + LIVE)
    assert 3 == (await asyncio.wait_for(reader.read(), 10)).count(b"HTTP/1.1 200 OK\r\n")
    writer.close()


async def test_a_long_head_behind_an_upgrade_that_is_declined_is_refused(proxy):
    reader, writer = await proxy.connect()
    upgrade = b"Connection: upgrade\r\nUpgrade: websocket\r\n"
    writer.write(LIVE.replace(b"Connection: close\r\n", upgrade) + BAD["a long head"][0])
    answers = await reader.read()
    assert answers.index(b" 200 OK\r\n") < answers.index(b" 431 Request Header Fields Too Large\r\n")
    writer.close()


async def test_a_long_head_behind_a_request_is_refused_after_its_answer(proxy):
    reader, writer = await proxy.connect()
    writer.write(LIVE.replace(b"Connection: close\r\n", b"") + BAD["a long head"][0])
    answers = await reader.read()
    assert answers.index(b" 200 OK\r\n") < answers.index(b" 431 Request Header Fields Too Large\r\n")
    writer.close()


async def test_empty_lines_behind_a_request_begin_no_head(fake, monkeypatch):
    monkeypatch.setattr(limited_server, "SWEEP_S", 0.05)
    async with running_proxy(fake.url, head_s=1) as proxy:
        reader, writer = await proxy.connect()
        writer.write(LIVE.replace(b"Connection: close\r\n", b""))
        await reader.readuntil(b"}")
        writer.write(b"\r\n")
        await asyncio.sleep(1.5)
        writer.write(LIVE)
        assert b"HTTP/1.1 200 OK\r\n" in await reader.read()
        writer.close()


async def test_a_body_is_invited_only_after_the_limits_were_checked(proxy):
    reader, writer = await proxy.connect()
    writer.write(EXPECT % len(BODY))
    assert b"HTTP/1.1 100 Continue\r\n" == await reader.readline()
    writer.write(BODY)
    assert b"\r\n" == await reader.readline()
    assert b"HTTP/1.1 200 OK\r\n" == await reader.readline()
    writer.close()
    reader, writer = await proxy.connect()
    writer.write(EXPECT % 10**9)
    assert b"HTTP/1.1 413 Request Entity Too Large\r\n" == await reader.readline()
    writer.close()


async def test_an_image_is_refused_by_its_header_before_the_rest_has_come(proxy):
    large = png(texture(200, 300))
    reader, writer = await proxy.connect()
    writer.write(HEAD + b"Content-Length: %d\r\n\r\n" % len(large) + large[:64])
    assert b"HTTP/1.1 413 Request Entity Too Large\r\n" == await reader.readline()
    writer.close()


async def test_a_body_below_the_least_rate_is_refused_and_one_above_it_is_not(fake):
    async with running_proxy(fake.url, upload_grace_s=0.2, min_byte_rate=len(BODY)) as proxy:
        reader, writer = await proxy.connect()
        writer.write(HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY[:40])
        assert b"HTTP/1.1 408 Request Timeout\r\n" == await asyncio.wait_for(reader.readline(), 10)
        writer.close()
    async with running_proxy(fake.url, upload_grace_s=0.2, min_byte_rate=len(BODY) // 10) as proxy:
        reader, writer = await proxy.connect()
        half = len(BODY) // 2
        writer.write(HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY[:half])
        await asyncio.sleep(0.4)  # past the grace, but half a body gives five seconds more
        writer.write(BODY[half:])
        assert b"HTTP/1.1 200 OK\r\n" == await reader.readline()
        writer.close()


async def test_a_slow_head_is_ended(fake, monkeypatch):
    monkeypatch.setattr(limited_server, "SWEEP_S", 0.05)
    async with running_proxy(fake.url, head_s=0.2) as proxy:
        status, _, document = await raw(proxy, b"GET / HTTP/1.1\r\nHo")
        assert (408, "Too slow") == (status, document["title"])
        assert await proxy.analysis(BODY)


async def test_an_answer_that_nobody_takes_is_ended(fake, monkeypatch):
    monkeypatch.setattr(limited_server, "SWEEP_S", 0.05)
    async with running_proxy(fake.url, upload_grace_s=0.5) as proxy:
        _, writer = await proxy.connect()
        writer.transport.pause_reading()
        request = b"GET /page.js HTTP/1.1\r\nHost: proxy\r\n\r\n"

        async def is_ended():
            if not writer.transport.is_closing():
                writer.write(100 * request)
            return writer.transport.is_closing()

        with capture_logs() as logs:
            await until(is_ended)
        assert ["unread_answer"] == [each["reason"] for each in logs if each["event"] == "ended_connection"]
        assert await proxy.analysis(BODY)


async def test_a_full_house_makes_room_for_a_new_client(fake):
    async with running_proxy(fake.url, connections=0, max_connections=3) as proxy:
        writers = []
        for _ in range(6):
            writers.append((await proxy.connect())[1])
            writers[-1].write(HEAD)
            await asyncio.sleep(0.6)
        assert await proxy.analysis(BODY)
        for writer in writers:
            writer.close()


async def test_one_address_more_than_its_limit_is_refused_with_retry_after(fake):
    async with running_proxy(fake.url, address_connections=1) as proxy:
        assert await proxy.analysis(BODY)
        status, headers, _ = await raw(proxy, b"")
        assert (503, "1") == (status, headers["Retry-After"])


async def test_what_comes_from_triton_names_no_inner_address_but_the_log_does(fake):
    async with running_proxy(fake.url, triton_timeout_s=0.2) as proxy:
        fake.open.clear()
        with capture_logs() as logs:
            async with proxy.post(BODY) as response:
                document = await problem(response, 504, "Triton is slow")
        fake.open.set()
        assert "Retry-After" in response.headers
        assert fake.url not in json.dumps(document)
        assert any(fake.url in each.get("error", "") for each in logs)


@pytest.mark.parametrize(
    "text",
    [
        "Triton at 127.0.0.1:9 cannot be reached (Cannot connect to host 127.0.0.1:9 [Connect call ('127.0.0.1', 9)])",
        "Triton at [::1]:8000 answered 400",
        "Triton at triton.plant:8000 answered 400",
        "10.1.2.3 is away",
    ],
)
def test_no_address_is_left(text):
    told = without_addresses(text)
    assert not any(each in told for each in ("127.0", "::1", "plant", "10.1", ":9", "8000"))


async def test_without_origins_a_preflight_is_refused_and_no_page_is_let_in(proxy):
    async with proxy.request("OPTIONS", "/analyze", headers={"Origin": "https://a.example"}) as response:
        assert 405 == response.status
    async with proxy.post(BODY, Origin="https://a.example") as response:
        assert "Access-Control-Allow-Origin" not in response.headers


async def test_a_named_origin_is_let_in_and_others_are_not(fake):
    async with running_proxy(fake.url, cors_origins="https://a.example, https://b.example") as proxy:
        asked = {"Origin": "https://b.example", "Access-Control-Request-Method": "POST"}
        async with proxy.request("OPTIONS", "/analyze", headers=asked) as response:
            assert (204, "POST") == (response.status, response.headers["Access-Control-Allow-Methods"])
            assert "Content-Type" in response.headers["Access-Control-Allow-Headers"]
            assert "https://b.example" == response.headers["Access-Control-Allow-Origin"]
        for body, status in ((BODY, 200), (b"x", 415)):
            async with proxy.post(body, Origin="https://a.example") as response:
                assert (status, "https://a.example") == (
                    response.status,
                    response.headers["Access-Control-Allow-Origin"],
                )
                assert "Origin" in response.headers["Vary"]
                assert "*" == response.headers["Access-Control-Expose-Headers"]
        async with proxy.post(BODY, Origin="https://c.example") as response:
            assert "Access-Control-Allow-Origin" not in response.headers


@pytest.mark.parametrize("setting", ["https://Plant.Example:443", "HTTP://plant.example:80"])
async def test_an_origin_is_let_in_however_the_setting_writes_it(fake, setting):
    origin = setting.lower().rpartition(":")[0]  # as browsers write it
    async with running_proxy(fake.url, cors_origins=setting) as proxy, proxy.post(BODY, Origin=origin) as response:
        assert origin == response.headers["Access-Control-Allow-Origin"]


async def test_who_has_just_been_answered_makes_no_room(fake):
    """The time that we computed is not the client's: its next request is on its way."""
    async with running_proxy(fake.url, connections=0, max_connections=1) as proxy:
        reader, writer = await proxy.connect()
        with contextlib.closing(writer):
            fake.open.clear()
            writer.write(HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY)
            await fake.asked.acquire()
            await asyncio.sleep(2 * PATIENCE_S)
            fake.open.set()
            assert b"200" in (await reader.readline())
            refused, _, _ = await raw(proxy, LIVE)
            assert 503 == refused
            writer.write(LIVE)
            assert b'{"status":"live"}' in (await reader.read())


async def test_beside_several_tritons_no_more_images_are_taken_on_than_keep_one_busy(fake):
    async with running_proxy(fake.url, in_flight_batches=8) as proxy:
        assert fake.config["instance_group"][0]["count"] + 1 == proxy.app[ADMISSION].always
