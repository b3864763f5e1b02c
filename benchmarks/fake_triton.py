"""A fake Triton: it is busy for as long as a cost model says, and answers with the samples' true masks.

A batch of N images takes `batch_ms` + N · `image_ms`; with 0 and 0 it answers at once, so that only the proxy's own
cost is left. Each instance runs one batch at a time. The answer for a canvas has the masks of the samples whose canvas
has the same shape, so that the proxy works on realistic masks; for other shapes it has no defect. It checks nothing,
but proves its answers as the served graph does.

Source: the KServe v2 protocol with Triton's binary-data extension.
"""

import argparse
import asyncio
import contextlib
import json
import math
from collections.abc import Mapping, Sequence
from itertools import cycle, islice
from typing import Any, NamedTuple, Self

import numpy as np
from aiohttp import web
from PIL import Image

import tiles
from benchmarks.loopback import serve
from benchmarks.samples import image_files
from tiles.fingerprint import RUN, SUMS, fingerprint
from tiles.golden import golden_answer, golden_canvas
from tiles.label import LABEL_BYTES, encode_label

MODEL = "segmenter"
PLANES = ("probability", "type")
PARAMETERS = {
    "model.threshold": "32",
    "model.alarm_score": "0.5",
    "model.tile_alarm_score": "0.5",
    "model.novelty_limit": "10",
    "model.types": ",".join(tiles.DEFECT_TYPES),
    "model.digest": "0" * 64,
}
LARGEST_BODY_BYTES = 2**26
HEADER_LENGTH = "Inference-Header-Content-Length"
Masks = Mapping[tuple[int, ...], Sequence[np.ndarray]]  # canvas shape (1, H32, W32) → (2, 1, H32, W32) uint8 each


class FakeTriton:
    """The model: what it answers, how long a batch takes, and how many run at once. Create it inside an event loop."""

    def __init__(
        self, masks: Masks, *, batch_ms: float = 0, image_ms: float = 0, instances: int = 2, max_batch_size: int = 8
    ) -> None:
        self._masks = masks
        self._batch_s, self._image_s = batch_ms / 1000, image_ms / 1000
        self._instances, self._max_batch_size = instances, max_batch_size
        self._free = asyncio.Semaphore(instances)
        self._answers: dict[tuple[int, ...], _Answer] = {}  # each is made once

    @property
    def config(self) -> dict[str, Any]:
        """The answer of `/v2/models/<m>/config`."""
        golden = golden_answer(self._tensors((1, *golden_canvas().shape))[0, 0])
        parameters = {**PARAMETERS, "model.golden": golden}
        return {
            "name": MODEL,
            "max_batch_size": self._max_batch_size,
            "input": [_tensor("image")],
            "output": [
                *map(_tensor, PLANES),
                {"name": "novelty", "data_type": "TYPE_FP32", "dims": [1]},
                {"name": "fingerprint", "data_type": "TYPE_INT32", "dims": [-1, SUMS]},
                {"name": "model", "data_type": "TYPE_UINT8", "dims": [LABEL_BYTES]},
            ],
            "instance_group": [{"kind": "KIND_GPU", "count": self._instances, "gpus": [0]}],
            "parameters": {key: {"string_value": value} for key, value in parameters.items()},
        }

    async def compute(self, images: int) -> None:
        """Be busy for as long as a batch of so many images takes."""
        if seconds := self._batch_s + self._image_s * images:
            async with self._free:
                await asyncio.sleep(seconds)

    def answer(self, canvases: np.ndarray) -> tuple[bytes, int]:
        """Return the response's body for an input (N, 1, H32, W32), and the length of the header in it."""
        shape = canvases.shape
        if shape not in self._answers:
            self._answers[shape] = _Answer.of(self._tensors(shape))
        return self._answers[shape].to(canvases)

    def _tensors(self, shape: tuple[int, ...]) -> np.ndarray:
        """Return probability and type for an input of shape (N, 1, H32, W32), (2, N, 1, H32, W32) uint8."""
        known = self._masks.get(shape[1:]) or [np.zeros((2, *shape[1:]), np.uint8)]
        return np.stack(list(islice(cycle(known), shape[0])), axis=1)


