"""POST /analyze on the real Triton: what comes back, in which form, and that batching changes none of it."""

import asyncio
import io
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from proxy_servers import FakeTriton, encoded, png, problem, running_proxy, texture, until
from tritonclient.http import InferenceServerClient, InferInput

from proxy import image_steps
from proxy.errors import NotAcceptableError
from proxy.negotiation import choose

OFFERS = ("application/json", "image/png")
SIZES = [(5, 7), (33, 64), (64, 33), (100, 90), (128, 96), (103, 222)]


@pytest.fixture
async def proxy(triton):
    async with running_proxy(triton.url) as proxy:
        yield proxy


def infer_directly(triton, image):
    """Probability and type of an image, without the proxy and without its padding."""
    height, width = image.shape
    canvas = np.pad(image, ((0, -height % 32), (0, -width % 32)), mode="edge")[None, None]
    client = InferenceServerClient(triton.url)
    result = client.infer("segmenter", [InferInput("image", canvas.shape, "UINT8").set_data_from_numpy(canvas)])
    probability, defect_type = (result.as_numpy(name)[0, 0, :height, :width] for name in ("probability", "type"))
    client.close()
    return probability, defect_type


@pytest.mark.parametrize(("height", "width"), SIZES)
async def test_pred_is_the_thresholded_probability_as_high_and_wide_as_the_upload(proxy, triton, height, width):
    image = texture(height, width)
    answer = await proxy.analysis(png(image))
    probability, defect_type = await asyncio.to_thread(infer_directly, triton, image)
    mask = (probability / 255 >= answer["threshold"]) & (answer["score"] >= answer["alarm_score"])
    assert mask.astype(int).tolist() == answer["pred"]
    assert (height, width) == (answer["height"], answer["width"])
    assert int(mask.sum()) == answer["defect_pixels"] == sum(answer["types"].values())
    assert bool(mask.any()) is answer["defective"]
    highest = np.sort(probability, axis=None)[-32:]
    assert pytest.approx(highest.mean() / 255, abs=1e-4) == answer["score"]
    counts = np.bincount(defect_type[mask], minlength=6)[1:].tolist()
    assert counts == list(answer["types"].values())
    assert (list(answer["types"])[int(np.argmax(counts))] if any(counts) else None) == answer["type"]
    assert {"name": "segmenter", "version": "1"}.items() <= answer["model"].items()


@pytest.mark.parametrize("file_format", ["PNG", "JPEG"])
async def test_a_form_and_a_bare_body_get_the_same_answer(proxy, file_format):
    body = encoded(Image.fromarray(texture(60, 70)), file_format)
    async with proxy.post(body, content_type=f"image/{file_format.lower()}") as bare:
        expected = await bare.read()
    async with proxy.post_form(("image", body)) as form:
        assert (200, "application/json") == (form.status, form.content_type)
        assert expected == await form.read()


async def test_the_png_answer_is_the_same_mask_in_one_bit_a_pixel_with_the_figures_as_headers(proxy):
    body = png(texture(100, 90))
    expected = await proxy.analysis(body)
    async with proxy.post(body, Accept="image/png") as response:
        assert (200, "image/png", "Accept") == (response.status, response.content_type, response.headers["Vary"])
        mask = Image.open(io.BytesIO(await response.read()))
    assert ("1", (90, 100)) == (mask.mode, mask.size)
    assert expected["pred"] == np.asarray(mask).astype(int).tolist()
    figures = {name: value for name, value in response.headers.items() if name.startswith("Tile-")}
    model = expected["model"]
    assert {
        "Tile-Verdict": expected["verdict"],
        "Tile-Defective": str(expected["defective"]).lower(),
        "Tile-Defect-Pixels": str(expected["defect_pixels"]),
        "Tile-Defects": str(len(expected["defects"])),
        "Tile-Score": str(expected["score"]),
        "Tile-Alarm-Score": str(expected["alarm_score"]),
        "Tile-Threshold": str(expected["threshold"]),
        "Tile-Type": expected["type"] or "none",
        "Tile-Familiar": str(expected["familiar"]).lower(),
        "Tile-Novelty": str(expected["novelty"]),
        **({} if expected["familiar"] else {"Tile-Warnings": "unfamiliar"}),
        "Tile-Model": "segmenter/1",
        "Tile-Model-Sha256": model["sha256"],
        "Tile-Model-Commit": model["commit"],
        "Tile-Model-Dirty": str(model["dirty"]).lower(),
        "Tile-Model-Data": model["data"],
    } == figures


