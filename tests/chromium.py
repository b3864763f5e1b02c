"""A real browser for tests: Debian's Chromium, or the one that CHROMIUM names."""

import contextlib
import os
import shutil

import pytest
from playwright.async_api import async_playwright

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")
OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@contextlib.asynccontextmanager
async def open_page(url, **options):
    """A page of the browser at this address, and everything that its console has said."""
    if CHROMIUM is None:
        pytest.skip("there is no chromium: install it, or set CHROMIUM to its path")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        try:
            page, said = await browser.new_page(**options), []
            page.on("console", lambda message: said.append(message.text))
            page.on("pageerror", lambda error: said.append(str(error)))
            await page.goto(url)
            yield page, said
        finally:
            await browser.close()
