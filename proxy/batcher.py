"""Drives the `BatchQueue`: tiles come one by one, batches go to Triton, each tile gets its own part of the answer."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np

from proxy.batch_queue import BatchQueue
from proxy.errors import DeadlinePassedError
from proxy.segmenter import Segmentation
from proxy.telemetry import Telemetry

Infer = Callable[[np.ndarray], Awaitable[Segmentation]]


class Answer(NamedTuple):
    """One tile's part of a batch's answer, and how many seconds it waited and was at Triton."""

    segmentation: Segmentation
    queue_s: float
    infer_s: float


@dataclass(eq=False)
class Ticket:
    """One waiting tile: its canvas, until when it is wanted, and where its answer is put."""

    canvas: np.ndarray
    deadline: float
    arrived: float
    answer: asyncio.Future[Answer]

    @property
    def shape(self) -> tuple[int, ...]:
        """Only equal ones share a batch."""
        return self.canvas.shape


class Batcher:
    """Turns single tiles into batches. Make it inside a running event loop; all times are that loop's clock."""

    def __init__(self, infer: Infer, *, queue_limit: int, max_batch_pixels: int, telemetry: Telemetry) -> None:
        self._infer = infer
        self._queue: BatchQueue[Ticket] = BatchQueue(limit=queue_limit, max_batch_pixels=max_batch_pixels)
        self._telemetry = telemetry
        self._clock = asyncio.get_running_loop().time
        self._running: set[asyncio.Future[Segmentation]] = set()

    def resize(self, *, places: int, max_batch_size: int) -> None:
        """Take another number of batches in flight and another size of them, from the next batch on."""
        self._queue.places = places
        self._queue.max_batch_size = max_batch_size
        self._dispatch()

    def refuse_if_full(self) -> None:
        """Spare an upload that would be refused at the queue its reading and decoding.

        Raises: QueueFullError.
        """
        self._queue.refuse_if_full()

    async def submit(self, canvas: np.ndarray, *, deadline: float) -> Answer:
        """Have one canvas segmented. Cancelling the caller takes the tile out of the queue.

        Shapes: canvas (1, H, W) uint8.
        Raises: QueueFullError, DeadlinePassedError, and what `infer` raises for the whole batch.
        """
        ticket = Ticket(canvas, deadline, self._clock(), asyncio.get_running_loop().create_future())
        self._queue.join(ticket)
        self._dispatch()
        try:
            async with asyncio.timeout_at(deadline):
                return await ticket.answer
        except TimeoutError:
            raise DeadlinePassedError(
                "the tile was not answered by its deadline: try again when it is quieter"
            ) from None
        finally:
            if self._queue.leave(ticket):
                self._tell()

    async def close(self) -> None:
        """Give up what is still in flight."""
        for batch in self._running:
            batch.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def _dispatch(self) -> None:
        while batch := self._queue.next_batch(self._clock()):
            self._telemetry.batch_tiles.observe(len(batch))
            running = asyncio.create_task(self._segment(batch))
            self._running.add(running)
            running.add_done_callback(partial(self._settle, batch, self._clock()))
        self._tell()

    async def _segment(self, batch: list[Ticket]) -> Segmentation:
        """Join the canvases here, where want of memory fails the batch as anything else does."""
        canvases = [ticket.canvas for ticket in batch]
        return await self._infer(
            np.stack(canvases) if len(canvases) > 1 else canvases[0][np.newaxis]
        )  # one is not copied

    def _tell(self) -> None:
        self._telemetry.waiting_tiles.set(len(self._queue))
        self._telemetry.batches_in_flight.set(self._queue.in_flight)

    def _settle(self, batch: list[Ticket], sent: float, ended: asyncio.Future[Segmentation]) -> None:
        """Hand the batch's end, whichever it was, to its members, and let the next batch go."""
        self._running.discard(ended)
        self._queue.batch_done()
        error = None if ended.cancelled() else ended.exception()
        for place, ticket in enumerate(batch):
            if ticket.answer.done():  # its client has left
                continue
            if ended.cancelled():
                ticket.answer.cancel()
            elif error is not None:
                ticket.answer.set_exception(error)
            else:
                part = Segmentation(*(tensor[place] for tensor in ended.result()))
                ticket.answer.set_result(Answer(part, sent - ticket.arrived, self._clock() - sent))
        self._dispatch()
