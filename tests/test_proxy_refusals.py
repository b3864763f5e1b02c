"""Each way to be refused, as a problem document, and that the next request works after every one of them."""

import asyncio
import contextlib
import json
import zlib
from functools import partial

import numpy as np
import pytest
from aiohttp import client_exceptions, web
from crafted import chunk
from multipart import PushMultipartParser
from PIL import Image
from proxy_servers import encoded, png, problem, running_proxy, texture, until
from structlog.testing import capture_logs

from proxy import negotiation, readiness
from proxy.answers import OFFERS
from proxy.errors import NotAcceptableError
from proxy.negotiation import choose

BODY = png(texture(32, 40))
JPEG = encoded(Image.fromarray(texture(96, 96)), "JPEG")
SCANS = encoded(Image.fromarray(texture(32, 40)), "JPEG", progressive=True)
CHUNKS = BODY[:33] + 17 * chunk(b"iCCP", b"sRGB\0\0" + zlib.compress(b"x")) + BODY[33:]
SETTINGS = {"max_upload_bytes": 20_000, "max_pixels": 10_240}
MULTIPART = "multipart/form-data; boundary=B"


@contextlib.asynccontextmanager
async def refused(proxy, request, status, title):
    """This request is refused so, and the next one on the same connection is answered."""
    async with request as response:
        document = await problem(response, status, title)
        yield response, document["detail"]
    assert {"pred", "score"} <= (await proxy.analysis(BODY)).keys()


def part(disposition, data):
    return b"--B\r\nContent-Disposition: " + disposition + b"\r\n\r\n" + data + b"\r\n--B--\r\n"


FORM_REFUSALS = {
    "a form without a field": (b"--B--\r\n", 422, "Wrong form field"),
    "another field": (part(b'form-data; name="photo"; filename="t.png"', BODY), 422, "Wrong form field"),
    "a field without a name": (part(b"form-data", BODY), 422, "Wrong form field"),
    "an empty file": (part(b'form-data; name="image"; filename="t.png"', b""), 400, "No image"),
    "a form that breaks off": (part(b'form-data; name="image"', BODY)[:-40], 400, "Malformed body"),
    "no multipart inside": (b"rubbish\r\n" * 9, 400, "Malformed body"),
    "a default charset": (part(b'form-data; name="_charset_"', b"utf-8"), 422, "Wrong form field"),
    "a field that is no form's": (part(b'attachment; name="image"', BODY), 400, "Malformed body"),
    "a field without a disposition": (
        b"--B\r\nContent-Type: image/png\r\n\r\n" + BODY + b"\r\n--B--\r\n",
        400,
        "Malformed body",
    ),
    "many headers": (part(b'form-data; name="image"' + b"\r\nX-More: 1" * 99, BODY), 400, "Malformed body"),
    "a long header": (part(b'form-data; name="image"; filename="' + b"x" * 9000 + b'"', BODY), 400, "Malformed body"),
    "many folded lines": (part(b'form-data; name="image"' + b"\r\n a" * 200, BODY), 400, "Malformed body"),
    "text in the field": (part(b'form-data; name="image"', b"an image"), 415, "Unsupported upload"),
}


@pytest.mark.parametrize(("body", "status", "title"), FORM_REFUSALS.values(), ids=FORM_REFUSALS)
async def test_a_wrong_form_is_refused(proxy, body, status, title):
    async with refused(proxy, proxy.post(body, content_type=MULTIPART), status, title) as (_, detail):
        assert "image" in detail


async def test_two_images_in_one_form_are_refused(proxy):
    request = proxy.post_form(("image", BODY), ("image", BODY))
    async with refused(proxy, request, 422, "Wrong form field") as (_, detail):
        assert "one image" in detail


