"""The page in a real Chromium, and between it and the service a front proxy that a test can disturb."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer
from PIL import Image
from playwright.async_api import Browser, Page
from proxy_servers import FakeTriton, running_proxy

PASSED_ON = ("Content-Type", "Accept", "Accept-Encoding")  # of a request
PATIENCE_MS = 60_000  # a busy machine fails no test


class Front:
    """Passes requests on below a prefix, keeps what was asked, and is away or too busy when a test says so."""

    def __init__(self, port: int, prefix: str) -> None:
        self.target, self.prefix = f"http://127.0.0.1:{port}", prefix
        self.asked: list[str] = []  # paths with their queries, in order
        self.away = False
        self.busy = 0  # how many of the next images are refused
        self.torn = 0  # how many of the next images get half an answer
        self.crowded = False  # images that come beside others get 408
        self.held: asyncio.Event | None = None  # probabilities wait for it
        self.model = ""  # the SHA-256 that pictures are said to be of
        self._images = 0  # in flight

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if "/analyze" not in request.path:
            return await self._answer(request)
        self._images += 1
        try:
            return await self._answer(request)
        finally:
            self._images -= 1

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        path = request.path_qs
        self.asked.append(path)
        if self.away:
            request.transport.abort()
            raise web.HTTPBadGateway
        if not path.startswith(self.prefix + "/"):
            return web.Response(status=404, text="not of this service")
        path = path.removeprefix(self.prefix)
        if self.busy and path.startswith("/analyze"):
            self.busy -= 1
            return web.json_response({"title": "Busy"}, status=503, headers={"Retry-After": "1"})
        if self.crowded and path.startswith("/analyze"):
            await asyncio.sleep(0.2)  # others come meanwhile
            if self._images > 1:
                return web.json_response({"title": "Too slow"}, status=408)
        if self.torn and path.startswith("/analyze"):
            self.torn -= 1
            half = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": "1000"})
            await half.prepare(request)
            await half.write(b'{"verdict": ')
            request.transport.abort()
            return half
        if self.held is not None and "view=probability" in path:
            await self.held.wait()
        headers = {name: request.headers[name] for name in PASSED_ON if name in request.headers}
        body = await request.read()
        async with (
            ClientSession(auto_decompress=False) as session,
            session.request(request.method, self.target + path, data=body, headers=headers) as answer,
        ):
            kept = {
                name: value for name, value in answer.headers.items() if name not in ("Content-Length", "Connection")
            }
            if self.model:
                kept["Tile-Model-Sha256"] = self.model
            return web.Response(body=await answer.read(), status=answer.status, headers=kept)

    def health(self) -> list[str]:
        """The questions whether the service is there."""
        return [path for path in self.asked if path.endswith("/health/ready")]

    def images(self, word: str = "") -> list[str]:
        """The requests for an image whose query has this word."""
        return [path for path in self.asked if path.startswith(f"{self.prefix}/analyze") and word in path]


@contextlib.asynccontextmanager
async def opened_page(browser: Browser, port: int, prefix: str = "", **options) -> AsyncIterator[tuple[Page, Front]]:
    """The page as a reader sees it, through a front proxy; what goes wrong in its scripts fails the test."""
    front = Front(port, prefix)
    app = web.Application(client_max_size=2**26)
    app.router.add_route("*", "/{path:.*}", front.handle)
    server = TestServer(app)
    await server.start_server(shutdown_timeout=0.1)
    context = await browser.new_context(**options)
    context.set_default_timeout(PATIENCE_MS)
    errors: list[str] = []
    try:
        page = await context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        await page.goto(f"http://127.0.0.1:{server.port}{prefix}/")
        yield page, front
        assert [] == errors, errors
    finally:
        await context.close()
        await server.close()


REVIEW = {"review_score": "0.3", "tile_alarm_score": "0.6", "tile_review_score": "0.2"}  # a model with all limits


async def choose(page: Page, *files: Path) -> None:
    await page.set_input_files("#files", list(files))


async def choose_folder(page: Page, folder: Path) -> None:
    async with page.expect_file_chooser() as chooser:
        await page.click("#choose-folder")
    await (await chooser.value).set_files(folder)


async def analysed(page: Page, count: int) -> None:
    """Wait until so many images are analysed and none is on its way."""
    await page.locator("#status", has_text=f"{count} analysed").wait_for()


async def texts(page: Page, selector: str) -> list[str]:
    """The words of each element, as a reader sees them, with one blank between two."""
    return [" ".join(text.split()) for text in await page.locator(selector).all_inner_texts()]


async def set_range(page: Page, selector: str, value: float) -> None:
    """Move a slider as a reader does who drags it: the page hears of it."""
    await page.focus(selector)
    await page.eval_on_selector(
        selector,
        "(slider, value) => { slider.value = value; slider.dispatchEvent(new Event('input', { bubbles: true })); }",
        value,
    )


async def pixels(page: Page, condition: str) -> int:
    """How many pixels of the large view fulfil a condition in r, g, b, a and their place x, y (0–1)."""
    return await page.evaluate(
        """async () => {
          await new Promise(requestAnimationFrame);
          await new Promise(requestAnimationFrame);
          const canvas = document.getElementById("stage");
          const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
          let count = 0;
          for (let i = 0; i < data.length; i += 4) {
            const r = data[i], g = data[i + 1], b = data[i + 2], a = data[i + 3];
            const x = ((i / 4) % canvas.width) / canvas.width;
            const y = Math.floor(i / 4 / canvas.width) / canvas.height;
            if (CONDITION) count += 1;
          }
          return count;
        }""".replace("CONDITION", condition)
    )


@contextlib.asynccontextmanager
async def page_over(
    browser: Browser, triton_url: str, prefix: str = "", **options
) -> AsyncIterator[tuple[Page, Front]]:
    """The page of a real proxy that asks this Triton."""
    async with (
        running_proxy(triton_url, connections=0, check_interval_s=0.2) as proxy,
        opened_page(browser, proxy.port, prefix, **options) as (page, front),
    ):
        yield page, front


@contextlib.asynccontextmanager
async def page_over_fake(browser: Browser, model: dict[str, str] | None = None, **options):
    """The page, the front proxy, and a Triton to which dark pixels are defective, all of type 3."""
    async with FakeTriton() as fake:
        for name, value in {"alarm_score": "0.5", **(model or {})}.items():
            fake.config["parameters"][f"model.{name}"] = {"string_value": value}
        async with page_over(browser, fake.url, **options) as (page, front):
            yield page, front, fake


def photograph(path: Path, *spots: tuple[int, int, int, int, int], size: tuple[int, int] = (120, 80)) -> Path:
    """Write a light image with dark spots, each x, y, width, height, grey level; return its path."""
    image = Image.new("L", size, 230)
    for x, y, width, height, grey in spots:
        image.paste(grey, (x, y, x + width, y + height))
    image.save(path)
    return path
