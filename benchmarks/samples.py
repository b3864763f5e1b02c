"""The requests: the repository's samples or the published photographs, as JPEG files or padded and packed for Triton.

Source of the packing: Triton's binary tensor data extension of the KServe v2 protocol.
"""

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tiles import decode_image, pad

PNG, JSON = "image/png", "application/json"  # what POST /analyze can answer
FOLDER = Path("samples/tiles")
PUBLISHED = Path("data/tiles/images")  # written by the pipeline's stage data_load
MAX_PIXELS = 4_000_000  # far above the largest sample
OUTPUTS = ("probability", "type", "novelty", "fingerprint", "model")  # all that the proxy asks for
SIZES = ("small", "median", "large")


@dataclass(frozen=True)
class Body:
    """One request's body, a file, and its headers."""

    path: Path
    headers: Mapping[str, str]


def image_files() -> list[Path]:
    """Return the sample images, sorted."""
    return sorted(FOLDER.glob("*/Imgs/*.jpg"))


def photographs() -> list[Path]:
    """Return all published photographs in random order, always the same, or the samples where the data is not there."""
    published = sorted(PUBLISHED.glob("*.jpg"))
    random.Random(0).shuffle(published)  # noqa: S311  no secret
    return published or image_files()


def which_photographs() -> str:
    """Tell what `photographs` returns."""
    count = len(photographs())
    return f"all {count} published photographs, in random order" if PUBLISHED.exists() else f"the {count} samples"


def canvases(files: Sequence[Path] = ()) -> list[np.ndarray]:
    """Return these files, or all samples, as canvases, (1, H32, W32) uint8."""
    return [pad(decode_image(path.read_bytes(), max_pixels=MAX_PIXELS)) for path in files or image_files()]


def canvases_by_size() -> dict[str, list[np.ndarray]]:
    """Return {small, median, large: the canvases of this one shape}."""
    ascending = sorted(canvases(), key=lambda canvas: canvas.size)
    shapes = [ascending[place].shape for place in (0, len(ascending) // 2, -1)]
    return {
        size: [canvas for canvas in ascending if canvas.shape == shape]
        for size, shape in zip(SIZES, shapes, strict=True)
    }


def files_of_one_canvas_size() -> list[Path]:
    """Return the samples of the most frequent canvas size, so that all can share a batch."""
    shapes = [canvas.shape for canvas in canvases()]
    most_frequent = max(shapes, key=shapes.count)
    return [path for path, shape in zip(image_files(), shapes, strict=True) if shape == most_frequent]


def jpeg_bodies(accept: str, files: Sequence[Path] = ()) -> list[Body]:
    """Return these files, or all samples, as bodies of POST /analyze; `accept` is the answer's media type."""
    headers = {"Content-Type": "image/jpeg", "Accept": accept}
    return [Body(path.resolve(), headers) for path in files or image_files()]


def kserve_bodies(folder: Path, inputs: Sequence[np.ndarray]) -> list[Body]:
    """Write one inference request for each canvas into the folder, binary in and binary out."""
    bodies = []
    for place, canvas in enumerate(inputs):
        size = {"binary_data_size": canvas.size}
        tensor = {"name": "image", "shape": [1, *canvas.shape], "datatype": "UINT8", "parameters": size}
        outputs = [{"name": name, "parameters": {"binary_data": True}} for name in OUTPUTS]
        header = json.dumps({"inputs": [tensor], "outputs": outputs}).encode()
        path = folder / f"{place}.kserve"
        path.write_bytes(header + canvas.tobytes())
        headers = {
            "Content-Type": "application/octet-stream",
            "Inference-Header-Content-Length": str(len(header)),
            "Accept-Encoding": "identity",  # k6 asks for gzip, and Triton would spend 4 ms on each image
        }
        bodies.append(Body(path, headers))
    return bodies
