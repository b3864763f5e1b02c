"""POST /analyze/tile: several photographs of one tile, one verdict."""

import itertools
import weakref

import numpy as np
import pytest
from aiohttp import FormData
from hypothesis import given
from hypothesis import strategies as st
from proxy_servers import png, problem, running_proxy, until
from structlog.testing import capture_logs

from proxy import tile_upload
from proxy.served_model import ServedModel
from proxy.tile_answers import ImageFacts, judge
from proxy.upload import File
from tiles.operating_point import OperatingPoint

MODEL = ServedModel(
    name="segmenter", version="1", digest="d1" * 32, operating_point=OperatingPoint(128, 0.9), tile_alarm_score=0.5,
    tile_review_score=0.3, novelty_limit=10.0, defect_types=("Crack", "Fray"),
)  # fmt: skip
SETTINGS = {"max_upload_bytes": 20_000}


def flat(level):
    """An image that the fake model finds to be defective with the score (255 - level) / 255."""
    return png(np.full((33, 40), level, np.uint8))


SOUND, DEFECTIVE = flat(255), flat(0)


def post(proxy, files, query="", part=None, **headers):
    form = FormData()
    for number, data in enumerate(files):
        form.add_field("image", data, filename=f"{number}.png", content_type="image/png")
    if part is not None:
        form.add_field("part", part)
    return proxy.request("POST", f"/analyze/tile{query}", data=form(), headers=headers)


async def answer_of(request):
    async with request as response:
        assert 200 == response.status, await response.text()
        return await response.json()


async def test_a_tile_has_one_verdict_and_each_image_its_own_answer(proxy):
    with capture_logs() as logs:
        answer = await answer_of(post(proxy, [SOUND, DEFECTIVE, DEFECTIVE], part="A-17"))
    keys = ["part", "verdict", "defective", "score", "alarm_score", "type", "images", "failed", "familiar", "model"]
    assert keys == list(answer)
    assert ("A-17", "defect", True, 0.6667, 0.5, "Crack") == tuple(answer.values())[:6]
    assert (0, True) == (answer["failed"], answer["familiar"])
    assert ["0.png", "1.png", "2.png"] == [each["file"] for each in answer["images"]]
    for body, each in zip((SOUND, DEFECTIVE, DEFECTIVE), answer["images"], strict=True):
        alone = await proxy.analysis(body)
        assert {key: alone[key] for key in alone if key not in ("part", "model")} | {"file": each["file"]} == each
    assert 0.5 == answer["model"]["tile_alarm_score"]
    (line,) = [each for each in logs if each["event"] == "request"]
    assert ("/analyze/tile", "A-17", "defect", True) == tuple(line[k] for k in ("route", "part", "verdict", "familiar"))


async def test_the_order_of_the_images_changes_no_verdict(proxy):
    files = [SOUND, DEFECTIVE, flat(100), b"no image"]
    verdicts = []
    for order in itertools.permutations(files):
        answer = await answer_of(post(proxy, order, "?mask=none"))
        images = sorted(map(str, ({**each, "file": ""} for each in answer.pop("images"))))
        verdicts.append((answer, images))
    assert all(each == verdicts[0] for each in verdicts)


@given(
    scores=st.lists(st.integers(0, 10_000).map(lambda number: number / 10_000), min_size=1, max_size=8),
    alarm=st.none() | st.floats(0, 1), random=st.randoms(),
)  # fmt: skip
def test_a_tiles_score_is_the_mean_and_its_verdict_is_by_the_tiles_limits(scores, alarm, random):
    images = [ImageFacts(score, {"Crack": 0, "Fray": number}, True, MODEL, None) for number, score in enumerate(scores)]
    tile = judge(images, MODEL, alarm)
    assert abs(tile.score - np.mean(scores)) < 1e-4
    limit = MODEL.tile_alarm_score if alarm is None else alarm
    expected = "defect" if tile.score >= limit else "review" if tile.score >= 0.3 else "ok"
    assert (expected, limit) == (tile.verdict, tile.alarm_score)
    assert ("Fray" if len(images) > 1 else None) == tile.type
    random.shuffle(images)
    assert tile == judge(images, MODEL, alarm)


async def test_a_bad_image_has_its_own_problem_and_spoils_no_other(proxy):
    bad = {
        "Unsupported upload": b"no image",
        "Damaged image": SOUND[:40],
        "Too many bytes": SOUND + bytes(60_000),
        "No image": b"",
    }
    answer = await answer_of(post(proxy, [DEFECTIVE, *bad.values(), SOUND], "?mask=none&alarm_score=0.5"))
    assert (4, 0.5) == (answer["failed"], answer["score"])
    problems = [each["problem"] for each in answer["images"] if "problem" in each]
    assert list(bad) == [each["title"] for each in problems]
    assert all({"type", "title", "status", "detail"} == each.keys() for each in problems)
    assert ["defect", "ok"] == [each["verdict"] for each in answer["images"] if "verdict" in each]


