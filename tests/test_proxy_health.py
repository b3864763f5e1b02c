"""Live, ready and metrics; the contract with the served model; the page's headers."""

import asyncio
import re

import pytest
from proxy_servers import FakeTriton, model_config, png, problem, running_proxy, texture, until
from structlog.testing import capture_logs

from proxy.contract import read_contract
from proxy.errors import WrongModelError

BODY = png(texture(32, 40))


async def test_live_is_200_whatever_triton_does():
    async with running_proxy("127.0.0.1:9") as proxy, proxy.request("GET", "/health/live") as response:
        assert (200, {"status": "live"}) == (response.status, await response.json())


async def test_ready_names_the_model_that_the_real_triton_serves(triton):
    async with running_proxy(triton.url) as proxy, proxy.request("GET", "/health/ready") as response:
        assert 200 == response.status
        assert {"name": "segmenter", "version": "1"}.items() <= (await response.json())["model"].items()
        assert 1 == await proxy.metric("proxy_ready")


async def test_a_model_that_the_real_triton_does_not_know_is_not_ready(triton):
    async with (
        running_proxy(triton.url, model_name="other") as proxy,
        proxy.request("GET", "/health/ready") as response,
    ):
        document = await problem(response, 503, "Not ready")
        assert "unknown model" in document["detail"]
        assert 0 == await proxy.metric("proxy_ready")


async def test_a_triton_that_comes_later_is_found_without_being_asked_for():
    async with FakeTriton() as fake:
        port = fake.server.port
        await fake.server.close()
        async with running_proxy(fake.url, check_interval_s=0.05) as proxy:
            async with proxy.request("GET", "/health/ready") as response:
                assert "cannot be reached" in (await problem(response, 503, "Not ready"))["detail"]
            async with FakeTriton(port=port):
                await until(lambda: is_ready(proxy))
                assert await proxy.analysis(BODY)
            await until(lambda: is_not_ready(proxy))


async def is_ready(proxy):
    return proxy.is_ready()


async def is_not_ready(proxy):
    return not proxy.is_ready()


async def test_a_model_that_changes_under_way_is_noticed():
    with capture_logs() as logs:
        async with FakeTriton() as fake, running_proxy(fake.url) as proxy:
            fake.config["parameters"]["model.threshold"]["string_value"] = "255"
            assert await proxy.check()
            assert 1.0 == (await proxy.analysis(BODY))["threshold"]
            fake.config["parameters"]["model.alarm_score"]["string_value"] = "1.0"
            assert await proxy.check()
            answer = await proxy.analysis(BODY)
            assert (1.0, False, 0) == (answer["alarm_score"], answer["defective"], answer["defect_pixels"])
            fake.config["max_batch_size"] = 0
            assert not await proxy.check()
            async with proxy.post(BODY) as response:
                assert "max_batch_size is 0" in (await problem(response, 503, "Not ready"))["detail"]
    assert ["ready", "ready", "ready", "not_ready"] == [each["event"] for each in logs if "ready" in each["event"]]


async def test_one_batch_more_is_in_flight_than_the_model_has_instances():
    async with FakeTriton() as fake:
        fake.config["instance_group"] = [{"count": 1, "gpus": [0, 1]}, {"count": 1, "gpus": []}]
        async with running_proxy(fake.url, connections=0) as proxy:
            fake.open.clear()
            posts = [asyncio.create_task(proxy.analysis(BODY)) for _ in range(5)]
            for _ in range(4):
                await fake.asked.acquire()
            await until(lambda: one_waits(proxy))
            assert 4 == await proxy.metric("proxy_batches_in_flight")
            fake.open.set()
            await asyncio.gather(*posts)


async def one_waits(proxy):
    return 1 == await proxy.metric("proxy_waiting_images")


def described(**changes):
    config = model_config()
    for path, value in changes.items():
        *folders, last = path.split("__")
        target = config
        for folder in folders:
            target = target[int(folder) if folder.isdigit() else folder]
        target[last.replace("_dot_", ".")] = value
    return config


WRONG_MODELS = {
    "input 'image' as float": ({"input__0__data_type": "TYPE_FP32"}, "input"),
    "another input": ({"input__0__name": "pixels"}, "input"),
    "a fixed size": ({"input__0__dims": [1, 256, 256]}, "dims|256"),
    "three channels": ({"input__0__dims": [3, -1, -1]}, "input"),
    "no output 'type'": ({"output__1__name": "kind"}, "output"),
    "a float output": ({"output__0__data_type": "TYPE_FP32"}, "output"),
    "no novelty": ({"output__2__name": "novel"}, "output"),
    "a novelty of bytes": ({"output__2__data_type": "TYPE_UINT8"}, "output"),
    "no fingerprint": ({"output__3__name": "digest"}, "output"),
    "a fingerprint of bytes": ({"output__3__data_type": "TYPE_UINT8"}, "output"),
    "no label": ({"output__4__dims": [512]}, "output"),
    "no digest": ({"parameters__model_dot_digest": {"string_value": "d1"}}, "model.digest"),
    "no golden answer": ({"parameters__model_dot_golden": {"string_value": ""}}, "model.golden"),
    "no batches": ({"max_batch_size": 0}, "max_batch_size"),
    "no threshold": ({"parameters": {}}, "model.threshold"),
    "a threshold of 0": ({"parameters__model_dot_threshold": {"string_value": "0"}}, "model.threshold"),
    "a threshold of 256": ({"parameters__model_dot_threshold": {"string_value": "256"}}, "model.threshold"),
    "a threshold of 0.5": ({"parameters__model_dot_threshold": {"string_value": "0.5"}}, "model.threshold"),
    "an alarm score above 1": ({"parameters__model_dot_alarm_score": {"string_value": "1.5"}}, "model.alarm_score"),
    "no alarm score": ({"parameters__model_dot_alarm_score": {"string_value": ""}}, "model.alarm_score"),
    "no alarm score of a tile": ({"parameters__model_dot_tile_alarm_score": {"string_value": ""}}, "tile_alarm_score"),
    "no limit of novelty": ({"parameters__model_dot_novelty_limit": {"string_value": ""}}, "model.novelty_limit"),
    "a limit of novelty of 0": ({"parameters__model_dot_novelty_limit": {"string_value": "0"}}, "model.novelty_limit"),
    "a review score above the alarm score": (
        {"parameters__model_dot_review_score": {"string_value": "0.5"}},
        "model.review_score",
    ),
    "a sha256 that is none": ({"parameters__model_dot_sha256": {"string_value": "5"}}, "model.sha256"),
    "a title of two lines": ({"parameters__model_dot_title": {"string_value": "a\nb"}}, "model.title"),
    "no types": ({"parameters__model_dot_types": {"string_value": ""}}, "model.types"),
    "no list of inputs": ({"input": {}}, "'input'"),
    "a text for a number": ({"max_batch_size": "8"}, "max_batch_size"),
    "a number for an input": ({"input": [1]}, "JSON object"),
    "a type twice": ({"parameters__model_dot_types": {"string_value": "Crack,Crack"}}, "model.types"),
}


