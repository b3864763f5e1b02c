"""The page's files: few bytes sent, relative addresses, samples with their truth."""

import asyncio
import io
import json
import re
import sys

import numpy as np
from PIL import Image
from proxy_servers import running_proxy

from proxy.page import FOLDER, page_files, page_routes
from tests.conftest import ROOT
from tests.page_picture import PICTURE

MAX_BYTES = 150_000
SAMPLES = json.loads((FOLDER / "page/samples/samples.json").read_text())["samples"]
ABSOLUTE = r"(?:src|href|action)=\"/[^\"]*\"|fetch\([\"'`]/|url\(/|from \"/|https?://(?!www\.w3)"


async def test_a_browser_gets_the_whole_page_with_its_samples_in_few_bytes():
    async with running_proxy("127.0.0.1:9") as proxy:
        sizes = []
        for route in page_routes():
            async with proxy.request("GET", route.path, headers={"Accept-Encoding": "gzip"}) as response:
                sizes.append(int(response.headers["Content-Length"]))
    assert len(page_files()) == len(sizes)
    assert sum(sizes) < MAX_BYTES


def test_every_address_in_the_page_is_relative():
    for file in page_files():
        if file.suffix in (".html", ".css", ".js"):
            text = file.read_text()
            assert [] == re.findall(ABSOLUTE, text)
    assert (FOLDER / "index.html").exists()


def test_the_samples_are_the_first_of_each_type_saved_smaller():
    for sample in SAMPLES:
        (original,) = (ROOT / "samples/tiles").glob(f"*/Imgs/{sample['name']}.jpg")
        folder = original.parent
        assert f"MT_{sample['type'] or 'Free'}" == folder.parent.name
        assert original == min(folder.glob("*.jpg"))
        shown = FOLDER / f"page/samples/{sample['name']}.png"
        assert ((grey(original.with_suffix(".png")) > 127) == (grey(shown) > 127)).all()
        assert np.abs(grey(original) - grey(shown.with_suffix(".jpg"))).mean() < 3


async def test_no_sample_is_called_unfamiliar(triton):
    async with running_proxy(triton.url, connections=0) as proxy:
        for sample in SAMPLES:
            analysis = await proxy.analysis((FOLDER / f"page/samples/{sample['name']}.jpg").read_bytes())
            assert analysis["familiar"], sample


async def test_the_readmes_picture_is_taken_by_a_command(triton, tmp_path):
    taken = tmp_path / "page.jpg"
    async with running_proxy(triton.url, connections=0) as proxy:
        address = f"http://127.0.0.1:{proxy.port}"
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.page_picture", address, str(taken), cwd=ROOT
        )
        assert 0 == await process.wait()
    assert grey(PICTURE).shape == grey(taken).shape


def grey(path):
    return np.asarray(Image.open(io.BytesIO(path.read_bytes())).convert("L")).astype(int)
