"""What a request may ask for: parameters, the part, other routes to the same answer; and what the log says of it."""

import io
from urllib.parse import unquote

import numpy as np
import pytest
from aiohttp import FormData
from PIL import Image
from proxy_servers import png, problem, running_proxy, texture
from structlog.testing import capture_logs

from proxy.image_steps import THREADS
from proxy.parameters import number

IMAGE = texture(40, 50)
BODY = png(IMAGE)
PNG_TYPE = {"Content-Type": "image/png"}


def ask(proxy, query="", *, path="/analyze", body=BODY, **headers):
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return proxy.request("POST", path + query, data=body, headers=PNG_TYPE | names)


async def answer_of(request):
    async with request as response:
        assert 200 == response.status, await response.text()
        return await response.json()


KEYS = [
    "part", "width", "height", "verdict", "defective", "defect_pixels", "score", "alarm_score", "threshold", "type",
    "types", "defects", "novelty", "familiar", "warnings", "model",
]  # fmt: skip


@pytest.mark.parametrize(
    ("query", "more"),
    [
        ("", ["pred"]),
        ("?mask=rows", ["pred"]),
        ("?mask=rle", ["rle", "rle_string"]),
        ("?mask=polygons", ["polygons"]),
        ("?mask=none", []),
    ],
)
async def test_an_answer_has_its_keys_in_their_order_and_the_mask_that_is_asked_for(proxy, query, more):
    assert KEYS + more == list(await answer_of(ask(proxy, query)))


@pytest.mark.parametrize(("view", "mode"), [("mask", "1"), ("overlay", "RGB"), ("probability", "L")])
async def test_a_png_answer_is_the_view_that_is_asked_for(proxy, view, mode):
    async with ask(proxy, f"?view={view}", Accept="image/png") as response:
        assert (200, "image/png", "Accept") == (response.status, response.content_type, response.headers["Vary"])
        assert mode == Image.open(io.BytesIO(await response.read())).mode


async def test_a_threshold_gives_the_probability_answer_at_it(proxy):
    async with ask(proxy, "?view=probability", Accept="image/png") as response:
        probability = np.asarray(Image.open(io.BytesIO(await response.read())))
    np.testing.assert_array_equal(255 - IMAGE, probability)
    for threshold in ("0", "0.3", "0.5019607843137255", "0.502", "1", "1e-3", ".5"):
        answer = await answer_of(ask(proxy, f"?threshold={threshold}&alarm_score=0"))
        assert (probability / 255 >= float(threshold)).astype(int).tolist() == answer["pred"]
        assert (float(threshold), 0.0) == (answer["threshold"], answer["alarm_score"])


async def test_the_defaults_as_they_are_shown_give_the_default_answer(proxy):
    default = await answer_of(ask(proxy))
    point = {"threshold": default["model"]["threshold"], "alarm_score": default["model"]["alarm_score"]}
    assert default == await answer_of(ask(proxy, f"?threshold={point['threshold']}&alarm_score={point['alarm_score']}"))


async def test_an_alarm_score_that_is_not_reached_leaves_no_defect(proxy):
    answer = await answer_of(ask(proxy, "?alarm_score=1"))
    assert ("ok", False, 0, []) == tuple(answer[key] for key in ("verdict", "defective", "defect_pixels", "defects"))


WRONG = {
    "an unknown name": ("?mode=fast", "mask, threshold, alarm_score, part"),
    "a name twice": ("?mask=rle&mask=rle", "twice"),
    "a wrong format": ("?mask=png", "rows or rle or polygons or none"),
    "a text for a number": ("?threshold=abc", "a number from 0 to 1"),
    "no value": ("?threshold=", "a number from 0 to 1"),
    "a number above 1": ("?alarm_score=1.01", "a number from 0 to 1"),
    "a negative number": ("?threshold=-0.1", "a number from 0 to 1"),
    "nan": ("?threshold=nan", "a number from 0 to 1"),
    "infinity": ("?threshold=inf", "a number from 0 to 1"),
    "a number with a blank": ("?threshold=%200.5", "a number from 0 to 1"),
    "a view of JSON": ("?view=mask", "alarm_score, part; it needs the header Accept: image/png"),
    "an empty part": ("?part=", "1 to 128 printable characters"),
    "a long part": (f"?part={129 * 'x'}", "1 to 128 printable characters"),
    "a line break in a part": ("?part=a%0Ab", "1 to 128 printable characters"),
    "a part that is no text": ("?part=%ff", "1 to 128 printable characters"),
    "a parameter of tiles": ("?tile_alarm_score=0.5", "mask, threshold, alarm_score, part"),
}


@pytest.mark.parametrize(("query", "allowed"), WRONG.values(), ids=WRONG)
async def test_a_wrong_parameter_is_refused_with_what_is_allowed(proxy, query, allowed):
    async with ask(proxy, query) as response:
        document = await problem(response, 400, "Wrong parameter")
    assert "urn:problem-type:wrong-parameter" == document["type"]
    assert allowed in document["detail"]


async def test_a_mask_format_is_unknown_where_a_png_is_asked_for(proxy):
    async with ask(proxy, "?mask=rle", Accept="image/png") as response:
        assert "view, threshold, alarm_score, part" in (await problem(response, 400, "Wrong parameter"))["detail"]


@pytest.mark.parametrize(
    ("text", "value"),
    [("0", 0.0), ("-0", 0.0), ("1", 1.0), ("0.25", 0.25), ("1e-3", 0.001), ("1_0", None), ("٠", None), ("0x1", None)],
)
def test_a_number_is_plain(text, value):
    assert value == number(text)