async def test_concurrent_images_of_mixed_sizes_get_byte_for_byte_what_each_gets_alone(triton):
    bodies = [png(texture(*SIZES[seed % len(SIZES)], seed)) for seed in range(32)]
    async with running_proxy(triton.url, connections=0, in_flight_batches=1) as proxy:
        alone = []
        for body in bodies:
            async with proxy.post(body) as response:
                alone.append(await response.read())
        batches = await proxy.metric("proxy_batch_images_count")
        assert len(bodies) == batches == await proxy.metric("proxy_batch_images_sum")

        async def together(body):
            async with proxy.post(body) as response:
                assert 200 == response.status
                return await response.read()

        assert alone == await asyncio.gather(*map(together, bodies))
        assert len(bodies) * 2 == await proxy.metric("proxy_batch_images_sum")
        assert await proxy.metric("proxy_batch_images_count") - batches < len(bodies)


SMALL, LARGE = texture(64, 64), texture(1056, 1024)  # the latter also has more bytes than aiohttp likes to send as such
NOISE = np.random.default_rng(0).integers(0, 256, (400, 400), np.uint8)  # few pixels, but no PNG makes them few bytes


@pytest.mark.parametrize(
    ("image", "decoded_in", "encoded_in"),
    [
        (SMALL, "MainThread", "MainThread"),
        (LARGE, "pixels", "pixels"),
        (NOISE, "pixels", "MainThread"),
    ],
)
async def test_a_small_image_is_worked_on_in_the_loop_and_a_large_one_in_a_thread_beside_it(
    monkeypatch, image, decoded_in, encoded_in
):
    threads = []

    def spied(function):
        def call(*arguments, **options):
            found = function(*arguments, **options)
            threads.append(threading.current_thread().name.partition("_")[0])
            return found

        return call

    monkeypatch.setattr("proxy.image_steps.decode", spied(image_steps.decode))
    monkeypatch.setattr("proxy.image_steps.summarize", spied(image_steps.summarize))
    async with FakeTriton() as fake, running_proxy(fake.url) as proxy:
        answer = await proxy.analysis(png(image))
    assert image.shape == np.shape(answer["pred"])
    assert [decoded_in, encoded_in] == threads


async def test_an_answer_tells_the_time_of_each_stage_and_so_do_the_metrics(proxy):
    async with proxy.post(png(texture(32, 32))) as response:
        timing = response.headers["Server-Timing"]
    assert ["read", "decode", "queue", "infer", "encode", "total"] == [
        each.split(";")[0] for each in timing.split(", ")
    ]
    for stage in ("read", "decode", "queue", "infer", "encode"):
        assert 1 == await proxy.metric("proxy_stage_seconds_count", stage=stage)
    assert 1 == await proxy.metric("proxy_requests_total", route="/analyze", status="200")


@pytest.mark.parametrize(("given_id", "kept"), [("line-7.42", True), ("two words", False), ("x" * 65, False)])
async def test_a_harmless_request_id_is_echoed_and_any_other_replaced(proxy, given_id, kept):
    async with proxy.request("GET", "/health/live", headers={"X-Request-ID": given_id}) as response:
        assert kept is (given_id == response.headers["X-Request-ID"])
        assert response.headers["X-Request-ID"].isascii()


