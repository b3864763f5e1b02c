"""The steps that every image takes, alone or as one of a tile: read, decode, segment, encode.

Each step knows where it runs: in the event loop, or in a thread beside it.
"""

import asyncio
import contextlib
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from aiohttp import web

import tiles
from proxy.admission import Admission
from proxy.analysis import PointOverride, summarize
from proxy.api_keys import ApiKeys
from proxy.batcher import Answer, Batcher
from proxy.decoding import DecodedImage, canvas_pixels, decode
from proxy.errors import ImageTooLargeError, TooMuchWorkError
from proxy.middleware import TELEMETRY, TIMES
from proxy.pace import Pace
from proxy.readiness import Readiness
from proxy.report import Report
from proxy.settings import Settings
from proxy.threads import Threads
from proxy.upload_memory import SMALL_BYTES, UploadMemory

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
FEW_REGIONS = 64  # measured and encoded in the event loop, too
# Processor time that one file may take. In the event loop everybody waits for it; the rest of a small image's decoding
# takes another 2 ms.
LOOP_S = 0.006
# In a thread a file takes time from everybody: so much for each file, and so much for each pixel of its canvas. A usual
# file needs a tenth of it.
FILE_S = 0.05
PIXEL_S = 150e-9

T = TypeVar("T")
S = TypeVar("S")


class HeaderCheck:
    """Checks a file's first bytes, and refuses the file as early as they allow.

    of_tile: is given the pixels, and raises where a tile's images have too many together; such an image is admitted
    in any case.

    Attributes:
        pixels: of the file's canvas; 0 as long as it does not tell.
    """

    def __init__(self, request: web.Request, of_tile: Callable[[int], None] | None = None) -> None:
        self._max_pixels = request.app[SETTINGS].max_pixels
        self._admission = request.app[ADMISSION]
        self._of_tile = of_tile
        self.pixels = 0

    def __call__(self, start: bytes) -> bool:
        """Return whether the size is known.

        Raises: UnsupportedUploadError, ImageTooLargeError, DamagedImageError, TooMuchWorkError, QueueFullError,
        TileTooLargeError.
        """
        found = canvas_pixels(start, max_pixels=self._max_pixels)
        self.pixels = found or 0
        if self._of_tile is None:
            self._admission.refuse_if_busy()
        else:
            self._of_tile(self.pixels)
        return found is not None


def begin(request: web.Request) -> None:
    """Start the request's clock, and refuse a client without a key."""
    app = request.app
    request[DEADLINE] = asyncio.get_running_loop().time() + app[SETTINGS].deadline_s
    app[API_KEYS].require(request.headers.get("Authorization"))


def refuse_if_unanswerable(request: web.Request) -> None:
    """Refuse what could not be answered at the moment, before anything is read."""
    app = request.app
    app[READINESS].model()
    app[BATCHER].refuse_if_full()
    app[ADMISSION].refuse_if_busy()


def pace_of(request: web.Request) -> Pace:
    """Return how fast this request's body must come."""
    settings = request.app[SETTINGS]
    return Pace(deadline=request[DEADLINE], grace_s=settings.upload_grace_s, byte_rate=settings.min_byte_rate)


async def decode_upload(request: web.Request, data: bytes, pixels: int) -> DecodedImage:
    """Decode a small image here, which takes a millisecond, and a large one in a thread beside the event loop."""
    max_pixels = request.app[SETTINGS].max_pixels
    with request[TIMES].stage("decode"):
        if len(data) <= SMALL_BYTES:
            # told by the file's header, before any pixel is decoded, or by the clock
            with contextlib.suppress(ImageTooLargeError, TooMuchWorkError):
                return decode(data, max_pixels=min(SMALL_PIXELS, max_pixels), budget_s=LOOP_S)
        work = partial(decode, data, max_pixels=max_pixels, budget_s=thread_budget_s(pixels))
        return await request.app[THREADS].run(work, deadline=request[DEADLINE])


def thread_budget_s(pixels: int) -> float:
    """Return the processor time that a thread may spend on a file of so many pixels."""
    return FILE_S + pixels * PIXEL_S


async def segment(request: web.Request, image: DecodedImage) -> Answer:
    """Have the image segmented."""
    answer = await request.app[BATCHER].submit(image.canvas, deadline=request[DEADLINE])
    request[TIMES].add("queue", answer.queue_s)
    request[TIMES].add("infer", answer.infer_s)
    return answer


async def encode(
    request: web.Request,
    answer: Answer,
    image: DecodedImage,
    override: PointOverride,
    write: Callable[[Report], T],
    *,
    quick: bool,
) -> tuple[Report, T]:
    """Return the report on an image and what `write` makes of it: here if that is quick and the image small."""

    def report() -> Report:
        analysis = summarize(answer.segmentation, image.height, image.width, override)
        grey = tiles.crop(image.canvas, image.height, image.width)
        return Report(analysis, grey, image.remarks, request.app[READINESS].sha256(analysis.model))

    async def beside(work: Callable[[], S]) -> S:
        return await request.app[THREADS].run(work, deadline=request[DEADLINE])

    with request[TIMES].stage("encode"):
        small = image.canvas.size <= SMALL_PIXELS
        found = report() if small else await beside(report)
        if small and quick and _has_few_regions(found):
            written = write(found)
        else:
            written = await beside(partial(write, found))
    return _counted(request, found), written


def _has_few_regions(report: Report) -> bool:
    labels = report.analysis.labels
    return labels is None or labels.regions <= FEW_REGIONS


def _counted(request: web.Request, report: Report) -> Report:
    telemetry = request.app[TELEMETRY]
    if not report.analysis.familiar:
        telemetry.unfamiliar_images.inc()
    for warning in report.warnings:
        telemetry.warnings.labels(warning.code).inc()
    return report