class _Answer(NamedTuple):
    """What an answer has in common with all others of its shape."""

    header: bytes
    planes: np.ndarray  # probability and type, (2, N, 1, H32, W32) uint8
    planes_bytes: bytes
    novelty: bytes  # 0: like the training tiles
    labels: bytes

    @classmethod
    def of(cls, planes: np.ndarray) -> Self:
        """Prepare an answer. Shapes: (2, N, 1, H32, W32) uint8."""
        count, *_ = shape = planes.shape[1:]
        sizes = {
            "novelty": ("FP32", (count, 1), 4),
            "fingerprint": ("INT32", (count, 3 * math.prod(shape[1:]) // RUN, SUMS), 4),
            "model": ("UINT8", (count, LABEL_BYTES), 1),
        }
        outputs = [
            {"name": name, "datatype": kind, "shape": size, "parameters": {"binary_data_size": math.prod(size) * each}}
            for name, (kind, size, each) in {**dict.fromkeys(PLANES, ("UINT8", shape, 1)), **sizes}.items()
        ]
        header = json.dumps({"model_name": MODEL, "model_version": "1", "outputs": outputs}).encode()
        return cls(header, planes, planes.tobytes(), bytes(4 * count), encode_label(PARAMETERS).tobytes() * count)

    def to(self, canvases: np.ndarray) -> tuple[bytes, int]:
        """Return the body that answers these, and the length of its header."""
        sums = fingerprint(canvases, *self.planes)
        return self.header + self.planes_bytes + self.novelty + sums.tobytes() + self.labels, len(self.header)


def _tensor(name: str) -> dict[str, Any]:
    return {"name": name, "data_type": "TYPE_UINT8", "dims": [1, -1, -1]}


def make_app(triton: FakeTriton) -> web.Application:
    """Return the application."""

    async def ready(_request: web.Request) -> web.Response:
        return web.Response()

    async def metadata(_request: web.Request) -> web.Response:
        return web.json_response({"name": MODEL, "versions": ["1"]})

    async def config(_request: web.Request) -> web.Response:
        return web.json_response(triton.config)

    async def infer(request: web.Request) -> web.Response:
        body = await request.read()
        split = int(request.headers[HEADER_LENGTH])
        shape = json.loads(body[:split])["inputs"][0]["shape"]
        await triton.compute(shape[0])
        answer, header_length = triton.answer(np.frombuffer(body, np.uint8, offset=split).reshape(shape))
        return web.Response(body=answer, headers={HEADER_LENGTH: str(header_length)})

    app = web.Application(client_max_size=LARGEST_BODY_BYTES)
    model = f"/v2/models/{MODEL}"
    app.add_routes([web.get("/v2/health/ready", ready), web.get(model, metadata), web.get(f"{model}/config", config)])
    app.add_routes([web.post(f"{model}/infer", infer)])
    return app


def true_masks() -> Masks:
    """Return the output of a model that is always right for the samples: probability and defect type."""
    masks: dict[tuple[int, ...], list[np.ndarray]] = {}
    for path in image_files():
        probability = tiles.pad(np.asarray(Image.open(path.with_suffix(".png")).convert("L")))  # it is anti-aliased
        name = path.parent.parent.name.removeprefix("MT_")
        number = 1 + tiles.DEFECT_TYPES.index(name) if name in tiles.DEFECT_TYPES else 1
        masks.setdefault(probability.shape, []).append(np.stack([probability, np.full_like(probability, number)]))
    return masks


async def main() -> None:
    """Serve."""
    parser = argparse.ArgumentParser(prog="PORT=8000 python -m benchmarks.fake_triton", description="A fake Triton.")
    parser.add_argument("--batch-ms", type=float, default=0, help="time of each batch; default: %(default)s")
    parser.add_argument("--image-ms", type=float, default=0, help="time of each image in it; default: %(default)s")
    parser.add_argument("--instances", type=int, default=2, help="batches at once; default: %(default)s")
    parser.add_argument("--max-batch-size", type=int, default=8, help="default: %(default)s")
    await serve(make_app(FakeTriton(true_masks(), **vars(parser.parse_args()))))


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt, web.GracefulExit):  # its usual end
        asyncio.run(main())