@pytest.mark.parametrize(("path", "parsed"), [("/analyze", 2), ("/analyze/tile", 33)])
async def test_of_a_form_of_very_many_fields_none_is_parsed_behind_the_one_that_is_refused(
    proxy, monkeypatch, path, parsed
):
    form = b"\r\n".join(300 * [b'--B\r\nContent-Disposition: form-data; name="image"\r\n\r\nx'])
    lines = counted(monkeypatch, PushMultipartParser, "_on_segment_headerline")
    async with proxy.request("POST", path, data=form, headers={"Content-Type": MULTIPART}) as response:
        assert response.status in (415, 422)
    assert len(lines) <= parsed


def test_of_very_many_types_in_an_accept_header_only_the_first_64_are_read(monkeypatch):
    parsed = counted(monkeypatch, negotiation, "_parse")
    with pytest.raises(NotAcceptableError) as refusal:
        choose("a/b," * 8000, OFFERS)
    assert 64 == len(parsed)
    assert len(str(refusal.value)) < 500


def counted(monkeypatch, owner, name):
    """Return a list that grows with each call of a function."""
    calls, plain = [], getattr(owner, name)

    def call(*arguments):
        calls.append(arguments)
        return plain(*arguments)

    monkeypatch.setattr(owner, name, call)
    return calls


async def test_a_second_field_beside_the_image_is_refused_by_name(proxy):
    request = proxy.post_form(("image", BODY), ("comment", b"x"))
    async with refused(proxy, request, 422, "Wrong form field") as (_, detail):
        assert "'comment'" in detail


async def test_a_boundary_that_is_missing_is_refused(proxy):
    request = proxy.post(BODY, content_type="multipart/form-data")
    async with refused(proxy, request, 400, "Malformed body") as (_, detail):
        assert "names no boundary: do not set this header yourself" in detail


BODY_REFUSALS = {
    "no body": (b"", {}, 400, "No image"),
    "another type": (BODY, {"content_type": "image/gif"}, 415, "Unsupported upload"),
    "no type": (BODY, {"content_type": ""}, 415, "Unsupported upload"),
    "a compressed body": (BODY, {"Content_Encoding": "gzip"}, 415, "Unsupported upload"),
    "no image inside": (b"x" * 99, {}, 415, "Unsupported upload"),
    "a gif inside": (encoded(Image.fromarray(texture(9, 9)), "GIF"), {}, 415, "Unsupported upload"),
    "a truncated png": (BODY[:-200], {}, 422, "Damaged image"),
    "a truncated jpeg": (JPEG[:-900], {}, 422, "Damaged image"),
    "an arithmetic jpeg": (SCANS.replace(b"\xff\xc2", b"\xff\xca"), {}, 415, "Unsupported upload"),
    "too many pixels": (png(texture(100, 103)), {}, 413, "Too many pixels"),
    "a line that padding makes too large": (png(np.zeros((1, 9000), np.uint8)), {}, 413, "Too many pixels"),
    "too many bytes": (b"x" * 20_001, {}, 413, "Too many bytes"),
}


@pytest.mark.parametrize(("body", "options", "status", "title"), BODY_REFUSALS.values(), ids=BODY_REFUSALS)
async def test_a_wrong_body_is_refused(proxy, body, options, status, title):
    async with refused(proxy, proxy.post(body, **options), status, title) as (response, detail):
        assert (status == 415) is ("Accept-Post" in response.headers)
        assert ": " in detail, "what was found, and what to do"


async def test_a_png_of_one_profile_is_answered(proxy):
    async with proxy.post(BODY[:33] + chunk(b"iCCP", b"sRGB\0\0" + zlib.compress(b"x")) + BODY[33:]) as response:
        assert 200 == response.status


async def test_a_png_of_very_many_profiles_is_answered_without_a_look_at_them(proxy):
    assert await proxy.analysis(CHUNKS)


async def test_a_progressive_jpeg_is_answered(proxy):
    async with proxy.post(SCANS, content_type="image/jpeg") as response:
        assert 200 == response.status
    assert SCANS.count(b"\xff\xda") > 1


