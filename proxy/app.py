"""Puts the application together: routes, and each resource from its start to its end."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import structlog
from aiohttp import web

from host.addresses import printed
from proxy import handlers, image_steps
from proxy.admission import Admission
from proxy.api_keys import ApiKeys
from proxy.batcher import Batcher
from proxy.connection_limits import Limits
from proxy.connections import connections_allowed
from proxy.contract import Contract
from proxy.cors import Cors, preflight
from proxy.document import document_routes
from proxy.draining import drain, drain_s, end_in_time
from proxy.errors import ListenError, ModelRefusedError, WrongModelError
from proxy.exhaustion import ExhaustionLog
from proxy.limited_server import LimitedRunner, invite_later
from proxy.middleware import ANALYZE, CORS, DRAINING, TELEMETRY, VERSION_PREFIX, answer_and_record
from proxy.page import page_routes
from proxy.problems import MAX_HEADERS
from proxy.readiness import Readiness
from proxy.segmenter import Segmenter
from proxy.settings import Settings
from proxy.telemetry import Telemetry
from proxy.threads import Threads
from proxy.tile_handler import analyze_tile
from proxy.upload_memory import UploadMemory

SERVER_OPTIONS: dict[str, Any] = {
    "keepalive_timeout": 75,  # longer than the front proxy keeps a connection that nobody uses
    "lingering_time": 5,  # after a refusal the rest of the body is read and dropped for so long
    "max_headers": MAX_HEADERS,
    "handler_cancellation": True,  # a client that leaves frees its place in the queue
    "auto_decompress": False,  # a compressed body is refused, so nothing may inflate it
    "access_log": None,  # the middleware logs
}
# The waiting images may have the pixels of this many of MAX_PIXELS: with the default settings a full queue of images
# that are twice as large as the largest published one.
WAITING_IMAGES = 8
# Beyond this, a core's caches no longer hold a batch: decision 4 has the times.
CPU_BATCH_PIXELS = 327_680
log = structlog.get_logger(__name__)


def make_app(settings: Settings) -> web.Application:
    """Return an application that shares nothing with any other one."""
    app = web.Application(middlewares=[answer_and_record])
    app[image_steps.SETTINGS] = settings
    app[image_steps.UPLOAD_MEMORY] = UploadMemory(settings.upload_memory)
    app[image_steps.ADMISSION] = Admission(max_wait_s=settings.max_wait_s, clock=time.monotonic)
    app[image_steps.API_KEYS] = ApiKeys(settings.api_keys_file)
    app[CORS] = Cors(settings.cors_origins)
    app[TELEMETRY] = Telemetry()
    app[DRAINING] = asyncio.Event()
    app.add_routes(versioned(routes()))
    if app[CORS]:
        app.add_routes(versioned([web.options(path, preflight) for path in ANALYZE]))
    app.cleanup_ctx.extend([_threads, _segmentation])
    return app


def routes() -> list[web.RouteDef]:
    """Return all routes, each once."""
    return [
        web.post("/analyze", handlers.analyze, expect_handler=invite_later),
        web.post("/analyze/tile", analyze_tile, expect_handler=invite_later),
        web.get("/health/live", handlers.live),
        web.get("/health/ready", handlers.ready),
        web.get("/metrics", handlers.metrics),
        *page_routes(),
        *document_routes(),
    ]


def versioned(plain: list[web.RouteDef]) -> list[web.RouteDef]:
    """Return each route as it is, and below the version."""
    below = [web.RouteDef(each.method, VERSION_PREFIX + each.path, each.handler, each.kwargs) for each in plain]
    return [*plain, *below]


async def _threads(app: web.Application) -> AsyncIterator[None]:
    with Threads(app[image_steps.SETTINGS].decode_threads) as threads:
        app[image_steps.THREADS] = threads
        yield


async def _segmentation(app: web.Application) -> AsyncIterator[None]:
    """Triton's client, the checks of it and the batcher in front of it live and end together."""
    settings, telemetry = app[image_steps.SETTINGS], app[TELEMETRY]
    segmenter = Segmenter(
        url=settings.triton_url,
        model_name=settings.model_name,
        timeout_s=settings.triton_timeout_s,
        keep_connections=settings.triton_connections == "kept",
    )
    readiness = Readiness(
        segmenter,
        interval_s=settings.check_interval_s,
        golden_tolerance=settings.golden_tolerance,
        on_model=lambda contract: _fit(app, contract),
        telemetry=telemetry,
    )
    batcher = Batcher(
        readiness.infer,
        queue_limit=settings.queue_limit,
        queue_pixels=WAITING_IMAGES * settings.max_pixels,
        telemetry=telemetry,
    )
    app[image_steps.READINESS], app[image_steps.BATCHER] = readiness, batcher
    watch = asyncio.create_task(readiness.watch())
    try:
        yield
    finally:
        watch.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watch
        await batcher.close()
        await segmenter.close()


