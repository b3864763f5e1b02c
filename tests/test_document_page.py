"""/docs in a real browser: Swagger UI shows the whole document, breaks no rule of ours, and sends requests."""

import contextlib
import json

import pytest
import yaml
from aiohttp import web
from chromium import open_page
from proxy_servers import SAMPLES, running_proxy

from proxy.app import make_app
from proxy.document import DOCUMENT
from proxy.settings import Settings

pytestmark = pytest.mark.asyncio(loop_scope="module")

TILE = SAMPLES / "MT_Blowhole/Imgs/exp1_num_317483.jpg"
OPERATIONS = sum(len(item) for item in yaml.safe_load(DOCUMENT.read_bytes())["paths"].values())
ANALYZE = "#operations-Analysis-analyze"
TILE_FORM = "#operations-Analysis-analyze_tile"


async def unfold(page):
    """Open all operations, one after the other."""
    await page.wait_for_selector(".opblock")
    for each in await page.locator(".opblock .opblock-summary-control").all():
        await each.click()
    await page.wait_for_function("!document.querySelector('.opblock:not(.is-open), .loading-container')")


async def test_the_page_shows_every_operation_and_its_console_stays_empty(browser):
    async with running_proxy("127.0.0.1:9") as proxy:
        url = f"http://{proxy.host}:{proxy.port}/docs"
        async with open_page(browser, url, color_scheme="light") as (page, said):
            await unfold(page)
            assert OPERATIONS == await page.locator(".opblock.is-open").count()
            assert 0 == await page.locator(".errors").count()
            await page.click(".models .json-schema-2020-12-accordion >> nth=0")
            await page.click(".authorize >> nth=0")
            await page.wait_for_selector(".dialog-ux")
            await page.emulate_media(color_scheme="dark")
            await page.wait_for_selector("html.dark-mode")
            await page.screenshot()  # what the dark page needs is fetched when it is drawn
            assert [] == said
            await page.evaluate("fetch('https://elsewhere.example').catch(() => 0)")
            assert "Content Security Policy" in said[0], "a violation would have been seen"


@pytest.mark.parametrize("path", ["/docs", "/v1/docs"])
async def test_try_it_out_analyzes_an_image(triton, browser, path):
    async with (
        running_proxy(triton.url) as proxy,
        open_page(browser, f"http://{proxy.host}:{proxy.port}{path}") as (page, said),
    ):
        await page.click(f"{ANALYZE} .opblock-summary-control")
        await page.click(f"{ANALYZE} .try-out__btn")
        await page.set_input_files(f"{ANALYZE} input[type=file]", TILE)
        async with page.expect_response("**/analyze") as answer:
            await page.click(f"{ANALYZE} .execute")
        response = await answer.value
        assert (200, path.replace("docs", "analyze")) == (
            response.status,
            response.url.partition(str(proxy.port))[2],
        )
        assert "Blowhole" == (await response.json())["type"]
        await page.wait_for_selector(f"{ANALYZE} .live-responses-table")
        assert [] == said


async def test_try_it_out_takes_several_images_of_a_tile(triton, browser):
    async with (
        running_proxy(triton.url) as proxy,
        open_page(browser, f"http://{proxy.host}:{proxy.port}/docs") as (page, _),
    ):
        await page.click(f"{TILE_FORM} .opblock-summary-control")
        await page.click(f"{TILE_FORM} .try-out__btn")
        await page.click(f"{TILE_FORM} .json-schema-form-item-add")
        for each in await page.locator(f"{TILE_FORM} input[type=file]").all():
            await each.set_input_files(TILE)
        async with page.expect_response("**/analyze/tile") as answer:
            await page.click(f"{TILE_FORM} .execute")
        assert 2 == len((await (await answer.value).json())["images"])
        await page.wait_for_selector(f"{TILE_FORM} .live-responses-table")


@contextlib.asynccontextmanager
async def below(prefix):
    """The application behind a path prefix."""
    outer = web.Application()
    outer.add_subapp(prefix, make_app(Settings(triton_url="127.0.0.1:9")))
    runner = web.AppRunner(outer)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield "http://{}:{}".format(*runner.addresses[0]) + prefix
    finally:
        await runner.cleanup()


async def test_the_page_works_behind_a_path_prefix(browser):
    async with below("/line-3") as url, open_page(browser, f"{url}/docs") as (page, said):
        await unfold(page)
        assert OPERATIONS == await page.locator(".opblock").count()
        await page.click("#operations-Operation-live .try-out__btn")
        await page.click("#operations-Operation-live .execute")
        body = await page.locator(
            "#operations-Operation-live .live-responses-table .response-col_description pre"
        ).first.text_content()
        assert {"status": "live"} == json.loads(body)
        assert [] == said