@pytest.mark.parametrize("accept", ["*", "*/*", "application/json, *;q=0.1"])
async def test_a_client_that_takes_anything_gets_json(proxy, accept):
    assert await answer_of(ask(proxy, Accept=accept))


@pytest.mark.parametrize("accept", ["image/webp", "image/jpeg", "text/html", "application/xml"])
async def test_any_other_type_is_not_acceptable(proxy, accept):
    async with ask(proxy, Accept=accept) as response:
        await problem(response, 406, "Not acceptable")


def form_of(*parts):
    form = FormData()
    form.add_field("image", BODY, filename="t.png", content_type="image/png")
    for part in parts:
        form.add_field("part", part)
    return form()


def post_form(proxy, form, query=""):
    return proxy.request("POST", "/analyze" + query, data=form)


@pytest.mark.parametrize("part", ["A-17", "Teil 4 ü", 128 * "x"])
async def test_a_part_is_echoed_in_the_answer_the_log_and_the_headers(proxy, part):
    with capture_logs() as logs:
        answer = await answer_of(proxy.request("POST", "/analyze", params={"part": part}, data=BODY, headers=PNG_TYPE))
    assert part == answer["part"]
    (line,) = [each for each in logs if each["event"] == "request"]
    assert (part, answer["verdict"], True) == (line["part"], line["verdict"], line["familiar"])
    assert part == (await answer_of(post_form(proxy, form_of(part))))["part"]
    headers = PNG_TYPE | {"Accept": "image/png"}
    async with proxy.request("POST", "/analyze", params={"part": part}, data=BODY, headers=headers) as response:
        assert part == unquote(response.headers["Tile-Part"])
        assert part == Image.open(io.BytesIO(await response.read())).text["Part"]


async def test_a_part_may_stand_in_query_and_form_if_it_is_the_same(proxy):
    assert "A" == (await answer_of(post_form(proxy, form_of("A"), "?part=A")))["part"]
    async with post_form(proxy, form_of("A"), "?part=B") as response:
        await problem(response, 400, "Wrong parameter")
    async with post_form(proxy, form_of(500 * "x")) as response:
        await problem(response, 400, "Wrong parameter")
    async with post_form(proxy, form_of("A", "A")) as response:
        await problem(response, 422, "Wrong form field")


async def test_the_version_of_an_answer_tells_its_file_also_after_a_new_one_came(fake):
    async with running_proxy(fake.url) as proxy:
        assert None is (await answer_of(ask(proxy)))["model"]["sha256"]
        fake.config["parameters"]["model.sha256"] = {"string_value": "5" * 64}
        fake.config["parameters"]["model.data_digest"] = {"string_value": "da7a"}
        assert await proxy.check()
        model = (await answer_of(ask(proxy)))["model"]
        assert ("5" * 64, "da7a", None, False) == tuple(model[key] for key in ("sha256", "data", "commit", "dirty"))
        async with proxy.request("GET", "/health/ready") as response:
            assert model.items() <= (await response.json())["model"].items()
        fake.config["parameters"]["model.digest"] = {"string_value": "e2" * 32}  # no check has seen it yet
        assert None is (await answer_of(ask(proxy)))["model"]["sha256"]


async def test_an_unfamiliar_image_is_said_to_be_one_and_counted(fake):
    fake.novelty = 10.5
    async with running_proxy(fake.url) as proxy:
        answer = await answer_of(ask(proxy))
        assert (10.5, False, ["unfamiliar"]) == (
            answer["novelty"], answer["familiar"], [each["code"] for each in answer["warnings"]],
        )  # fmt: skip
        async with ask(proxy, Accept="image/png") as response:
            assert ("false", "10.5", "unfamiliar") == tuple(
                response.headers[f"Tile-{name}"] for name in ("Familiar", "Novelty", "Warnings")
            )
        assert 2 == await proxy.metric("proxy_unfamiliar_images_total")
        assert 2 == await proxy.metric("proxy_warnings_total", code="unfamiliar")
        fake.novelty = 10.0
        assert (await answer_of(ask(proxy)))["familiar"]
        assert 2 == await proxy.metric("proxy_unfamiliar_images_total")


async def test_every_route_is_there_below_its_version_too(proxy):
    for path in ("/", "/page.css", "/health/live", "/health/ready", "/metrics"):
        async with proxy.request("GET", f"/v1{path}") as response:
            assert 200 == response.status
    assert await answer_of(ask(proxy)) == await answer_of(ask(proxy, path="/v1/analyze"))
    assert 2 == await proxy.metric("proxy_requests_total", route="/analyze", status="200")
    assert 2 == await proxy.metric("proxy_analyze_seconds_count")


async def test_speckles_are_measured_in_a_thread_beside_the_loop(fake, monkeypatch):
    asked = []
    async with running_proxy(fake.url) as proxy:
        threads = type(proxy.app[THREADS])
        run = threads.run

        async def spied(self, work, **options):
            asked.append(work)
            return await run(self, work, **options)

        monkeypatch.setattr(threads, "run", spied)
        speckles = np.full((60, 60), 255, np.uint8)
        speckles[::4, ::4] = 0
        assert 225 == len((await answer_of(ask(proxy, body=png(speckles))))["defects"])
        assert 1 == len(asked)
        await answer_of(ask(proxy))
        assert 1 == len(asked)
        await answer_of(ask(proxy, "?mask=polygons"))
        assert 2 == len(asked)
