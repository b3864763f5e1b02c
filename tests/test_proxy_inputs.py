"""How an image may arrive: its type, its encoding in a form, and what an answer warns of."""

import base64

import numpy as np
import pytest
from PIL import Image
from proxy_servers import encoded, png, problem, texture

IMAGE = texture(40, 50)
BODY = png(IMAGE)
MULTIPART = "multipart/form-data; boundary=B"
SETTINGS = {"max_upload_bytes": 200_000}


async def answer_of(request):
    async with request as response:
        assert 200 == response.status, await response.text()
        return await response.json()


def part(data, *headers):
    lines = [b'Content-Disposition: form-data; name="image"; filename="t.png"', *headers]
    return b"--B\r\n" + b"\r\n".join(lines) + b"\r\n\r\n" + data + b"\r\n--B--\r\n"


@pytest.mark.parametrize(
    ("form", "names"),
    [
        ("JPEG", ["image/jpeg", "image/jpg", "image/pjpeg"]),
        ("PNG", ["image/png"]),
        ("TIFF", ["image/tiff"]),
        ("BMP", ["image/bmp", "image/x-ms-bmp"]),
    ],
)
async def test_an_image_is_read_under_every_name_of_its_type(proxy, form, names):
    body = encoded(Image.fromarray(IMAGE), form)
    for name in names:
        assert IMAGE.shape == np.shape((await answer_of(proxy.post(body, content_type=name)))["pred"])


@pytest.mark.parametrize("coding", ["identity", "", "Identity"])
async def test_no_encoding_is_no_encoding_whatever_it_is_called(proxy, coding):
    assert await answer_of(proxy.post(BODY, Content_Encoding=coding))
    field = part(BODY, b"Content-Encoding: " + coding.encode())
    assert await answer_of(proxy.post(field, content_type=MULTIPART))


@pytest.mark.parametrize("lines", [False, True])
@pytest.mark.parametrize("size", [40, 300])
async def test_a_file_in_base64_is_answered_as_its_bytes_are(proxy, lines, size):
    body = png(np.random.default_rng(0).integers(0, 256, (size, size), np.uint8))  # of many chunks
    written = base64.encodebytes(body) if lines else base64.b64encode(body)
    field = part(written, b"Content-Transfer-Encoding: base64")
    assert await answer_of(proxy.post(body)) == await answer_of(proxy.post(field, content_type=MULTIPART))


@pytest.mark.parametrize("transfer", [None, b"Content-Transfer-Encoding: base64"])
@pytest.mark.parametrize("size", [1, 7, 1000])
async def test_a_form_is_read_alike_in_whatever_pieces_it_comes(proxy, transfer, size):
    image = bytes(range(256)) * 40 + b"\r\n--" * 9 + b"\r\n--A\r\n"  # looks like a boundary, and is none
    body = png(np.frombuffer(image[:10_000], np.uint8).reshape(100, 100)[:40])
    form = b"a preamble\r\n" + part(base64.encodebytes(body), transfer) if transfer else part(body) + b"an epilogue"

    async def pieces():
        for start in range(0, len(form), size):
            yield form[start : start + size]

    assert await answer_of(proxy.post(body)) == await answer_of(proxy.post(pieces(), content_type=MULTIPART))


async def test_a_field_whose_headers_are_folded_is_read(proxy):
    field = part(BODY).replace(b"; ", b";\r\n ")
    assert await answer_of(proxy.post(field, content_type=MULTIPART))


WRONG_BASE64 = {
    "the alphabet of addresses": base64.urlsafe_b64encode(b"\xff\xd8\xff" * 9),
    "other characters": b"Q#U-J_D" + base64.b64encode(BODY),
    "more behind the padding": b"QUI=" + base64.b64encode(BODY),
    "padding at the start": b"====" + base64.b64encode(BODY),
    "a part of four characters": base64.b64encode(BODY).rstrip(b"=") + b"QUJ",
}


@pytest.mark.parametrize("size", [1, 4, 10_000])
@pytest.mark.parametrize("written", WRONG_BASE64.values(), ids=WRONG_BASE64)
async def test_wrong_base64_is_refused_in_whatever_pieces_it_comes(proxy, written, size):
    form = part(written, b"Content-Transfer-Encoding: base64")

    async def pieces():
        for start in range(0, len(form), size):
            yield form[start : start + size]

    async with proxy.post(pieces(), content_type=MULTIPART) as response:
        assert "base64 is wrong" in (await problem(response, 400, "Malformed body"))["detail"]


async def test_an_encoding_that_is_not_undone_is_named(proxy):
    field = part(BODY, b"Content-Transfer-Encoding: quoted-printable")
    async with proxy.post(field, content_type=MULTIPART) as response:
        assert "quoted-printable" in (await problem(response, 415, "Unsupported upload"))["detail"]
    async with proxy.post(part(BODY, b"Content-Encoding: gzip"), content_type=MULTIPART) as response:
        await problem(response, 415, "Unsupported upload")
    async with proxy.post(part(b"QUJ", b"Content-Transfer-Encoding: base64"), content_type=MULTIPART) as response:
        await problem(response, 400, "Malformed body")


async def test_a_damaged_png_is_called_damaged(proxy):
    for body in (BODY[:8] + bytes(99), BODY.replace(b"\r\n", b"\n"), BODY[1:], BODY[:-50]):
        async with proxy.post(body) as response:
            assert "damaged" in (await problem(response, 422, "Damaged image"))["detail"]


async def test_a_webp_is_refused_with_a_command_that_converts_it(proxy):
    async with proxy.post(encoded(Image.fromarray(IMAGE), "WEBP")) as response:
        detail = (await problem(response, 415, "Unsupported upload"))["detail"]
    assert "magick photo.webp photo.png" in detail


async def test_an_answer_warns_of_what_a_person_should_know_of_the_file_and_counts_it(proxy):
    dark = encoded(Image.fromarray(IMAGE.astype(np.uint16) * 16), "PNG")
    answer = await answer_of(proxy.post(dark))
    assert ["dark-16-bit"] == [each["code"] for each in answer["warnings"]]
    assert "times 16" in answer["warnings"][0]["detail"]
    async with proxy.post(dark, Accept="image/png") as response:
        assert "dark-16-bit" == response.headers["Tile-Warnings"]
    async with proxy.post(BODY, Accept="image/png") as response:
        assert "Tile-Warnings" not in response.headers
    assert 2 == await proxy.metric("proxy_warnings_total", code="dark-16-bit")
