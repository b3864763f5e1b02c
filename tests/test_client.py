"""The client's library: what `Client.analyze` returns, waits for and raises."""

import asyncio
import dataclasses
import datetime as dt
import email.utils
import gc
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from pycocotools import mask as coco

from client import (
    Box,
    Client,
    ClientError,
    Defect,
    ImageWarning,
    InputError,
    Mask,
    Model,
    Point,
    RefusedError,
    ServiceAwayError,
    WrongAnswerError,
    judge_tile,
)
from client.analysis import read_analysis
from client.patience import read_retry_after
from tests.conftest import ROOT
from tests.contract_service import DARK, MODEL, ContractService, answer, defective, png, run_lengths, sound


@pytest.fixture
def service():
    with ContractService() as service:
        yield service


@pytest.fixture
def client(service):
    with Client(service.url, wait_s=20) as client:
        yield client


def test_an_image_is_answered_with_all_that_the_service_says(client):
    pixels = defective()

    analysis = client.analyze(png(pixels), part="A-17")

    mask = pixels < DARK
    assert ("A-17", 20, 24, "defect", True) == (
        analysis.part, analysis.width, analysis.height, analysis.verdict, analysis.defective,
    )  # fmt: skip
    assert (27, 0.91, 0.8, 0.2509) == (
        analysis.defect_pixels, analysis.score, analysis.alarm_score, analysis.threshold,
    )  # fmt: skip
    assert ("Blowhole", {"Blowhole": 27, "Break": 0}) == (analysis.type, analysis.types)
    rows, columns = np.nonzero(mask)
    centroid = Point(columns.mean(), rows.mean())
    assert (Defect("Blowhole", 0.91, 27, Box(3, 5, 7, 4), centroid),) == analysis.defects
    assert (3.25, True) == (analysis.novelty, analysis.familiar)
    assert (ImageWarning("exif-orientation", "it is not applied"),) == analysis.warnings
    assert Model(**MODEL | {"types": ("Blowhole", "Break")}) == analysis.model
    assert mask.tolist() == np.asarray(analysis.mask).tolist()


def test_an_answer_cannot_be_changed(client):
    analysis = client.analyze(png(sound()))

    with pytest.raises(dataclasses.FrozenInstanceError):
        analysis.score = 1.0


def test_the_operating_point_and_the_part_travel_with_the_request(client, service):
    analysis = client.analyze(png(defective()), threshold=0.5, alarm_score=0.95, part="Ä 1")

    assert {"mask": "rle", "threshold": "0.5", "alarm_score": "0.95", "part": "Ä 1"} == service.posts[0][1]
    assert (0.5, 0.95, "ok") == (analysis.threshold, analysis.alarm_score, analysis.verdict)


@pytest.mark.parametrize(
    "options", [{"threshold": 1.5}, {"threshold": float("nan")}, {"alarm_score": -0.1}, {"part": ""}, {"part": "a\n"},
                {"part": "x" * 129}]
)  # fmt: skip
def test_what_the_service_would_refuse_is_not_sent(client, service, options):
    with pytest.raises(InputError):
        client.analyze(png(sound()), **options)

    assert [] == service.posts


@pytest.mark.parametrize(
    ("start", "expected"),
    [(b"\xff\xd8\xff", "image/jpeg"), (b"\x89PNG\r\n", "image/png"), (b"II*\0", "image/tiff"), (b"BM", "image/bmp"),
     (b"RIFF....WEBP", "image/jpeg"), (b"text", "image/jpeg")],
)  # fmt: skip
def test_the_media_type_is_told_by_the_first_bytes(client, service, start, expected):
    with pytest.raises(RefusedError):
        client.analyze(start)

    assert expected == service.headers[0]["Content-Type"]


def test_a_refusal_has_the_words_of_the_service_and_is_not_sent_again(client, service):
    with pytest.raises(RefusedError, match=r"Damaged image \(422\): because of damaged image") as refused:
        client.analyze(png(sound())[:120])

    assert (422, "Damaged image") == (refused.value.status, refused.value.title)
    assert 1 == len(service.posts)


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_busy_service_gets_the_image_again_after_the_time_that_it_names(client, service, status):
    service.refusals = [(status, "Queue full", 1), (status, "Queue full", 0)]
    started = time.monotonic()

    analysis = client.analyze(png(sound()))

    assert 0.05 == analysis.score
    assert 1 <= time.monotonic() - started
    assert 3 == len(service.posts)


def test_the_wait_is_bounded_and_no_image_is_sent_earlier_than_the_service_says(service):
    service.refusals = [(503, "Wrong model", 3600)]

    with Client(service.url, wait_s=20) as client, pytest.raises(ServiceAwayError, match="Wrong model"):
        client.analyze(png(sound()))

    assert 1 == len(service.posts)


def test_an_error_of_the_service_itself_is_final(client, service):
    service.refusals = [(500, "Internal Server Error")]

    with pytest.raises(RefusedError, match=r"Internal Server Error \(500\)"):
        client.analyze(png(sound()))


