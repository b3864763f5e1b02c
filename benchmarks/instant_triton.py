"""A stand-in for a Triton that needs no time: what is left of a request's cost is the proxy's own.

Canvases get the true masks of the samples whose canvas has their shape, as from a model that is always right, so that
the proxy meets masks as they are. Each answer is made once and kept as bytes, so that it takes as little as can be of a
processor that the proxy may want. It checks nothing.

Source: the KServe v2 protocol with Triton's binary-data extension.
"""

import argparse
import asyncio
import json
import sys
from itertools import cycle, islice
from typing import Any

import numpy as np
from PIL import Image

import tiles
from benchmarks.samples import tile_files

OUTPUTS = ("probability", "type")
DESCRIPTION: dict[str, Any] = {"name": "segmenter", "versions": ["1"]}
CONFIG: dict[str, Any] = {
    "name": "segmenter",
    "max_batch_size": 8,
    "instance_group": [{"kind": "KIND_CPU", "count": 2, "gpus": []}],
    "input": [{"name": "image", "data_type": "TYPE_UINT8", "dims": [1, -1, -1]}],
    "output": [{"name": name, "data_type": "TYPE_UINT8", "dims": [1, -1, -1]} for name in OUTPUTS],
    "parameters": {
        "model.threshold": {"string_value": "32"},
        "model.alarm_score": {"string_value": "0.5"},
        "model.types": {"string_value": ",".join(tiles.DEFECT_TYPES)},
    },
}


class InstantTriton:
    """The answers, as bytes on the wire.

    `segmented` holds, by canvas shape (1, H32, W32), what is said of canvases of that shape: each (2, 1, H32, W32)
    uint8, probability and type.
    """

    def __init__(self, segmented: dict[tuple[int, ...], list[np.ndarray]]) -> None:
        self._segmented = segmented
        self._made: dict[str, bytes] = {}

    def answer(self, path: str, inference_header: str) -> bytes:
        """Return the whole response to one request."""
        key = path + inference_header
        if key not in self._made:
            self._made[key] = self._make(path, inference_header)
        return self._made[key]

    def _make(self, path: str, inference_header: str) -> bytes:
        if not path.endswith("/infer"):
            return _response(json.dumps(CONFIG if path.endswith("/config") else DESCRIPTION).encode())
        batch, *shape = json.loads(inference_header)["inputs"][0]["shape"]
        known = self._segmented.get(tuple(shape)) or [np.zeros((2, *shape), np.uint8)]
        tensors = np.stack(list(islice(cycle(known), batch)), axis=1)  # (2, N, 1, H32, W32)
        outputs = [
            {
                "name": name,
                "datatype": "UINT8",
                "shape": tensor.shape,
                "parameters": {"binary_data_size": tensor.nbytes},
            }
            for name, tensor in zip(OUTPUTS, tensors, strict=True)
        ]
        header = json.dumps({"model_name": "segmenter", "model_version": "1", "outputs": outputs}).encode()
        return _response(header + tensors.tobytes(), f"Inference-Header-Content-Length: {len(header)}\r\n")


class Connection(asyncio.Protocol):
    """One keep-alive connection of well-formed HTTP/1.1 requests whose bodies have a known length."""

    def __init__(self, triton: InstantTriton) -> None:
        self._triton = triton
        self._received = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep where the answers go."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer every request that has come whole."""
        self._received += data
        while (head_ends := self._received.find(b"\r\n\r\n")) >= 0:
            path, headers = _parse(self._received[:head_ends].decode())
            body_starts = head_ends + 4
            body_ends = body_starts + int(headers.get("content-length", 0))
            if len(self._received) < body_ends:
                return
            tensors_start = body_starts + int(headers.get("inference-header-content-length", 0))
            response = self._triton.answer(path, self._received[body_starts:tensors_start].decode())
            assert isinstance(self._transport, asyncio.WriteTransport)  # noqa: S101  as asyncio documents
            self._transport.write(response)
            del self._received[:body_ends]


def _parse(head: str) -> tuple[str, dict[str, str]]:
    """Return the path, and the headers by name in small letters."""
    request, *lines = head.split("\r\n")
    fields = (line.partition(": ") for line in lines)
    return request.split(" ")[1], {name.lower(): value for name, _, value in fields}


def _response(body: bytes, headers: str = "") -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


def segmented_samples() -> dict[tuple[int, ...], list[np.ndarray]]:
    """Return what a model that is always right says of the samples: what `InstantTriton` takes."""
    segmented: dict[tuple[int, ...], list[np.ndarray]] = {}
    for path in tile_files():
        probability = tiles.pad(np.asarray(Image.open(path.with_suffix(".png")).convert("L")))  # it is anti-aliased
        name = path.parent.parent.name.removeprefix("MT_")
        number = 1 + tiles.DEFECT_TYPES.index(name) if name in tiles.DEFECT_TYPES else 1
        segmented.setdefault(probability.shape, []).append(np.stack([probability, np.full_like(probability, number)]))
    return segmented


async def serve(port: int) -> None:
    """Answer until the process is ended."""
    triton = InstantTriton(segmented_samples())
    server = await asyncio.get_running_loop().create_server(lambda: Connection(triton), "127.0.0.1", port)
    await server.serve_forever()


def main() -> int:
    """Serve, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.instant_triton", description="A Triton without work.")
    parser.add_argument("--port", type=int, default=8000, help="on loopback; default: %(default)s")
    try:
        asyncio.run(serve(parser.parse_args().port))
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