@pytest.mark.parametrize(("changes", "named"), WRONG_MODELS.values(), ids=WRONG_MODELS)
def test_a_model_that_does_not_fit_is_refused_with_what_is_wrong(changes, named):
    with pytest.raises(WrongModelError, match=named):
        read_contract({"versions": ["1"]}, described(**changes))


@pytest.mark.parametrize(
    ("metadata", "config"), [([1], model_config()), ({}, "segmenter"), ({"versions": 1}, model_config())]
)
def test_a_description_that_is_none_is_refused(metadata, config):
    with pytest.raises(WrongModelError, match="Triton describes"):
        read_contract(metadata, config)


def test_a_model_that_fits_tells_what_the_proxy_uses():
    config = described(parameters__model_dot_commit={"string_value": "abc123"}, max_batch_size=16)
    config["instance_group"] = [{"count": 2}]
    contract = read_contract({"versions": ["2", "10"]}, config)
    model = contract.model
    assert ("segmenter", "10", "abc123", 16, 2, 128) == (
        model.name, model.version, model.commit, contract.max_batch_size, contract.instances,
        model.operating_point.threshold,
    )  # fmt: skip
    assert ("Blowhole", "Break", "Crack", "Fray", "Uneven") == model.defect_types


@pytest.mark.parametrize(
    ("groups", "on_cpus"),
    [
        ([{"kind": "KIND_CPU", "count": 2}], True),
        ([{"kind": "KIND_CPU"}, {"kind": "KIND_GPU", "gpus": [0]}], False),
        ([{"kind": "KIND_AUTO"}], False),
    ],
)
def test_a_model_tells_whether_it_runs_on_cpus_alone(groups, on_cpus):
    assert on_cpus == read_contract({"versions": ["1"]}, described(instance_group=groups)).on_cpus


@pytest.mark.parametrize(("told", "dirty"), [("true", True), ("false", False), (None, False)])
def test_a_model_tells_whether_it_was_trained_with_uncommitted_changes(told, dirty):
    more = {} if told is None else {"parameters__model_dot_commit_dirty": {"string_value": told}}
    assert dirty == read_contract({"versions": ["1"]}, described(**more)).model.dirty


async def test_the_metrics_count_the_process_the_requests_and_the_batches():
    async with FakeTriton() as fake, running_proxy(fake.url) as proxy:
        await proxy.analysis(BODY)
        assert 1 == await proxy.metric("proxy_batch_images_count")
        assert 1 == await proxy.metric("proxy_analyze_seconds_count")
        assert 0 == await proxy.metric("proxy_waiting_images")
        assert 0 == await proxy.metric("proxy_batches_in_flight")
        assert await proxy.metric("process_resident_memory_bytes") > 0
        async with proxy.request("GET", "/metrics") as response:
            assert response.headers["Content-Type"].startswith("text/plain; version=")


async def test_a_second_application_counts_for_itself():
    async with FakeTriton() as fake, running_proxy(fake.url) as first, running_proxy(fake.url) as second:
        await first.analysis(BODY)
        assert 0 == await second.metric("proxy_batch_images_count")


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/", "text/html"),
        ("/page.css", "text/css"),
        ("/page.js", "text/javascript"),
        ("/page/table.js", "text/javascript"),
        ("/page/samples/samples.json", "application/json"),
        ("/page/samples/exp0_num_461.jpg", "image/jpeg"),
        ("/v1/page.css", "text/css"),
        ("/icon.svg", "image/svg+xml"),
    ],
)
async def test_the_page_and_its_files_are_served_under_a_strict_policy(path, content_type):
    async with running_proxy("127.0.0.1:9") as proxy, proxy.request("GET", path) as response:
        assert (200, content_type) == (response.status, response.content_type)
        policy = response.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "nosniff" == response.headers["X-Content-Type-Options"]
        assert "no-cache" == response.headers["Cache-Control"]
        assert "aiohttp" not in response.headers["Server"]


async def test_the_page_loads_nothing_but_its_own_files_and_has_nothing_inline():
    async with running_proxy("127.0.0.1:9") as proxy, proxy.request("GET", "/") as response:
        html = await response.text()
        for address in re.findall(r'(?:src|href)="([^"]+)"', html):
            async with proxy.request("GET", f"/{address}") as file:
                assert file.status == (503 if address == "health/ready" else 200)
    assert [] == re.findall(r"<style|style=|<script(?![^>]* src=)|\son\w+=", html)
