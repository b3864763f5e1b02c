"""Puts the application together: routes, and each resource from its making to its end."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

from aiohttp import web

from proxy import handlers
from proxy.batcher import Batcher
from proxy.contract import ModelContract
from proxy.errors import ListenError
from proxy.middleware import TELEMETRY, attend
from proxy.page import page_routes
from proxy.readiness import Readiness
from proxy.segmenter import Segmenter
from proxy.settings import Settings
from proxy.telemetry import Telemetry, event
from proxy.threads import Threads
from proxy.upload import Anteroom

# The client's leaving cancels its handler and so frees its place; a compressed body is refused, so nothing inflates it;
# the middleware logs.
SERVER_OPTIONS: dict[str, Any] = {"handler_cancellation": True, "auto_decompress": False, "access_log": None}
log = logging.getLogger(__name__)


def make_app(settings: Settings) -> web.Application:
    """Return an application that shares nothing with any other one."""
    app = web.Application(middlewares=[attend])
    app[handlers.SETTINGS] = settings
    app[handlers.ANTEROOM] = Anteroom(settings.queue_limit)
    app[TELEMETRY] = Telemetry(shared=settings.proxy_workers > 1)
    app.add_routes(
        [
            web.post("/analyze", handlers.analyze),
            web.get("/health/live", handlers.live),
            web.get("/health/ready", handlers.ready),
            web.get("/metrics", handlers.metrics),
            *page_routes(),
        ]
    )
    app.cleanup_ctx.extend([_threads, _segmentation])
    return app


async def _threads(app: web.Application) -> AsyncIterator[None]:
    with Threads(app[handlers.SETTINGS].decode_threads) as threads:
        app[handlers.THREADS] = threads
        yield


async def _segmentation(app: web.Application) -> AsyncIterator[None]:
    """Triton's client, the watch over it and the batcher in front of it live and end together."""
    settings, telemetry = app[handlers.SETTINGS], app[TELEMETRY]
    segmenter = Segmenter(
        url=settings.triton_url,
        model_name=settings.model_name,
        timeout_s=settings.triton_timeout_s,
        keep_connections=settings.triton_connections == "kept",
    )
    readiness = Readiness(
        segmenter,
        interval_s=settings.check_interval_s,
        on_contract=lambda contract: _fit(batcher, settings, contract),
        telemetry=telemetry,
    )
    batcher = Batcher(
        readiness.infer,
        queue_limit=settings.queue_limit,
        max_batch_pixels=settings.max_pixels,  # Triton must bear one image of so many anyway
        telemetry=telemetry,
    )
    app[handlers.READINESS], app[handlers.BATCHER] = readiness, batcher
    watch = asyncio.create_task(readiness.watch())
    try:
        yield
    finally:
        watch.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watch
        await batcher.close()
        await segmenter.close()


def _fit(batcher: Batcher, settings: Settings, contract: ModelContract) -> None:
    # One more than the model runs at a time: it is there when an instance gets free, which never waits for the proxy.
    places = settings.in_flight_batches or contract.instances + 1
    batcher.resize(places=places, max_batch_size=contract.max_batch_size)


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Answer requests until `stop` is set, then finish those in flight within the grace.

    Raises: ListenError.
    """
    # aiohttp waits so long twice: for the handlers, and for them again when it has ended what they still read
    half = settings.shutdown_grace_s / 2
    runner = web.AppRunner(make_app(settings), shutdown_timeout=half, **SERVER_OPTIONS)
    await runner.setup()
    try:
        await _listen(runner, settings)
        await stop.wait()
        log.info(event("stopping", grace_s=settings.shutdown_grace_s))
    finally:
        await runner.cleanup()
    log.info(event("stopped"))


async def _listen(runner: web.AppRunner, settings: Settings) -> None:
    with binding(settings):
        await web.TCPSite(runner, settings.host, settings.port, reuse_port=settings.proxy_workers > 1).start()
    host, port = runner.addresses[0][:2]
    log.info(event("listening", url=f"http://{host}:{port}", triton=settings.triton_url, model=settings.model_name))


@contextlib.contextmanager
def binding(settings: Settings) -> Iterator[None]:
    """Say what is wrong with the address that is bound inside.

    Raises: ListenError.
    """
    try:
        yield
    except OSError as error:
        raise ListenError(
            f"cannot listen on {settings.host} port {settings.port} ({error.strerror}): set PORT or HOST to a free one"
        ) from None