@pytest.mark.parametrize("header", [b"Content-Type: image/\xff\xfe", b"Content-Type: image/png\r\nAccept: \xff/\xff"])
async def test_a_header_that_is_no_text_is_refused_in_valid_json(proxy, header):
    reader, writer = await proxy.connect()
    writer.write(
        b"POST /analyze HTTP/1.1\r\nHost: proxy\r\nConnection: close\r\nContent-Length: 1\r\n" + header + b"\r\n\r\nx"
    )
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    assert int(head.split()[1]) == json.loads(body)["status"] in (406, 415)
    writer.close()


@pytest.mark.parametrize("form", [True, False])
async def test_bytes_are_counted_while_they_come_also_without_a_content_length(proxy, form):
    async def endless():
        if form:
            yield b'--B\r\nContent-Disposition: form-data; name="image"; filename="t.png"\r\n\r\n'
        for _ in range(5):
            yield b"x" * 5000

    content_type = MULTIPART if form else "image/png"
    async with refused(proxy, proxy.post(endless(), content_type=content_type), 413, "Too many bytes"):
        pass


async def test_too_many_bytes_are_refused_before_the_rest_has_come(proxy):
    reader, writer = await proxy.connect()
    writer.write(
        b"POST /analyze HTTP/1.1\r\nHost: proxy\r\nContent-Type: image/png\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    writer.write(b"5000\r\n" + b"x" * 0x5000 + b"\r\n")  # and no last chunk
    assert b"HTTP/1.1 413 Request Entity Too Large\r\n" == await reader.readline()
    writer.close()


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
async def test_any_other_method_is_refused_and_told_post(proxy, method):
    async with proxy.request(method, "/analyze") as response:
        assert (405, "POST") == (response.status, response.headers["Allow"])
        if method != "HEAD":
            await problem(response, 405, "Method Not Allowed")
    assert await proxy.analysis(BODY)


async def test_an_unknown_path_is_a_problem_too(proxy):
    async with refused(proxy, proxy.request("GET", "/analyse"), 404, "Not Found") as (_, detail):
        assert "/analyze" in detail


def raiser(error):
    def fail(*_, **__):
        raise error

    return fail


BUGS = {
    "before the upload is read": ("proxy.handlers.choose", ZeroDivisionError),
    "while the body is read": ("proxy.upload.File.join", ValueError),
    "while the form is read": ("proxy.upload._read_form", AssertionError),
    "while the headers are judged": ("proxy.upload.too_large", RuntimeError),
    "while the batch is built": ("proxy.segmenter.request_header", TypeError),
    "while Triton's answer is checked": ("proxy.segmenter.prove", ValueError),
    "while the answer is written": ("proxy.answers.describe_model", KeyError),
}


@pytest.mark.parametrize(("place", "error"), BUGS.values(), ids=BUGS)
async def test_a_bug_is_a_500_without_its_inside_and_a_log_line_with_its_traceback(proxy, monkeypatch, place, error):
    body = BODY + bytes(20_001) if "too_large" in place else BODY
    for post in (
        (proxy.post_form(("image", body)), proxy.post(body))
        if "form" not in place
        else (proxy.post_form(("image", body)),)
    ):
        with monkeypatch.context() as patch, capture_logs() as logs:
            patch.setattr(place, raiser(error("inside")))
            async with post as response:
                document = await problem(response, 500, "Internal Server Error")
        assert "inside" not in json.dumps(document)
        (bug,) = [each for each in logs if each["event"] == "bug"]
        assert (document["request_id"], True) == (bug["id"], bug["exc_info"])
    assert await proxy.analysis(BODY)


async def test_a_bug_while_triton_is_checked_is_not_called_a_wrong_model(proxy, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("proxy.contract._newest", raiser(LookupError("inside")))
        with pytest.raises(LookupError):
            await proxy.check()
    assert await proxy.check()


async def test_a_bug_in_a_check_is_logged_and_the_next_check_comes(fake, monkeypatch):
    with monkeypatch.context() as patch, capture_logs() as logs:
        patch.setattr("proxy.contract._newest", raiser(LookupError("inside")))
        async with running_proxy(fake.url, check_interval_s=0.05, first_check=False) as proxy:

            async def is_logged():
                return ("bug", True) in [(each["event"], each.get("exc_info")) for each in logs]

            await until(is_logged)
            assert not proxy.is_ready()
            patch.undo()

            async def is_ready():
                return proxy.is_ready()

            await until(is_ready)


async def test_an_upload_that_is_too_slow_is_refused_at_its_deadline(fake):
    async with running_proxy(fake.url, deadline_s=0.1) as proxy:
        reader, writer = await proxy.connect()
        writer.write(b"POST /analyze HTTP/1.1\r\nHost: proxy\r\nContent-Type: image/png\r\nContent-Length: 99\r\n\r\n")
        assert b"HTTP/1.1 408 Request Timeout\r\n" == await reader.readline()
        writer.close()
        assert await proxy.analysis(BODY)


async def test_a_full_queue_answers_503_with_retry_after(fake):
    async with (
        running_proxy(fake.url, connections=0, queue_limit=1, in_flight_batches=1) as proxy,
        running_posts(proxy, fake) as posts,
    ):
        async with proxy.post(BODY) as response:
            document = await problem(response, 503, "Queue full")
        assert "1" == response.headers["Retry-After"]
        assert "1 images are waiting" in document["detail"]
        fake.open.set()
        assert [200, 200] == await asyncio.gather(*posts)
        assert await proxy.analysis(BODY)


async def test_a_full_queue_refuses_an_upload_before_it_is_read(fake):
    async with (
        running_proxy(fake.url, connections=0, queue_limit=1, in_flight_batches=1) as proxy,
        running_posts(proxy, fake) as posts,
    ):
        reader, writer = await proxy.connect()
        writer.write(b"POST /analyze HTTP/1.1\r\nHost: proxy\r\nContent-Type: image/png\r\nContent-Length: 99\r\n\r\nx")
        assert b"HTTP/1.1 503 Service Unavailable\r\n" == await reader.readline()
        writer.close()
        fake.open.set()
        assert [200, 200] == await asyncio.gather(*posts)


async def test_waiting_images_of_too_many_pixels_answer_503_with_retry_after(fake):
    limits = {"connections": 0, "max_pixels": 32 * 64, "in_flight_batches": 1}  # BODY's canvas: eight may wait
    async with running_proxy(fake.url, **limits) as proxy, running_posts(proxy, fake, waiting=8) as posts:
        async with proxy.post(BODY) as response:
            document = await problem(response, 503, "Queue full")
        assert "1" == response.headers["Retry-After"]
        assert "images of 16384 pixels are waiting" in document["detail"]
        fake.open.set()
        assert 9 * [200] == await asyncio.gather(*posts)
        assert 9 == await proxy.metric("proxy_batch_images_count"), "no two of them have MAX_PIXELS together"


@contextlib.asynccontextmanager
async def running_posts(proxy, fake, waiting=1):
    """One image held at Triton, and some that wait for its place."""
    fake.open.clear()

    async def post():
        async with proxy.post(BODY) as response:
            return response.status

    async def all_wait():
        return waiting == await proxy.metric("proxy_waiting_images")

    first = asyncio.create_task(post())
    await fake.asked.acquire()
    others = [asyncio.create_task(post()) for _ in range(waiting)]
    await until(all_wait)
    yield first, *others


async def test_an_image_that_waits_past_its_deadline_gets_504_and_so_does_one_at_triton(fake):
    async with (
        running_proxy(fake.url, connections=0, deadline_s=2, in_flight_batches=1) as proxy,
        running_posts(proxy, fake) as posts,
    ):
        assert [504, 504] == await asyncio.gather(*posts)
        fake.open.set()
        assert await proxy.analysis(BODY)


async def test_a_slow_triton_gets_504(fake):
    async with running_proxy(fake.url, triton_timeout_s=0.2) as proxy:
        fake.open.clear()
        async with proxy.post(BODY) as response:
            await problem(response, 504, "Triton is slow")
        fake.open.set()
        assert await proxy.analysis(BODY)


WRONG_ANSWERS = {
    "a defect type that has no name": lambda fake, c: fake.proven(c, c | 255, np.full_like(c, 6)),
    "a defect of no type": lambda fake, c: fake.proven(c, c | 255, np.zeros_like(c)),
    "no json": lambda *_: web.Response(text="hello"),
    "other json": lambda *_: web.json_response([1]),
    "too few bytes": lambda fake, c: web.Response(body=fake.echo(c).body[:-9], headers=fake.echo(c).headers),
    "no length of its json": lambda fake, c: web.Response(
        body=fake.echo(c).body, headers={"Inference-Header-Content-Length": "all"}
    ),
    "an output of a datatype that no tensor of the contract has": lambda fake, c: web.Response(
        body=fake.echo(c).body.replace(b'"UINT8"', b'"BF160"'), headers=fake.echo(c).headers
    ),
    "an output without a shape": lambda *_: web.json_response(
        {"outputs": [{"name": "probability", "datatype": "UINT8", "data": [1]}]}
    ),
    "compression that it was not asked for": lambda *_: web.Response(body=b"x", headers={"Content-Encoding": "gzip"}),
    "an error": lambda *_: web.json_response({"error": "out of memory"}, status=500),
    "a refusal": lambda *_: web.json_response({"error": "unexpected shape"}, status=400),
    "an error in html": lambda *_: web.Response(text="<h1>Bad gateway</h1>", status=502),
}


@pytest.mark.parametrize("answer", WRONG_ANSWERS.values(), ids=WRONG_ANSWERS)
async def test_nonsense_from_triton_gets_502(proxy, fake, answer):
    fake.answer = partial(answer, fake)
    async with proxy.post(BODY) as response:
        await problem(response, 502, "Wrong answer from Triton")
    fake.answer = fake.echo
    assert await proxy.analysis(BODY)


async def test_a_triton_that_goes_away_gets_503_until_it_is_back(fake, monkeypatch):
    monkeypatch.setattr(readiness, "ANSWER_COUNTS_S", 0.1)
    async with running_proxy(fake.url) as proxy:
        assert await proxy.analysis(BODY)
        fake.away = True
        async with proxy.post(BODY) as response:
            await problem(response, 503, "Triton is away")
            assert "Retry-After" in response.headers

        async def is_ready():
            return proxy.is_ready()

        async def is_refused():
            return not await is_ready()

        await until(is_refused)  # without being asked to look: the failure has set it looking
        async with proxy.post(BODY) as response:
            await problem(response, 503, "Not ready")
        fake.away = False
        await until(is_ready)
        assert await proxy.analysis(BODY)


async def test_a_triton_that_breaks_the_connection_gets_503(proxy, fake):
    def hang_up(_):
        for connection in fake.server.runner.server.connections:
            connection.force_close()
        return web.Response()

    fake.answer = hang_up
    async with proxy.post(BODY) as response:
        await problem(response, 503, "Triton is away")
    fake.answer = fake.echo
    assert await proxy.check()
    assert await proxy.analysis(BODY)


async def test_a_triton_that_was_never_there_gets_503_before_the_upload_is_read():
    async with running_proxy("127.0.0.1:9") as proxy:
        async with proxy.post(BODY) as response:
            document = await problem(response, 503, "Not ready")
        assert "127.0.0.1" not in json.dumps(document)
        assert 0 == await proxy.metric("proxy_stage_seconds_count", stage="read")


def test_every_exception_of_the_client_under_tritonclient_has_a_translation():
    translated = (client_exceptions.ClientError, OSError)
    exported = [getattr(client_exceptions, name) for name in client_exceptions.__all__]
    others = [each.__name__ for each in exported if not issubclass(each, translated)]
    assert ["WSMessageTypeError"] == others, "of websockets, which nobody opens here"
