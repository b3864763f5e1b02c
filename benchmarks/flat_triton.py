"""A stand-in for a Triton on a GPU: its time for a batch is nearly flat, a + b·N milliseconds, and it computes nothing.

It speaks what the proxy asks of the KServe v2 protocol with Triton's extensions: health, the model and its
configuration, inference with binary tensors. Each of its instances runs one batch at a time.
"""

import argparse
import asyncio
import json
import sys
from typing import Any

from aiohttp import web

from tiles import DEFECT_TYPES

MODEL = "segmenter"
OUTPUTS = ("probability", "type")
LARGEST_BODY_BYTES = 2**26
HEADER_LENGTH = "Inference-Header-Content-Length"


class FlatModel:
    """The model: how long a batch takes, and how many run at once. Make it inside a running event loop."""

    def __init__(self, *, a_ms: float, b_ms: float, instances: int, max_batch_size: int) -> None:
        self._a_s, self._b_s = a_ms / 1000, b_ms / 1000
        self._instances = instances
        self._max_batch_size = max_batch_size
        self._free = asyncio.Semaphore(instances)

    @property
    def config(self) -> dict[str, Any]:
        """What `/v2/models/<m>/config` answers."""
        parameters = {"model.threshold": "128", "model.alarm_score": "0.5", "model.types": ",".join(DEFECT_TYPES)}
        return {
            "name": MODEL,
            "max_batch_size": self._max_batch_size,
            "input": [_tensor("image")],
            "output": [_tensor(name) for name in OUTPUTS],
            "instance_group": [{"count": self._instances}],
            "parameters": {key: {"string_value": value} for key, value in parameters.items()},
        }

    async def compute(self, tiles: int) -> None:
        """Be busy for as long as a batch of so many tiles takes."""
        async with self._free:
            await asyncio.sleep(self._a_s + self._b_s * tiles)


def _tensor(name: str) -> dict[str, Any]:
    return {"name": name, "data_type": "TYPE_UINT8", "dims": [1, -1, -1]}


def make_app(model: FlatModel) -> web.Application:
    """Return the application."""

    async def healthy(_request: web.Request) -> web.Response:
        return web.Response()

    async def metadata(_request: web.Request) -> web.Response:
        return web.json_response({"name": MODEL, "versions": ["1"]})

    async def config(_request: web.Request) -> web.Response:
        return web.json_response(model.config)

    async def infer(request: web.Request) -> web.Response:
        body = await request.read()
        shape = json.loads(body[: int(request.headers[HEADER_LENGTH])])["inputs"][0]["shape"]
        await model.compute(shape[0])
        return answer(shape)

    app = web.Application(client_max_size=LARGEST_BODY_BYTES)
    app.add_routes(
        [
            web.get("/v2/health/ready", healthy),
            web.get(f"/v2/models/{MODEL}", metadata),
            web.get(f"/v2/models/{MODEL}/config", config),
            web.post(f"/v2/models/{MODEL}/infer", infer),
        ]
    )
    return app


def answer(shape: list[int]) -> web.Response:
    """Return two tensors of zeros of the input's shape, (N, 1, H, W) uint8: no defect anywhere."""
    tiles, _, height, width = shape
    size = tiles * height * width
    tensors = [
        {"name": name, "datatype": "UINT8", "shape": shape, "parameters": {"binary_data_size": size}}
        for name in OUTPUTS
    ]
    header = json.dumps({"model_name": MODEL, "model_version": "1", "outputs": tensors}).encode()
    return web.Response(
        body=header + bytes(size * len(OUTPUTS)),
        content_type="application/octet-stream",
        headers={HEADER_LENGTH: str(len(header))},
    )


async def serve(options: argparse.Namespace) -> None:
    """Answer until the process is ended."""
    model = FlatModel(
        a_ms=options.a_ms,
        b_ms=options.b_ms,
        instances=options.instances,
        max_batch_size=options.max_batch_size,
    )
    runner = web.AppRunner(make_app(model), access_log=None, handle_signals=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", options.port).start()
    await asyncio.Event().wait()


def main() -> int:
    """Serve, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.flat_triton", description="A stand-in for a GPU.")
    parser.add_argument("--port", type=int, default=8000, help="on loopback; default: %(default)s")
    parser.add_argument("--a-ms", type=float, default=23, help="of each batch; default: %(default)s")
    parser.add_argument("--b-ms", type=float, default=4.4, help="of each tile in it; default: %(default)s")
    parser.add_argument("--instances", type=int, default=1, help="default: %(default)s")
    parser.add_argument("--max-batch-size", type=int, default=8, help="default: %(default)s")
    try:
        asyncio.run(serve(parser.parse_args()))
    except (KeyboardInterrupt, web.GracefulExit):
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