@pytest.mark.parametrize("header", [b"Content-Encoding: gzip", b"Content-Transfer-Encoding: quoted-printable"])
async def test_a_field_of_an_encoding_that_is_not_undone_spoils_no_other(proxy, header):
    fields = [(DEFECTIVE, b""), (DEFECTIVE * 40, b"\r\n" + header), (SOUND, b"")]
    head = b'--B\r\nContent-Disposition: form-data; name="image"; filename="t.png"'
    body = b"\r\n".join(head + more + b"\r\n\r\n" + data for data, more in fields) + b"\r\n--B--\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=B"}
    answer = await answer_of(proxy.request("POST", "/analyze/tile?alarm_score=0.5", data=body, headers=headers))
    assert ["defect", None, "ok"] == [each.get("verdict") for each in answer["images"]]
    assert header.split()[0].decode().rstrip(":") in answer["images"][1]["problem"]["detail"]


async def test_a_tile_without_a_readable_image_is_a_problem_that_names_each(proxy):
    async with post(proxy, [b"no image", SOUND[:40]]) as response:
        document = await problem(response, 422, "No image answered")
    assert ["0.png", "1.png"] == [each["file"] for each in document["images"]]
    assert [415, 422] == [each["problem"]["status"] for each in document["images"]]


async def test_the_limits_of_the_images_and_of_the_tile_are_given_apart(proxy):
    answer = await answer_of(post(proxy, [flat(100)], "?alarm_score=0.9&tile_alarm_score=0.6&threshold=0.2"))
    assert ("defect", 0.6) == (answer["verdict"], answer["alarm_score"])
    (image,) = answer["images"]
    assert ("ok", 0.9, 0.2) == (image["verdict"], image["alarm_score"], image["threshold"])


@pytest.mark.parametrize("query", ["?view=mask", "?tile_alarm_score=2", "?mask=none&mask=none"])
async def test_a_wrong_parameter_is_refused(proxy, query):
    async with post(proxy, [SOUND], query) as response:
        await problem(response, 400, "Wrong parameter")


async def test_a_tiles_answer_is_never_a_png(proxy):
    async with post(proxy, [SOUND], Accept="image/png") as response:
        await problem(response, 406, "Not acceptable")


async def test_a_form_without_an_image_with_too_many_or_none_at_all_is_refused(proxy):
    with_part = b'--B\r\nContent-Disposition: form-data; name="part"\r\n\r\nA\r\n--B--\r\n'
    headers = {"Content-Type": "multipart/form-data; boundary=B"}
    async with proxy.request("POST", "/analyze/tile", data=with_part, headers=headers) as response:
        await problem(response, 422, "Wrong form field")
    async with post(proxy, 33 * [SOUND]) as response:
        await problem(response, 422, "Wrong form field")
    assert 32 == len((await answer_of(post(proxy, 32 * [SOUND], "?mask=none")))["images"])
    async with proxy.request("POST", "/analyze/tile", data=SOUND, headers={"Content-Type": "image/png"}) as response:
        await problem(response, 415, "Unsupported upload")
        assert "multipart/form-data" == response.headers["Accept-Post"]


async def test_images_of_too_many_pixels_together_refuse_the_whole_tile(fake):
    async with running_proxy(fake.url, max_pixels=64 * 64) as proxy:  # one of these images, padded
        assert 8 == len((await answer_of(post(proxy, 8 * [SOUND])))["images"])
        async with post(proxy, 9 * [SOUND]) as response:
            document = await problem(response, 413, "Too many pixels")
    assert "the images of the tile have more than 32768 pixels together: send fewer" in document["detail"]


async def test_images_whose_size_is_known_late_count_as_well(fake, monkeypatch):
    class Unseen(File):
        def __init__(self, max_bytes, held, _check, progress):
            super().__init__(max_bytes, held, lambda _: True, progress)

    monkeypatch.setattr(tile_upload, "File", Unseen)
    async with running_proxy(fake.url, max_pixels=64 * 64) as proxy, post(proxy, 9 * [SOUND]) as response:
        await problem(response, 413, "Too many pixels")


async def test_an_upload_and_its_answer_do_not_count_together(fake):
    large = png(np.random.default_rng(20).integers(100, 256, (400, 400), np.uint8))  # 150 kB; its answer has 320
    async with running_proxy(fake.url, upload_memory=2**20) as proxy:
        assert 3 == len((await answer_of(post(proxy, 3 * [large], "?alarm_score=0.9")))["images"])


async def test_the_finished_answers_of_tiles_count_as_memory(fake):
    rows = png(np.full((400, 400), 255, np.uint8))  # the answer has 320 kB
    async with running_proxy(fake.url, upload_memory=2**20) as proxy:
        assert 1 == len((await answer_of(post(proxy, [rows])))["images"])
        assert 4 == len((await answer_of(post(proxy, 4 * [rows], "?mask=none")))["images"])
        async with post(proxy, 4 * [rows]) as response:
            document = await problem(response, 413, "Too many bytes")
        assert 1 == len((await answer_of(post(proxy, [rows])))["images"]), "they count no more"
    assert "or ask for mask=rle" in document["detail"]


