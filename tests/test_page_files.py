"""The page's files: few bytes, relative addresses, samples with their truth."""

import io
import json
import re

import numpy as np
from PIL import Image

from proxy.page import FOLDER, page_files
from tests.conftest import ROOT

MAX_BYTES = 150_000
SAMPLES = json.loads((FOLDER / "page/samples/samples.json").read_text())["samples"]
ABSOLUTE = r"(?:src|href|action)=\"/[^\"]*\"|fetch\([\"'`]/|url\(/|from \"/|https?://(?!www\.w3)"


def test_the_whole_page_with_its_samples_is_small():
    assert sum(file.stat().st_size for file in page_files()) < MAX_BYTES


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


def grey(path):
    return np.asarray(Image.open(io.BytesIO(path.read_bytes())).convert("L")).astype(int)