def _fit(app: web.Application, contract: Contract) -> None:
    # One more than the model has instances: an instance that gets free finds its next batch there, without a wait.
    max_in_flight = app[image_steps.SETTINGS].in_flight_batches or contract.instances + 1
    # several Tritons may take more batches, but where they are slow such a queue takes longer than MAX_WAIT_S
    app[image_steps.ADMISSION].always = min(max_in_flight, contract.instances + 1)
    max_pixels = app[image_steps.SETTINGS].max_pixels  # Triton must be able to take one image of this size anyway
    app[image_steps.BATCHER].resize(
        max_in_flight=max_in_flight,
        max_batch_size=contract.max_batch_size,
        max_batch_pixels=min(max_pixels, CPU_BATCH_PIXELS) if contract.on_cpus else max_pixels,
    )


def connection_limits(settings: Settings) -> Limits:
    """Return what connections may take."""
    return Limits(
        connections=connections_allowed(settings.max_connections),
        address_connections=settings.address_connections,
        head_s=settings.head_s,
        unread_s=settings.upload_grace_s,
        byte_rate=settings.min_byte_rate,
        unread_bytes=settings.upload_memory,
    )


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Answer requests until `stop` is set, then finish those in flight within the grace period.

    Raises: ListenError; ModelRefusedError, when the first model that Triton serves is not the one that is needed.
    """
    # aiohttp waits for this time twice: for the handlers, and once more after it has cut off what they still read
    half = (settings.shutdown_grace_s - drain_s(settings.shutdown_grace_s)) / 2
    limits = connection_limits(settings)
    if limits.connections < settings.max_connections:
        log.warning("too_few_open_files", connections=limits.connections, remedy="raise the limit (`ulimit -n`)")
    app = make_app(settings)
    asyncio.get_running_loop().set_exception_handler(ExhaustionLog())
    runner = LimitedRunner(app, limits=limits, shutdown_timeout=half, **SERVER_OPTIONS)
    await runner.setup()
    try:
        await _listen(runner, settings)
        await _stopped(stop, runner.app[image_steps.READINESS].refused)
        log.info("stopping", grace_s=settings.shutdown_grace_s)
        app[DRAINING].set()
        end_in_time(settings.shutdown_grace_s)
        await drain(runner, settings.shutdown_grace_s)
    finally:
        await runner.cleanup()
    log.info("stopped")


async def _stopped(stop: asyncio.Event, refused: asyncio.Future[WrongModelError]) -> None:
    """Wait for `stop`.

    Raises: ModelRefusedError.
    """
    stopping: asyncio.Future[Any] = asyncio.create_task(stop.wait())
    either: list[asyncio.Future[Any]] = [stopping, refused]
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    if refused.done() and not refused.cancelled():
        stopping.cancel()
        raise ModelRefusedError(str(refused.result()))
    await stopping


async def _listen(runner: web.AppRunner, settings: Settings) -> None:
    try:
        await web.TCPSite(runner, settings.host, settings.port).start()
    except OSError as error:
        raise ListenError(
            f"cannot listen on {settings.host} port {settings.port} ({error.strerror}): set PORT or HOST to a free one"
        ) from None
    host, port = runner.addresses[0][:2]
    log.info("listening", url=f"http://{printed(host, port)}", triton=settings.triton_url, model=settings.model_name)