async def test_a_client_that_leaves_gives_its_place_in_the_queue_back():
    async with FakeTriton() as fake, running_proxy(fake.url, in_flight_batches=1) as proxy:
        fake.open.clear()
        in_flight = asyncio.create_task(post_alone(proxy, texture(32, 32)))
        await fake.asked.acquire()
        waiting = asyncio.create_task(post_alone(proxy, texture(32, 32)))
        await until(lambda: equals(proxy, 1, "proxy_waiting_images"))
        waiting.cancel()
        await until(lambda: equals(proxy, 0, "proxy_waiting_images"))
        await until(lambda: equals(proxy, 1, "proxy_requests_total", route="/analyze", status="499"))
        fake.open.set()
        assert 200 == await in_flight
        assert 1 == await proxy.metric("proxy_batch_images_sum")


@pytest.mark.parametrize(("kind", "batches"), [("KIND_CPU", 3), ("KIND_GPU", 1)])
async def test_a_batch_for_cpus_is_small_and_one_for_gpus_as_large_as_the_model_takes(kind, batches):
    """Five images of 384 x 416 wait behind one: on CPUs a batch has at most 327,680 pixels, two of them."""
    async with FakeTriton() as fake:
        fake.config["instance_group"][0]["kind"] = kind
        async with running_proxy(fake.url, in_flight_batches=1) as proxy:
            fake.open.clear()
            asked = [asyncio.create_task(post_alone(proxy, texture(384, 416)))]
            await fake.asked.acquire()
            asked += [asyncio.create_task(post_alone(proxy, texture(384, 416, seed))) for seed in range(5)]
            await until(lambda: equals(proxy, 5, "proxy_waiting_images"))
            fake.open.set()
            assert 6 * [200] == await asyncio.gather(*asked)
            assert batches == await proxy.metric("proxy_batch_images_count") - 1


async def equals(proxy, expected, name, **labels):
    return expected == await proxy.metric(name, **labels)


async def post_alone(proxy, image):
    """Post over a connection that ends with the caller; return the status."""
    reader, writer = await proxy.connect()
    try:
        body = png(image)
        writer.write(b"POST /analyze HTTP/1.1\r\nHost: proxy\r\nContent-Type: image/png\r\n")
        writer.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        return int((await reader.readline()).split()[1])
    finally:
        writer.close()


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", "application/json"),
        ("*/*", "application/json"),
        ("application/json", "application/json"),
        ("application/*", "application/json"),
        ("image/png", "image/png"),
        ("IMAGE/*", "image/png"),
        ("image/png, */*;q=0.8", "image/png"),
        ("image/png;q=0.4, application/json; q=0.5", "application/json"),
        ("application/json;q=0, */*", "image/png"),
        ("image/*;q=1, image/png;q=0.1, application/json;q=0.2", "application/json"),
        ("text/html, rubbish, image/png;q=0.1", "image/png"),
    ],
)
def test_the_most_wanted_answer_is_chosen_and_json_among_equals(accept, expected):
    assert expected == choose(accept, OFFERS)


@pytest.mark.parametrize(
    "accept", ["text/html", "image/jpeg", "image/png;q=0", "rubbish", "*/*;q=0", "*/*;q=x", "image/png;q=7"]
)
def test_an_accept_header_that_nothing_fits_is_refused(accept):
    with pytest.raises(NotAcceptableError, match="application/json or image/png"):
        choose(accept, OFFERS)


@given(accept=st.text(st.sampled_from("imagepngjson*/;,q=01. \t"), max_size=60))
def test_no_accept_header_breaks_the_choice(accept):
    try:
        assert choose(accept, OFFERS) in OFFERS
    except NotAcceptableError as error:
        assert 406 == error.status  # noqa: PT017 either is right


async def test_what_no_answer_fits_is_refused_before_the_body_is_read(proxy):
    async with proxy.post(png(texture(32, 32)), Accept="text/html") as response:
        await problem(response, 406, "Not acceptable")
    assert 0 == await proxy.metric("proxy_stage_seconds_count", stage="read")
