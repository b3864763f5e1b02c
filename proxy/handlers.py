"""POST /analyze, health and metrics: each handler reads as the flow of its request."""

import asyncio
import contextlib
from functools import partial

import orjson
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from proxy.answers import REPRESENTATIONS, Representation, describe_model, summarize
from proxy.batcher import Answer, Batcher
from proxy.contract import ModelContract
from proxy.decoding import DecodedTile, decode
from proxy.errors import ImageTooLargeError, UploadTooSlowError
from proxy.middleware import TELEMETRY, TIMES
from proxy.negotiation import choose
from proxy.readiness import Readiness
from proxy.settings import Settings
from proxy.threads import Threads
from proxy.upload import Anteroom, read_upload

SETTINGS = web.AppKey("settings", Settings)
ANTEROOM = web.AppKey("anteroom", Anteroom)
THREADS = web.AppKey("threads", Threads)
READINESS = web.AppKey("readiness", Readiness)
BATCHER = web.AppKey("batcher", Batcher)
DEADLINE = web.RequestKey("deadline", float)  # of the answer, by the event loop's clock
# What is worked on in the event loop: twice the largest published tile. Threads would wait for Python's one lock: with
# them eight clients' requests took 40 % more processor time each on two cores, and a sixth fewer were answered.
SMALL_PIXELS = 2**19
SMALL_BYTES = 2**17  # of the upload: what a crafted file can make a decoder do grows with its bytes


async def analyze(request: web.Request) -> web.Response:
    """Answer one image with the mask of its defects."""
    request[DEADLINE] = deadline = asyncio.get_running_loop().time() + request.app[SETTINGS].deadline_s
    media_type = choose(",".join(request.headers.getall("Accept", ())), tuple(REPRESENTATIONS))
    contract = request.app[READINESS].contract()
    request.app[BATCHER].refuse_if_full()
    with request.app[ANTEROOM].enter():
        tile = await _decode(request, await _read(request))  # no name keeps the upload while the tile waits
    answer = await request.app[BATCHER].submit(tile.canvas, deadline=deadline)
    request[TIMES].seconds.update(queue=answer.queue_s, infer=answer.infer_s)
    body, headers = await _encode(request, answer, tile, contract, media_type)
    return web.Response(body=body, content_type=media_type, headers={"Vary": "Accept", **headers})


async def _read(request: web.Request) -> bytes:
    with request[TIMES].stage("read"):
        try:
            async with asyncio.timeout_at(request[DEADLINE]):
                return await read_upload(request, max_bytes=request.app[SETTINGS].max_upload_bytes)
        except TimeoutError:
            raise UploadTooSlowError(
                "the body was not there by the deadline: send it faster, or a smaller one"
            ) from None


async def _decode(request: web.Request, data: bytes) -> DecodedTile:
    """Decode what is small here, where it takes a millisecond, and what is large in a thread beside the loop."""
    max_pixels = request.app[SETTINGS].max_pixels
    with request[TIMES].stage("decode"):
        if len(data) <= SMALL_BYTES:
            with contextlib.suppress(ImageTooLargeError):  # its header says how large it is: no pixel was decoded
                return decode(data, max_pixels=min(SMALL_PIXELS, max_pixels))
        work = partial(decode, data, max_pixels=max_pixels)
        return await request.app[THREADS].run(work, deadline=request[DEADLINE])


async def _encode(
    request: web.Request, answer: Answer, tile: DecodedTile, contract: ModelContract, media_type: str
) -> Representation:
    def work() -> Representation:
        analysis = summarize(answer.segmentation, tile.height, tile.width, contract)
        return REPRESENTATIONS[media_type](analysis)

    with request[TIMES].stage("encode"):
        if tile.canvas.size <= SMALL_PIXELS:
            return work()
        return await request.app[THREADS].run(work, deadline=request[DEADLINE])


async def live(_request: web.Request) -> web.Response:
    """Answer 200 as long as the process answers at all."""
    return _json({"status": "live"})


async def ready(request: web.Request) -> web.Response:
    """Answer 200 while the model can be asked, otherwise a problem document with the reason."""
    return _json({"status": "ready", "model": describe_model(request.app[READINESS].contract())})


async def metrics(request: web.Request) -> web.Response:
    """Answer in Prometheus's text format."""
    body = generate_latest(request.app[TELEMETRY].registry)
    return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})


def _json(document: object) -> web.Response:
    return web.Response(body=orjson.dumps(document), content_type="application/json")