def test_a_service_that_goes_away_in_the_middle_and_comes_back_is_waited_for(client, service):
    client.analyze(png(sound(1)))
    service.go()
    timer = service.call_later(0.5, service.come)

    analysis = client.analyze(png(sound(2)))

    timer.join()
    assert 0.05 == analysis.score


def test_a_service_that_stays_away_is_told_with_its_address():
    with Client("http://127.0.0.1:9", wait_s=0.3) as client, pytest.raises(ServiceAwayError, match=r"127\.0\.0\.1:9"):
        client.analyze(png(sound()))


def test_a_client_works_without_a_with_block_and_leaves_no_connection(service):
    def connections():
        return [
            each for each in psutil.Process().net_connections("tcp") if each.raddr and each.raddr[1] == service.port
        ]

    client = Client(service.url)
    client.analyze(png(sound()))
    assert 1 == len(connections())

    del client
    gc.collect()

    assert [] == connections()


def test_requests_one_after_another_share_a_connection(client, service):
    for seed in range(3):
        client.analyze(png(sound(seed)))

    assert 1 == len(set(service.peers))


def test_a_connection_that_was_idle_for_long_is_replaced(client, service, monkeypatch):
    monkeypatch.setattr("client.connections.IDLE_S", 0)

    client.analyze(png(sound(1)))
    client.analyze(png(sound(2)))

    assert 2 == len(set(service.peers))


@pytest.fixture
def silent():
    """A server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def test_closing_a_client_ends_the_request_that_another_thread_waits_for(silent):
    client = Client("http://127.0.0.1:{1}".format(*silent.getsockname()))
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(client.analyze, png(sound()))
        connection, _ = silent.accept()
        connection.recv(1)

        client.close()

        with connection, pytest.raises(ServiceAwayError):
            waiting.result(timeout=30)


def test_a_silent_service_is_given_up(silent):
    url = "http://127.0.0.1:{1}".format(*silent.getsockname())

    with Client(url, timeout_s=0.2, wait_s=0) as client, pytest.raises(ServiceAwayError, match="timed out"):
        client.analyze(png(sound()))


def test_a_proxy_of_the_environment_is_for_other_machines(service, monkeypatch):
    monkeypatch.setenv("http_proxy", service.url.replace("//", "//user:pass%20word@"))

    with Client("http://tiles.invalid:81/prefix") as client, pytest.raises(RefusedError, match="404"):
        client.analyze(png(sound()))  # the service here is no proxy

    assert ["http://tiles.invalid:81/prefix/v1/analyze?mask=rle"] == service.targets
    assert ["Basic dXNlcjpwYXNzIHdvcmQ="] == [each["Proxy-Authorization"] for each in service.headers]
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with Client(service.url) as client:
        assert "ok" == client.analyze(png(sound())).verdict


def test_a_closed_client_says_so(service):
    client = Client(service.url)
    client.close()
    client.close()

    with pytest.raises(ClientError, match="closed"):
        client.analyze(png(sound()))


def test_threads_share_a_client(client):
    images = [png(defective(seed) if seed % 2 else sound(seed)) for seed in range(16)]

    with ThreadPoolExecutor(8) as pool:
        verdicts = [analysis.verdict for analysis in pool.map(client.analyze, images)]

    assert ["ok", "defect"] * 8 == verdicts


async def test_a_client_works_where_an_event_loop_runs_as_in_a_notebook(service):
    with Client(service.url) as client:
        assert "ok" == client.analyze(png(sound())).verdict


async def test_a_program_with_asyncio_sends_several_images_at_once(service):
    service.wait_for = 2

    with Client(service.url) as client:
        images = [png(sound(seed)) for seed in range(8)]
        analyses = await asyncio.gather(*(asyncio.to_thread(client.analyze, image) for image in images))

    assert 8 == len(analyses)


def test_the_api_key_is_sent(service):
    service.api_key = "secret"

    with Client(service.url, api_key="secret") as client:
        assert "ok" == client.analyze(png(sound())).verdict
    with Client(service.url) as client, pytest.raises(RefusedError, match="Unknown key"):
        client.analyze(png(sound()))


@pytest.mark.parametrize("key", ["a\nb", "secret\r", "it’s", "a\0", "é"])
def test_a_key_that_no_header_can_have_is_refused_and_not_shown(key):
    with pytest.raises(InputError, match="printable ASCII") as refused:
        Client(api_key=key)

    assert key not in str(refused.value)


def test_a_large_image_is_sent(client):
    image = png(np.random.default_rng(0).integers(100, 255, (1500, 1000), np.uint8))
    assert 2**20 < len(image)

    assert 1000 == client.analyze(image).width


@pytest.mark.parametrize("url", ["", "127.0.0.1:8080", "ftp://127.0.0.1", "http://", "http://a:b", "http://a/?x=1"])
def test_an_address_that_is_none_is_refused(url):
    with pytest.raises(InputError, match="give the service's address"):
        Client(url)


def test_another_server_is_told_from_the_service(service):
    with Client(f"{service.url}/elsewhere") as client, pytest.raises(RefusedError, match="404"):
        client.analyze(png(sound()))


@pytest.mark.parametrize(
    "change",
    [lambda a: a.pop("verdict"), lambda a: a.pop("rle"), lambda a: a["rle"].update(counts=[1]),
     lambda a: a.update(model=None), lambda a: a["defects"][0].pop("box")],
)  # fmt: skip
def test_an_answer_of_another_shape_is_refused_with_what_is_wrong(change):
    document = answer(defective(), MODEL, {})
    change(document)

    with pytest.raises(WrongAnswerError, match="not one of this service"):
        read_analysis(document)


def test_what_a_later_service_adds_is_left_out():
    document = answer(defective(), MODEL, {})
    expected = read_analysis(document)
    (defect,) = document["defects"]
    for each in (document, document["model"], defect, defect["box"], defect["centroid"], document["warnings"][0]):
        each["more"] = 1

    assert expected == read_analysis(document)


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # of pycocotools under numpy 2
@given(mask=arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=12)))
def test_a_mask_is_the_same_as_rows_as_an_array_and_for_pycocotools(mask):
    height, width = mask.shape
    read = Mask(width, height, tuple(run_lengths(mask)))

    assert mask.tolist() == np.asarray(read).tolist()
    assert mask.astype(int).tolist() == [list(row) for row in read.rows()]
    assert mask.astype(int).tolist() == coco.decode(coco.frPyObjects(read.rle, height, width)).tolist()
    assert np.float32 == np.asarray(read, dtype=np.float32).dtype


def test_a_mask_is_an_array_of_the_callers_own_with_the_numpy_of_the_service(serving_python):
    code = """
