"""An answer that is another image's or another model's never reaches a client, and the Triton that gave it ends."""

import asyncio
import contextlib
import json
import time
from collections import Counter

import numpy as np
import pytest
from aiohttp import web
from proxy_servers import FakeTriton, png, problem, running_proxy, tensors, texture, until
from test_proxy_several_tritons import Balancer

from host.ports import free_port
from proxy import readiness
from proxy.errors import WrongModelError
from tiles.fingerprint import fingerprint
from tiles.golden import golden_answer, golden_canvas
from tiles.label import LABEL_BYTES

BODY = png(texture(32, 40))
OTHER = 255 - np.zeros((1, 1, 32, 64), np.uint8)


def parts(canvases):
    """The tensors of a right answer, to be changed."""
    probability, defect_type = 255 - canvases, np.full_like(canvases, 3)
    label = np.zeros((len(canvases), LABEL_BYTES), np.uint8)
    return {
        "probability": probability,
        "type": defect_type,
        "fingerprint": fingerprint(canvases, probability, defect_type),
        "model": label,
    }


def changed(array):
    other = array.copy()
    other.flat[7] ^= 1
    return other


def late_stub(*_):
    return web.json_response({"error": "Stub process 'segmenter_0_1' is not healthy."}, status=500)


MISMATCHES = {
    "another image's answer": lambda fake, _: fake.echo(OTHER),
    "another image's, of another shape": lambda fake, c: fake.echo(c[..., :32]),
    "another image's fingerprint": lambda _, c: tensors(**parts(c) | {"fingerprint": fingerprint(OTHER, c, c)}),
    "a changed probability": lambda _, c: tensors(**parts(c) | {"probability": changed(255 - c)}),
    "a changed type": lambda _, c: tensors(**parts(c) | {"type": np.full_like(c, 2)}),
    "no label": lambda _, c: tensors(**parts(c)),
    "another type of number": lambda _, c: tensors(**parts(c) | {"probability": c.astype(np.float32)}),
    "an output too few": lambda _, c: tensors(probability=255 - c),
    "a late stub": late_stub,
}


@pytest.mark.parametrize("answer", MISMATCHES.values(), ids=MISMATCHES)
async def test_an_answer_that_is_not_the_images_own_gets_502_and_that_triton_is_told_to_end(fake, answer):
    async with running_proxy(fake.url) as proxy:
        fake.answer = lambda canvases: answer(fake, canvases)
        async with proxy.post(BODY) as response:
            document = await problem(response, 502, "Mismatched answer")
            assert "5" == response.headers["Retry-After"]
        assert "Triton gave an answer that belongs to another request" in document["detail"]
        assert fake.url not in json.dumps(document)
        assert 1 == await proxy.metric("proxy_answer_mismatches_total")
        assert 1 == len(fake.told_to_end)
        fake.answer = fake.echo
        assert await proxy.analysis(BODY)


async def test_a_triton_that_calls_its_stub_unhealthy_before_any_inference_is_not_ready(fake, monkeypatch):
    async with running_proxy(fake.url) as proxy:
        monkeypatch.setattr("proxy_servers.leaving", late_stub)
        fake.away = True
        assert not await proxy.check()
        async with proxy.request("GET", "/health/ready") as response:
            assert "is not healthy" in (await problem(response, 503, "Not ready"))["detail"]
        assert 0 == await proxy.metric("proxy_answer_mismatches_total")


async def test_what_is_in_flight_beside_a_mismatch_is_given_up_even_if_its_own_proof_is_right(fake):
    async with running_proxy(fake.url, connections=0, in_flight_batches=2) as proxy:
        wrong = [OTHER]
        fake.answer = lambda canvases: fake.echo(wrong.pop() if wrong else canvases)
        fake.open.clear()
        posts = [asyncio.create_task(status_of(proxy)) for _ in range(2)]
        for _ in posts:
            await fake.asked.acquire()
        fake.open.set()
        assert [502, 503] == sorted(await asyncio.gather(*posts))
        assert 1 == await proxy.metric("proxy_answer_mismatches_total")
        assert await proxy.analysis(BODY)


