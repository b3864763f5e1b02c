"""Drives the `BatchQueue`: images come one by one, batches go to Triton, each image gets its part of the answer."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np

from proxy.batch_queue import BatchQueue
from proxy.errors import DeadlinePassedError
from proxy.segmentation import Segmentation
from proxy.telemetry import Telemetry

Infer = Callable[[np.ndarray], Awaitable[Segmentation]]


class Answer(NamedTuple):
    """One image's part of a batch's answer, and how many seconds the image waited and was at Triton."""

    segmentation: Segmentation
    queue_s: float
    infer_s: float


@dataclass(eq=False)
class _WaitingImage:
    """One image: its canvas (1, H, W) uint8, its arrival and its deadline in seconds, and where its answer goes."""

    canvas: np.ndarray
    deadline: float
    arrived: float
    answer: asyncio.Future[Answer]

    @property
    def shape(self) -> tuple[int, ...]:
        """Only equal ones share a batch."""
        return self.canvas.shape


class Batcher:
    """Joins single images into batches. Make it inside a running event loop; all times are on that loop's clock."""

    def __init__(self, infer: Infer, *, queue_limit: int, queue_pixels: int, telemetry: Telemetry) -> None:
        self._infer = infer
        self._queue: BatchQueue[_WaitingImage] = BatchQueue(limit=queue_limit, limit_pixels=queue_pixels)
        self._telemetry = telemetry
        self._clock = asyncio.get_running_loop().time
        self._running: set[asyncio.Future[Segmentation]] = set()

    def resize(self, *, max_in_flight: int, max_batch_size: int, max_batch_pixels: int) -> None:
        """Change how many batches may be in flight, and how many images and pixels one may have, from the next on."""
        self._queue.max_in_flight = max_in_flight
        self._queue.max_batch_size = max_batch_size
        self._queue.max_batch_pixels = max_batch_pixels
        self._dispatch()

    def refuse_if_full(self) -> None:
        """Refuse an upload before it is read and decoded if the queue would refuse it afterwards.

        Raises: QueueFullError.
        """
        self._queue.refuse_if_full()

    async def submit(self, canvas: np.ndarray, *, deadline: float) -> Answer:
        """Have one canvas segmented. Cancelling the caller takes the image out of the queue.

        Shapes: canvas (1, H, W) uint8.
        Raises: QueueFullError, DeadlinePassedError, and what `infer` raises for the whole batch.
        """
        image = _WaitingImage(canvas, deadline, self._clock(), asyncio.get_running_loop().create_future())
        self._queue.join(image)
        self._dispatch()
        try:
            async with asyncio.timeout_at(deadline):
                return await image.answer
        except TimeoutError:
            raise DeadlinePassedError(
                "the image was not answered before its deadline: try again when the service is less busy"
            ) from None
        finally:
            if self._queue.leave(image):
                self._count()

    async def close(self) -> None:
        """Cancel the batches in flight."""
        for batch in self._running:
            batch.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def _dispatch(self) -> None:
        while batch := self._queue.next_batch(self._clock()):
            self._telemetry.batch_images.observe(len(batch))
            running = asyncio.create_task(self._segment([image.canvas for image in batch]))
            self._running.add(running)
            running.add_done_callback(partial(self._settle, batch, self._clock()))
        self._count()

    async def _segment(self, canvases: list[np.ndarray]) -> Segmentation:
        """Join the canvases inside the batch's task, so that a MemoryError fails only this batch.

        Shapes: N canvases (1, H, W) → (N, 1, H, W), uint8.
        """
        joined = np.stack(canvases) if len(canvases) > 1 else canvases[0][np.newaxis]  # one canvas needs no copy
        return await self._infer(joined)

    def _count(self) -> None:
        self._telemetry.waiting_images.set(len(self._queue))
        self._telemetry.batches_in_flight.set(self._queue.in_flight)

    def _settle(self, batch: list[_WaitingImage], sent: float, ended: asyncio.Future[Segmentation]) -> None:
        """Give a batch's answer or error to its images, and let the next batch go."""
        self._running.discard(ended)
        self._queue.batch_done()
        error = None if ended.cancelled() else ended.exception()
        for place, image in enumerate(batch):
            if image.answer.done():  # its client has left
                continue
            if ended.cancelled():
                image.answer.cancel()
            elif error is not None:
                image.answer.set_exception(error)
            else:
                part = ended.result().of(place)  # (N, 1, H, W) → (1, H, W)
                image.answer.set_result(Answer(part, sent - image.arrived, self._clock() - sent))
        self._dispatch()