import numpy
from client import Mask
mask = Mask(3, 2, (1, 3, 2))
pixels = numpy.asarray(mask)
pixels[0, 0] = True
print(pixels.tolist(), numpy.array(mask, dtype=int).tolist())
"""

    for python in (serving_python, sys.executable):  # numpy 1 and 2
        done = subprocess.run([python, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
        assert "[[True, True, False], [True, True, False]] [[0, 1, 0], [1, 1, 0]]" == done.stdout.strip()


@pytest.mark.parametrize("counts", [(5,), (7,), (-1, 7)])
def test_run_lengths_that_do_not_fill_the_image_are_refused(counts):
    with pytest.raises(ValueError, match="do not fill 2 x 3"):
        Mask(2, 3, counts)


def test_retry_after_is_read_as_seconds_or_as_a_date():
    later = email.utils.format_datetime(dt.datetime.now(dt.UTC) + dt.timedelta(seconds=90), usegmt=True)

    assert 7 == read_retry_after("7")
    assert 80 < read_retry_after(later) <= 90
    assert 0 == read_retry_after("Wed, 21 Oct 2015 07:28:00 GMT")
    assert [None, None] == [read_retry_after(None), read_retry_after("soon")]


SCORES = st.lists(st.integers(0, 10_000).map(lambda share: share / 10_000), min_size=1, max_size=8)


def photographs(scores, **model):
    documents = [answer(defective(), MODEL | model, {}) | {"score": score} for score in scores]
    return [read_analysis(document) for document in documents]


@given(scores=SCORES, seed=st.randoms())
def test_a_tiles_verdict_is_that_of_the_mean_score_in_any_order(scores, seed):
    found = photographs(scores)
    expected = judge_tile(found)
    seed.shuffle(found)

    assert expected == judge_tile(found)
    assert pytest.approx(sum(scores) / len(scores), abs=1e-4) == expected.score
    assert ("defect" if expected.score >= 0.5 else "ok") == expected.verdict
    assert len(scores) == expected.images


@pytest.mark.parametrize(
    ("scores", "model", "chosen", "expected"),
    [
        ([0.6, 0.4], {}, None, ("defect", 0.5)),
        ([0.6, 0.4], {}, 0.51, ("ok", 0.51)),
        ([0.3, 0.4], {"tile_review_score": 0.35}, None, ("review", 0.5)),
        ([0.3, 0.3], {"tile_review_score": 0.35}, None, ("ok", 0.5)),
    ],
)
def test_a_tile_is_judged_by_the_callers_limit_or_the_models(scores, model, chosen, expected):
    judged = judge_tile(photographs(scores, **model), tile_alarm_score=chosen)

    assert expected == (judged.verdict, judged.alarm_score)


def test_a_tile_has_the_type_of_most_pixels_and_is_familiar_if_all_its_photographs_are():
    one, other = photographs([0.9, 0.9])
    other = dataclasses.replace(other, types={"Blowhole": 0, "Break": 28}, familiar=False)

    judged = judge_tile([one, other])

    assert ("Break", False) == (judged.type, judged.familiar)
    assert judge_tile([one, one]).familiar


def test_answers_of_two_models_are_not_judged_together():
    found = [*photographs([0.9]), *photographs([0.9], sha256="d" * 64)]

    with pytest.raises(WrongAnswerError, match="2 models"):
        judge_tile(found)