async def status_of(proxy):
    async with proxy.post(BODY) as response:
        return response.status


async def test_of_two_tritons_the_one_that_gave_the_wrong_answer_is_told_to_end(monkeypatch):
    monkeypatch.setattr(readiness, "ANSWER_COUNTS_S", 60)
    async with (
        FakeTriton() as right,
        FakeTriton() as wrong,
        Balancer(right.url, wrong.url) as balancer,
        running_proxy(balancer.url, triton_connections="fresh") as proxy,
    ):
        await proxy.analysis(BODY)
        wrong.answer = lambda _: wrong.echo(OTHER)
        statuses = Counter([await status_of(proxy) for _ in range(16)])
        assert proxy.is_ready()
    assert {200, 502} <= statuses.keys() <= {200, 502, 503}, "503: beside a check that met the wrong one"
    assert [] == right.told_to_end
    assert len(wrong.told_to_end) >= statuses[502] > 0


async def test_each_answer_of_two_models_behind_one_address_is_judged_by_its_own_operating_point():
    """0 of 40 mixed answers have one model's commit and threshold and the other's mask."""
    async with (
        FakeTriton() as first,
        FakeTriton() as second,
        Balancer(first.url, second.url) as balancer,
        running_proxy(balancer.url, triton_connections="fresh", connections=0, in_flight_batches=4) as proxy,
    ):
        second.config["parameters"] |= {
            "model.threshold": {"string_value": "255"},
            "model.commit": {"string_value": "b" * 40},
            "model.digest": {"string_value": "b2" * 32},
        }
        first.config["parameters"] |= {"model.commit": {"string_value": "a" * 40}}
        second.answer = lambda c: second.proven(c, c, np.full_like(c, 1))  # the other way round, of another type
        second.config["parameters"]["model.golden"]["string_value"] = golden_answer(golden_canvas())
        image = np.tile(np.array([0, 255], np.uint8), (32, 16))
        answers = await asyncio.gather(*(proxy.analysis(png(image)) for _ in range(40)))
        assert proxy.is_ready()
    expected = {
        ("a" * 40, 0.5019, "Crack"): (image < 128).astype(int).tolist(),
        ("b" * 40, 1.0, "Blowhole"): (image == 255).astype(int).tolist(),
    }
    said = [(answer["model"]["commit"], answer["threshold"], answer["type"]) for answer in answers]
    assert expected.keys() == set(said)
    assert [expected[key] for key in said] == [answer["pred"] for answer in answers]


async def test_a_damaged_model_is_not_ready_and_the_reason_names_the_golden_image(fake):
    async with running_proxy(fake.url) as proxy:
        assert proxy.is_ready()
        fake.answer = lambda c: fake.proven(c, np.zeros_like(c), np.full_like(c, 3))
        assert not await proxy.check()
        async with proxy.post(BODY) as response:
            detail = (await problem(response, 503, "Not ready"))["detail"]
        assert "golden image differs by" in detail
        assert "publish the model again" in detail


async def test_a_model_may_differ_from_its_golden_answer_by_the_tolerance(fake):
    fake.answer = lambda c: fake.proven(c, 235 - np.minimum(c, 235), np.full_like(c, 3))
    async with running_proxy(fake.url, golden_tolerance=19) as proxy:
        assert not proxy.is_ready()
    async with running_proxy(fake.url, golden_tolerance=21) as proxy:
        assert proxy.is_ready()


