"""POST /analyze, health and metrics: each handler reads as the flow of its request."""

import asyncio
import contextlib
from functools import partial

import orjson
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from proxy.admission import Admission
from proxy.answers import REPRESENTATIONS, Representation, describe_model, summarize
from proxy.api_keys import ApiKeys
from proxy.batcher import Answer, Batcher
from proxy.decoding import DecodedImage, canvas_pixels, decode
from proxy.errors import ImageTooLargeError, TooMuchWorkError
from proxy.middleware import TELEMETRY, TIMES
from proxy.negotiation import choose
from proxy.readiness import Readiness
from proxy.settings import Settings
from proxy.threads import Threads
from proxy.upload import Pace, read_upload
from proxy.upload_memory import SMALL_BYTES, Held, UploadMemory

SETTINGS = web.AppKey("settings", Settings)
API_KEYS = web.AppKey("api_keys", ApiKeys)
ADMISSION = web.AppKey("admission", Admission)
UPLOAD_MEMORY = web.AppKey("upload_memory", UploadMemory)
THREADS = web.AppKey("threads", Threads)
READINESS = web.AppKey("readiness", Readiness)
BATCHER = web.AppKey("batcher", Batcher)
DEADLINE = web.RequestKey("deadline", float)  # of the answer, by the event loop's clock
# Images up to this size, twice the largest published one, are decoded and encoded in the event loop. Threads would wait
# for Python's global lock: with them, requests of eight clients on two cores took 40 % more processor time each, and
# the proxy answered a sixth fewer.
SMALL_PIXELS = 2**19
# Processor time that one file may take. In the event loop everybody waits for it; the rest of a small image's decoding
# takes another 2 ms.
LOOP_S = 0.006
# In a thread it takes some from everybody. A usual file takes a tenth of this.
THREAD_S = 0.8
FILE_S = 0.05
PIXEL_S = 150e-9


async def analyze(request: web.Request) -> web.Response:
    """Answer one image with the mask of its defects."""
    app = request.app
    request[DEADLINE] = deadline = asyncio.get_running_loop().time() + app[SETTINGS].deadline_s
    app[API_KEYS].require(request.headers.get("Authorization"))
    media_type = choose(",".join(request.headers.getall("Accept", ())), tuple(REPRESENTATIONS))
    app[READINESS].model()  # refuses while there is none
    app[BATCHER].refuse_if_full()
    app[ADMISSION].refuse_if_busy()
    with app[UPLOAD_MEMORY].hold(request.remote or "") as held:
        data, pixels = await _read(request, held)
        with app[ADMISSION].admit(pixels):
            image = await _decode(request, data, pixels)
            del data  # no name keeps the upload while the image waits
            answer = await app[BATCHER].submit(image.canvas, deadline=deadline)
            request[TIMES].seconds.update(queue=answer.queue_s, infer=answer.infer_s)
            body, headers = await _encode(request, answer, image, media_type)
    return web.Response(body=body, content_type=media_type, headers={"Vary": "Accept", **headers})


async def _read(request: web.Request, held: Held) -> tuple[bytes, int]:
    """Return the file and its canvas's pixels, 0 if it does not tell; refuse it as early as its first bytes allow."""
    settings = request.app[SETTINGS]
    pixels = 0

    def look(start: bytes) -> bool:
        nonlocal pixels
        found = canvas_pixels(start, max_pixels=settings.max_pixels)
        request.app[ADMISSION].refuse_if_busy()
        pixels = found or 0
        return found is not None

    pace = Pace(deadline=request[DEADLINE], grace_s=settings.upload_grace_s, byte_rate=settings.min_byte_rate)
    with request[TIMES].stage("read"):
        data = await read_upload(request, max_bytes=settings.max_upload_bytes, held=held, pace=pace, look=look)
    if not pixels:
        look(data)
    return data, pixels


async def _decode(request: web.Request, data: bytes, pixels: int) -> DecodedImage:
    """Decode a small image here, which takes a millisecond, and a large one in a thread beside the event loop."""
    max_pixels = request.app[SETTINGS].max_pixels
    with request[TIMES].stage("decode"):
        if len(data) <= SMALL_BYTES:
            # told by the file's header, before any pixel is decoded, or by the clock
            with contextlib.suppress(ImageTooLargeError, TooMuchWorkError):
                return decode(data, max_pixels=min(SMALL_PIXELS, max_pixels), budget_s=LOOP_S)
        work = partial(decode, data, max_pixels=max_pixels, budget_s=min(THREAD_S, FILE_S + pixels * PIXEL_S))
        return await request.app[THREADS].run(work, deadline=request[DEADLINE])


async def _encode(request: web.Request, answer: Answer, image: DecodedImage, media_type: str) -> Representation:
    def work() -> Representation:
        analysis = summarize(answer.segmentation, image.height, image.width)
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
