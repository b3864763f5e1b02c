"""Segments one image inside the running process, as the Python peers do; `tiles` handles the pixels.

PEER_GRAPH     the ONNX graph; default the served one
PEER_WORKERS   processes, or threads that infer at the same time: the peer says which
PEER_THREADS   threads of each ONNX Runtime session
PEER_BATCH     images in one batch, if the peer can make one
"""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime

from benchmarks.servers import GRAPH
from inference_server.backends.onnxruntime.exact_sums import sum_exactly
from tiles import crop, decode_image, encode_mask_png, pad
from tiles.operating_point import OperatingPoint

MAX_PIXELS = 4_194_304  # as the proxy has it


@dataclass(frozen=True)
class PeerSettings:
    """The variables in the table at the top of this file."""

    graph: Path
    workers: int
    threads: int
    batch: int


def settings() -> PeerSettings:
    """Read the environment."""
    workers, threads, batch = (int(os.environ.get(f"PEER_{name}", "1")) for name in ("WORKERS", "THREADS", "BATCH"))
    return PeerSettings(Path(os.environ.get("PEER_GRAPH", GRAPH)), workers, threads, batch)


class LocalSegmenter:
    """A session and its operating point. Several threads may use it at once."""

    def __init__(self, graph: Path, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # as the served instances
        sum_exactly(options)
        self._session = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
        self.point = operating_point(self._session.get_modelmeta().custom_metadata_map)

    def probability(self, canvases: np.ndarray) -> np.ndarray:
        """Segment a batch. Shapes: (N, 1, H, W) uint8 → (N, 1, H, W) uint8, P(defect) · 255."""
        found: np.ndarray = self._session.run(["probability", "type"], {"image": canvases})[0]
        return found

    def mask(self, data: bytes) -> np.ndarray:
        """Find the mask of one image file, (H, W) bool."""
        image = decode_image(data, max_pixels=MAX_PIXELS)
        return self.mask_of(image, self.probability(pad(image)[np.newaxis])[0])

    def mask_of(self, image: np.ndarray, probability: np.ndarray) -> np.ndarray:
        """Crop and apply the operating point. Shapes: image (H, W), probability (1, H32, W32) → (H, W) bool."""
        return self.point.mask(crop(probability, *image.shape))

    def analyze(self, data: bytes) -> bytes:
        """Turn one image file into its mask's PNG file."""
        return encode_mask_png(self.mask(data))


def operating_point(metadata: dict[str, str]) -> OperatingPoint:
    """Read the operating point from a graph's metadata."""
    return OperatingPoint(int(metadata["model.threshold"]), float(metadata["model.alarm_score"]))