async def test_a_configuration_that_says_other_than_the_graph_is_refused(fake):
    async with running_proxy(fake.url) as proxy:
        published = {name: dict(value) for name, value in fake.config["parameters"].items()}
        label = {**fake.config, "parameters": published}
        other = FakeTriton()
        other.config = label
        fake.answer = other.echo  # the graph's label stays
        fake.config["parameters"]["model.threshold"]["string_value"] = "129"
        assert not await proxy.check()
        async with proxy.post(BODY) as response:
            detail = (await problem(response, 503, "Not ready"))["detail"]
        assert "config.pbtxt describes" in detail
        assert "publish both together" in detail


async def test_a_stalled_triton_is_not_ready_within_3_s_and_ready_within_2_s_of_its_recovery(fake):
    async with running_proxy(fake.url, check_interval_s=1) as proxy:
        fake.open.clear()  # describes its model, but infers nothing, as with a stopped stub
        started_s = time.monotonic()
        await until(lambda: is_ready(proxy, False), timeout_s=10)
        assert 3 > time.monotonic() - started_s
        fake.open.set()
        started_s = time.monotonic()
        await until(lambda: is_ready(proxy, True), timeout_s=10)
        assert 2 > time.monotonic() - started_s


async def is_ready(proxy, expected):
    return expected is proxy.is_ready()


@contextlib.asynccontextmanager
async def behind_a_large_image(fake, first_s, **settings):
    """A proxy whose first image took so long, and which waits for one of a megapixel."""
    async with running_proxy(fake.url, connections=0, **settings) as proxy:
        fake.open.clear()
        first = asyncio.create_task(proxy.analysis(BODY))
        await fake.asked.acquire()
        await asyncio.sleep(first_s)
        fake.open.set()
        await first
        fake.open.clear()
        post = asyncio.create_task(proxy.analysis(png(texture(1024, 1024))))
        await fake.asked.acquire()
        yield proxy
        fake.open.set()
        await asyncio.gather(post, return_exceptions=True)


async def test_a_check_behind_a_large_image_may_take_longer_than_one_on_an_idle_triton(fake):
    # the first image counts as 65,536 pixels, so four batches of a megapixel may take more than three seconds
    async with behind_a_large_image(fake, 0.05) as proxy:
        checking = asyncio.create_task(proxy.check())
        await asyncio.sleep(1.25 * readiness.CHECK_S)
        assert (True, False) == (proxy.is_ready(), checking.done())
        fake.open.set()
        assert await checking


async def test_a_check_behind_a_large_image_waits_no_longer_than_for_a_batch(fake):
    # by the first image's pace four batches of a megapixel take half a minute
    async with behind_a_large_image(fake, 0.5, triton_timeout_s=3) as proxy:
        fake.hangs = True
        started_s = time.monotonic()
        assert not await proxy.check()
        assert 2.5 < time.monotonic() - started_s < 6


BROKEN = {
    "no threshold": ("model.threshold", None, "model.threshold is ''"),
    "text for a number": ("model.alarm_score", "half", "model.alarm_score is 'half'"),
    "too few types": ("model.types", "Blowhole,Break", "its config.pbtxt describes"),
    "no digest": ("model.digest", None, "model.digest is ''"),
}


@pytest.mark.parametrize(("name", "value", "words"), BROKEN.values(), ids=BROKEN)
async def test_a_broken_configuration_ends_the_start_with_the_reason_as_the_last_line(
    fake, start_service, name, value, words
):
    graph = FakeTriton()  # its label is as it was
    fake.answer = graph.echo
    if value is None:
        del fake.config["parameters"][name]
    else:
        fake.config["parameters"][name] = {"string_value": value}
    service = start_service("proxy", PORT=str(free_port()), TRITON_URL=fake.url)
    await until(lambda: said(service, "event=listening"))
    assert 3 == await asyncio.to_thread(service.process.wait, 10)
    assert words in service.said.splitlines()[-1]
    assert service.said.splitlines()[-1].startswith("error: ")


async def said(service, words):
    return words in service.said


def test_the_error_of_a_wrong_model_asks_to_try_again_later():
    assert "60" == WrongModelError.headers["Retry-After"]
