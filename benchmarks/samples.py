"""What is posted: the repository's sample tiles as JPEG files, or padded and packed as Triton takes them.

Source of the packing: Triton's binary tensor data extension of the KServe v2 protocol.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tiles import decode_image, pad

FOLDER = Path("samples/tiles")
MAX_PIXELS = 4_000_000  # the samples are ours; this is far above the largest
SIZES = ("small", "median", "large")


@dataclass(frozen=True)
class Body:
    """One request's body, a file, and its headers."""

    path: Path
    headers: Mapping[str, str]


def tile_files() -> list[Path]:
    """Return the sample images, sorted."""
    return sorted(FOLDER.glob("*/Imgs/*.jpg"))


def canvases() -> list[np.ndarray]:
    """Return every sample as a canvas, (1, H32, W32) uint8."""
    return [pad(decode_image(path.read_bytes(), max_pixels=MAX_PIXELS)) for path in tile_files()]


def canvases_by_size() -> dict[str, list[np.ndarray]]:
    """Return {small, median, large: the canvases that are of this one shape}."""
    every = sorted(canvases(), key=lambda canvas: canvas.size)
    shapes = [every[place].shape for place in (0, len(every) // 2, -1)]
    return {
        size: [canvas for canvas in every if canvas.shape == shape] for size, shape in zip(SIZES, shapes, strict=True)
    }


def files_of_one_canvas_size() -> list[Path]:
    """Return the samples of the commonest canvas size, so that all can share a batch."""
    files, shapes = tile_files(), [canvas.shape for canvas in canvases()]
    commonest = max(shapes, key=shapes.count)
    return [path for path, shape in zip(files, shapes, strict=True) if shape == commonest]


def jpeg_bodies(accept: str, files: Sequence[Path] = ()) -> list[Body]:
    """Return these files, or all samples, as bodies of POST /analyze; `accept` is the answer's media type."""
    headers = {"Content-Type": "image/jpeg", "Accept": accept}
    return [Body(path.resolve(), headers) for path in files or tile_files()]


def kserve_bodies(folder: Path, inputs: Sequence[np.ndarray]) -> list[Body]:
    """Write one inference request a canvas into the folder, binary in and binary out."""
    bodies = []
    for place, canvas in enumerate(inputs):
        header = json.dumps(
            {
                "inputs": [
                    {
                        "name": "image",
                        "shape": [1, *canvas.shape],
                        "datatype": "UINT8",
                        "parameters": {"binary_data_size": canvas.size},
                    }
                ],
                "outputs": [{"name": name, "parameters": {"binary_data": True}} for name in ("probability", "type")],
            }
        ).encode()
        path = folder / f"{place}.kserve"
        path.write_bytes(header + canvas.tobytes())
        headers = {
            "Content-Type": "application/octet-stream",
            "Inference-Header-Content-Length": str(len(header)),
            "Accept-Encoding": "identity",  # k6 asks for gzip, and Triton spends 4 ms a tile on it
        }
        bodies.append(Body(path, headers))
    return bodies
