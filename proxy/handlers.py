"""POST /analyze, health and metrics: each handler reads as the flow of its request."""

import asyncio
import contextlib
from functools import partial

import orjson
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from proxy.answers import REPRESENTATIONS, Representation, describe_model, summarize
from proxy.batcher import Answer, Batcher
from proxy.decoding import DecodedImage, decode
from proxy.errors import ImageTooLargeError, UploadTooSlowError
from proxy.middleware import TELEMETRY, TIMES
from proxy.negotiation import choose
from proxy.readiness import Readiness
from proxy.served_model import ServedModel
from proxy.settings import Settings
from proxy.threads import Threads
from proxy.upload import UploadPlaces, read_upload

SETTINGS = web.AppKey("settings", Settings)
UPLOAD_PLACES = web.AppKey("upload_places", UploadPlaces)
THREADS = web.AppKey("threads", Threads)
READINESS = web.AppKey("readiness", Readiness)
BATCHER = web.AppKey("batcher", Batcher)
DEADLINE = web.RequestKey("deadline", float)  # of the answer, by the event loop's clock
# Images up to this size, twice the largest published one, are decoded and encoded in the event loop. Threads would wait
# for Python's global lock: with them, requests of eight clients on two cores took 40 % more processor time each, and
# the proxy answered a sixth fewer.
SMALL_PIXELS = 2**19
SMALL_BYTES = 2**17  # of the upload: a crafted file keeps a decoder busy for a time that grows with its bytes


async def analyze(request: web.Request) -> web.Response:
    """Answer one image with the mask of its defects."""
    request[DEADLINE] = deadline = asyncio.get_running_loop().time() + request.app[SETTINGS].deadline_s
    media_type = choose(",".join(request.headers.getall("Accept", ())), tuple(REPRESENTATIONS))
    model = request.app[READINESS].model()
    request.app[BATCHER].refuse_if_full()
    with request.app[UPLOAD_PLACES].take():
        image = await _decode(request, await _read(request))  # no name keeps the upload while the image waits
    answer = await request.app[BATCHER].submit(image.canvas, deadline=deadline)
    request[TIMES].seconds.update(queue=answer.queue_s, infer=answer.infer_s)
    body, headers = await _encode(request, answer, image, model, media_type)
    return web.Response(body=body, content_type=media_type, headers={"Vary": "Accept", **headers})


async def _read(request: web.Request) -> bytes:
    with request[TIMES].stage("read"):
        try:
            async with asyncio.timeout_at(request[DEADLINE]):
                return await read_upload(request, max_bytes=request.app[SETTINGS].max_upload_bytes)
        except TimeoutError:
            raise UploadTooSlowError(
                "the upload did not finish before the deadline: send it faster, or send a smaller image"
            ) from None


async def _decode(request: web.Request, data: bytes) -> DecodedImage:
    """Decode a small image here, which takes a millisecond, and a large one in a thread beside the event loop."""
    max_pixels = request.app[SETTINGS].max_pixels
    with request[TIMES].stage("decode"):
        if len(data) <= SMALL_BYTES:
            with contextlib.suppress(ImageTooLargeError):  # told by the file's header, before any pixel is decoded
                return decode(data, max_pixels=min(SMALL_PIXELS, max_pixels))
        work = partial(decode, data, max_pixels=max_pixels)
        return await request.app[THREADS].run(work, deadline=request[DEADLINE])


async def _encode(
    request: web.Request, answer: Answer, image: DecodedImage, model: ServedModel, media_type: str
) -> Representation:
    def work() -> Representation:
        analysis = summarize(answer.segmentation, image.height, image.width, model)
        return REPRESENTATIONS[media_type](analysis)

    with request[TIMES].stage("encode"):
        if image.canvas.size <= SMALL_PIXELS:
            return work()
        return await request.app[THREADS].run(work, deadline=request[DEADLINE])


async def live(_request: web.Request) -> web.Response:
    """Answer 200 as long as the process answers at all."""
    return _json({"status": "live"})


async def ready(request: web.Request) -> web.Response:
    """Answer 200 while the model can be asked, otherwise a problem document with the reason."""
    return _json({"status": "ready", "model": describe_model(request.app[READINESS].model())})


async def metrics(request: web.Request) -> web.Response:
    """Answer in Prometheus's text format."""
    body = generate_latest(request.app[TELEMETRY].registry)
    return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})


def _json(document: object) -> web.Response:
    return web.Response(body=orjson.dumps(document), content_type="application/json")