async def test_images_that_can_never_be_held_together_refuse_the_whole_tile(fake):
    large = png(np.random.default_rng(20).integers(0, 256, (400, 400), np.uint8))  # 160 kB, as noise
    limit = 2 * len(large)  # so one image may be held, and never two
    async with running_proxy(fake.url, upload_memory=limit) as proxy, post(proxy, [large, large]) as response:
        document = await problem(response, 413, "Too many bytes")
    assert "the request has too many bytes for this service" in document["detail"]


async def test_files_that_are_too_large_leave_room_for_others(fake):
    large = png(np.random.default_rng(20).integers(0, 256, (400, 400), np.uint8))
    settings = {"upload_memory": 2 * len(large), "max_upload_bytes": len(large) - 1}
    async with running_proxy(fake.url, **settings) as proxy:
        answer = await answer_of(post(proxy, [large, large, large, SOUND], "?mask=none&alarm_score=0.5"))
    assert (3, "ok") == (answer["failed"], answer["images"][3]["verdict"])


async def test_the_bytes_of_a_refused_file_are_let_go_while_its_rest_still_comes(proxy, monkeypatch):
    files = []

    class Watched(File):
        def __init__(self, *parts):
            super().__init__(*parts)
            files.append(weakref.ref(self))

    async def are_gone():
        return [None] == [each() for each in files]

    monkeypatch.setattr(tile_upload, "File", Watched)
    start = b'--B\r\nContent-Disposition: form-data; name="image"; filename="t.png"\r\n\r\n' + 100 * b"no image"
    rest = b"\r\n--B--\r\n"
    head = "POST /analyze/tile HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=B\r\n"
    reader, writer = await proxy.connect()
    writer.write(f"{head}Content-Length: {len(start + rest)}\r\n\r\n".encode() + start)
    await until(are_gone)
    writer.write(rest)
    assert b"HTTP/1.1 422 Unprocessable Entity\r\n" == await reader.readline()
    writer.close()


async def test_a_form_that_is_too_large_by_its_header_is_told_as_a_form(fake):
    async with running_proxy(fake.url, max_upload_bytes=1000) as proxy, post(proxy, 2 * [bytes(200_000)]) as response:
        document = await problem(response, 413, "Too many bytes")
    assert "the images have more than" in document["detail"]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (b'filename="t.png"', "t.png"),
        ('filename="größe 1.png"'.encode(), "größe 1.png"),
        (b'filename="a %22b%22.png"', 'a "b".png'),  # as browsers write quotes
        (b"filename=t.png", "t.png"),
        (b"filename*=utf-8''gr%C3%B6%C3%9Fe.png", "größe.png"),  # as `requests` wrote it for long
        (b'filename="gr\xf6\xdfe.png"', "gr\\udcf6\\udcdfe.png"),  # Latin-1
        (b"x=y", None),
    ],
)
async def test_a_files_name_is_read_however_it_is_written(proxy, written, read):
    head = b'--B\r\nContent-Disposition: form-data; name="image"; ' + written + b"\r\n\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=B"}
    request = proxy.request("POST", "/analyze/tile", data=head + SOUND + b"\r\n--B--", headers=headers)
    assert [read] == [each["file"] for each in (await answer_of(request))["images"]]


async def test_an_unfamiliar_image_makes_its_tile_unfamiliar(fake, proxy):
    fake.novelty = 11.0
    answer = await answer_of(post(proxy, [SOUND, SOUND], "?mask=none"))
    assert (False, [False, False]) == (answer["familiar"], [each["familiar"] for each in answer["images"]])
    assert 2 == await proxy.metric("proxy_unfamiliar_images_total")


async def test_what_the_client_cannot_mend_fails_the_whole_tile(fake, proxy):
    fake.away = True
    async with post(proxy, [SOUND, DEFECTIVE]) as response:
        document = await problem(response, 503, "Triton is away")
    assert "images" not in document
    fake.away = False
    assert await proxy.check()
    assert await answer_of(post(proxy, [SOUND]))


async def test_two_models_never_judge_one_tile(fake, proxy):
    calls = itertools.count()

    def changing(canvases):
        if next(calls):
            fake.config["parameters"]["model.digest"]["string_value"] = "e2" * 32
        return fake.echo(canvases)

    fake.answer = changing
    async with post(proxy, [SOUND, flat(1), flat(2), flat(3)]) as response:
        await problem(response, 503, "Model changed")
        assert "1" == response.headers["Retry-After"]


async def test_a_tile_that_was_taken_on_is_answered_whole(fake):
    """Those of its images that come after the first find a busy service, and are answered all the same."""
    async with running_proxy(fake.url, max_wait_s=0.01, in_flight_batches=1) as proxy:
        for _ in range(10):  # the rate is believed then
            await proxy.analysis(SOUND)
        assert 0 == (await answer_of(post(proxy, 6 * [SOUND], "?mask=none")))["failed"]
