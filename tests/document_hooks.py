"""What schemathesis sends to the service, and what it checks beside the document.

It reads SCHEMATHESIS_HOOKS=tests.document_hooks. Left alone it would send bytes that are no image.
CALLS names the file that gets one line for each call, as JSON.
"""

import io
import json
import os
from pathlib import Path

import numpy as np
import schemathesis
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from schemathesis.transport.serialization import Binary

SAMPLES = Path(__file__).parent.parent / "samples/tiles"
DEFECTIVE = Image.open(SAMPLES / "MT_Blowhole/Imgs/exp1_num_317483.jpg")
KEYS = {"rows": {"pred"}, "rle": {"rle", "rle_string"}, "polygons": {"polygons"}, "none": set()}


def encoded(image: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def pictures() -> st.SearchStrategy[Image.Image]:
    """A defective tile, or a small image of whatever it may be."""
    sizes = st.tuples(st.integers(1, 40), st.integers(1, 40))
    noise = sizes.flatmap(lambda size: arrays(np.uint8, size, fill=st.integers(0, 255))).map(Image.fromarray)
    return st.one_of(st.just(DEFECTIVE), noise)


def files(kind: str) -> st.SearchStrategy[bytes]:
    """Mostly an image of this kind; else one that breaks off, or no image."""
    whole = pictures().map(lambda picture: encoded(picture, kind))
    return st.one_of(whole, whole, whole, whole.map(lambda data: data[: len(data) // 2]), st.binary(max_size=64))


KINDS = ("PNG", "JPEG", "TIFF", "BMP")
for kind in KINDS:
    schemathesis.openapi.media_type(f"image/{kind.lower()}", files(kind))
schemathesis.openapi.format("binary", st.one_of([files(kind) for kind in KINDS]).map(Binary))


@schemathesis.hook
def after_call(context, case, response) -> None:  # noqa: ARG001  schemathesis names its arguments
    call = {
        "path": case.operation.path,
        "status": response.status_code,
        "type": response.headers.get("content-type", [""])[0].partition(";")[0],
        "mask": (case.query or {}).get("mask"),
        "view": (case.query or {}).get("view"),
        "title": response.json()["title"] if response.status_code >= 400 and response.content else None,
    }
    with Path(os.environ["CALLS"]).open("a") as file:
        file.write(json.dumps(call) + "\n")
