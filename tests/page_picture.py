"""`python -m tests.page_picture URL [FILE]`: take the README's picture of the web page; URL is of a running service.

It shows the page with all images of samples/tiles, one of them in the large view.
"""

import asyncio
import io
import sys
from collections.abc import Sequence
from pathlib import Path

from PIL import Image
from playwright.async_api import Page

from tests.chromium import open_page, running_browser

ROOT = Path(__file__).parent.parent
PICTURE = ROOT / "docs/images/page.jpg"
SIZE = {"width": 1440, "height": 890}
IN_VIEW = "exp1_num_317483.jpg"


def main(arguments: Sequence[str]) -> None:
    """Take the picture."""
    url, target = [*arguments, PICTURE][:2]
    asyncio.run(take(url, Path(target)))


async def take(url: str, target: Path) -> None:
    """Write the picture of the service at this address as JPEG."""
    async with running_browser() as browser, open_page(browser, url, viewport=SIZE) as (page, _):
        await _arrange(page)
        Image.open(io.BytesIO(await page.screenshot())).convert("RGB").save(
            target, "JPEG", quality=82, optimize=True, progressive=True
        )


async def _arrange(page: Page) -> None:
    samples = sorted((ROOT / "samples/tiles").rglob("*.jpg"))
    await page.set_input_files("#files", samples)
    await page.locator("#status", has_text=f"{len(samples)} analysed").wait_for()
    await page.click(f"text={IN_VIEW}")
    await page.locator("#stage-note").wait_for(state="hidden")
    await page.evaluate("scrollTo(0, 0)")
    await page.hover("#defects button")  # highlights the defect
    await page.evaluate("new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))")


if __name__ == "__main__":
    main(sys.argv[1:])
