"""LitServe: decode, batch, predict, unbatch, encode in PEER_WORKERS processes behind one API server."""

import argparse
from typing import Annotated

import litserve
import numpy as np
from fastapi import Body, Response

from benchmarks.peers.local import MAX_PIXELS, LocalSegmenter, settings
from tiles import decode_image, encode_mask_png, pad

BATCH_TIMEOUT_S = 0.01


class SegmenterAPI(litserve.LitAPI):
    """One image, or a list of images if PEER_BATCH is above 1; those of one canvas size are inferred together."""

    def setup(self, device: str) -> None:  # noqa: ARG002 - LitServe's signature
        """Load the network, once in each process."""
        chosen = settings()
        self.segmenter = LocalSegmenter(chosen.graph, chosen.threads)

    def decode_request(self, request: Annotated[bytes, Body(media_type="image/jpeg")]) -> np.ndarray:
        """JPEG file → image."""
        return decode_image(request, max_pixels=MAX_PIXELS)

    def batch(self, inputs: list[np.ndarray]) -> list[np.ndarray]:
        """Keep the images apart: they differ in size."""
        return inputs

    def predict(self, x: np.ndarray | list[np.ndarray]) -> np.ndarray | list[np.ndarray]:
        """Image or images → mask or masks."""
        return self._masks(x) if isinstance(x, list) else self._masks([x])[0]

    def _masks(self, images: list[np.ndarray]) -> list[np.ndarray]:
        canvases = [pad(image) for image in images]
        masks: list[np.ndarray] = [np.empty(0)] * len(images)
        for shape in {canvas.shape for canvas in canvases}:
            places = [place for place, canvas in enumerate(canvases) if canvas.shape == shape]
            found = self.segmenter.probability(np.stack([canvases[place] for place in places]))
            for place, probability in zip(places, found, strict=True):
                masks[place] = self.segmenter.mask_of(images[place], probability)
        return masks

    def unbatch(self, output: list[np.ndarray]) -> list[np.ndarray]:
        """Give each request its own mask."""
        return output

    def encode_response(self, output: np.ndarray) -> Response:
        """Mask → PNG file."""
        return Response(encode_mask_png(output), media_type="image/png")


def main() -> None:
    """Serve on loopback until the process is ended."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers.litserve_app", description="The LitServe peer.")
    parser.add_argument("--port", type=int, required=True)
    port = parser.parse_args().port
    chosen = settings()
    batching = {"max_batch_size": chosen.batch, "batch_timeout": BATCH_TIMEOUT_S} if chosen.batch > 1 else {}
    api = SegmenterAPI(api_path="/analyze", **batching)
    server = litserve.LitServer(api, accelerator="cpu", devices=1, workers_per_device=chosen.workers)
    server.run(host="127.0.0.1", port=port, num_api_servers=1, log_level="warning", generate_client_file=False)


if __name__ == "__main__":
    main()
