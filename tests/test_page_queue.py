"""How long the page waits for an answer, how often it sends an image, and how many it sends at once."""

import re

import pytest
from browsers import analysed, choose, page_over_fake, photograph
from proxy_servers import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

TRIES = 6  # of one image


def photographs(folder, count, first=0):
    return [photograph(folder / f"{number}.png") for number in range(first, first + count)]


async def are_sent(front, count):
    return len(front.images("mask=rle")) == count


async def test_an_image_that_is_never_answered_is_sent_again(browser, tmp_path):
    async with page_over_fake(browser) as (page, front, fake):
        await page.evaluate(
            """() => {
              const limit = AbortSignal.timeout.bind(AbortSignal);
              let isShort = true;
              AbortSignal.timeout = (ms) => {
                window.longest = Math.max(window.longest ?? 0, ms);
                if (!isShort || ms < 60_000) return limit(ms); // the first image alone has a short one
                isShort = false;
                return limit(2_000);
              };
            }"""
        )
        fake.open.clear()
        async with page.expect_event("requestfailed", lambda request: "mask=rle" in request.url):
            await choose(page, *photographs(tmp_path, 1))
        fake.open.set()
        await analysed(page, 1)
        assert 2 == len(front.images("mask=rle"))
        assert 120_000 == await page.evaluate("longest")


async def test_clear_ends_the_requests_in_flight_and_leaves_their_places_to_other_images(browser, tmp_path):
    async with page_over_fake(browser) as (page, front, fake):
        ended = []
        page.on("requestfailed", lambda request: "mask=rle" in request.url and ended.append(request.url))
        fake.open.clear()
        await choose(page, *photographs(tmp_path, 4))
        await until(lambda: are_sent(front, 4))
        await page.click("#clear")
        await choose(page, *photographs(tmp_path, 4, first=4))
        await until(lambda: are_sent(front, 8))
        fake.open.set()
        await analysed(page, 4)
        assert 4 == len(ended)
        assert "4 analysed: 4 OK" == await page.inner_text("#status")


async def test_an_image_that_ends_the_service_each_time_fails_in_the_end(browser, tmp_path):
    async with page_over_fake(browser) as (page, _, _):
        sent, started = 0, True

        async def end(route):
            nonlocal sent, started
            sent, started = sent + 1, False
            await route.abort()

        async def start(route):
            nonlocal started
            await (route.continue_() if started else route.abort())
            started = True

        await page.route(re.compile(r"/analyze\?"), end)
        await page.route("**/health/ready", start)
        await choose(page, *photographs(tmp_path, 1))
        await page.locator("#status", has_text="1 failed").wait_for()
        assert TRIES == sent
        await page.locator("#away").wait_for(state="hidden")  # the service is back, though nothing is sent any more


async def test_a_browser_that_cannot_join_signals_analyses_images_as_well(browser, tmp_path):
    async with page_over_fake(browser) as (page, _, _):
        assert await page.evaluate("delete AbortSignal.any && !AbortSignal.any")
        await choose(page, *photographs(tmp_path, 1))
        await analysed(page, 1)
        assert "1 analysed: 1 OK" == await page.inner_text("#status")


async def test_after_a_lost_connection_the_next_images_are_sent_several_at_once_again(browser, tmp_path):
    async with page_over_fake(browser) as (page, front, fake):
        front.torn = 1
        await choose(page, *photographs(tmp_path, 1))
        await analysed(page, 1)
        fake.open.clear()
        await choose(page, *photographs(tmp_path, 4, first=1))
        await until(lambda: are_sent(front, 6))
        fake.open.set()
        await analysed(page, 5)
