"""Whether the model can be asked: has Triton answer a small image every second, and at once after a request failed.

Several Tritons may stand behind the one address. When one of them is away the others still answer. So a failed request
refuses nothing by itself: only a check decides, and while batches are being answered only one that finds another model.
"""

import asyncio
import contextlib
from collections.abc import Callable

import numpy as np
import structlog

from proxy.contract import Contract
from proxy.errors import (
    MismatchedAnswerError,
    NotReadyError,
    ProxyError,
    SegmenterAwayError,
    WrongModelError,
)
from proxy.segmentation import Segmentation
from proxy.segmenter import Segmenter
from proxy.served_model import ServedModel
from proxy.telemetry import Telemetry

FIRST_RETRY_S = 0.1  # doubled after each check that fails, up to the interval; no check follows another one sooner
ANSWER_COUNTS_S = 1.0  # so long after an answered batch, a failed check does not count: another Triton is there
# The interval and this are less than 3 s, within which a stopped Triton must be known.
CHECK_S = 1.5
# A check waits at Triton behind the batches in flight. It may take this many times as long as the largest of them at
# the slowest recent pace, but at most TRITON_TIMEOUT_S.
BATCHES_BEFORE = 4
PACE_PIXELS = 2**16  # a smaller image costs as much as this: waiting and sending, not computing
FORGOTTEN = 0.9  # what a batch leaves of the slowest pace before it
log = structlog.get_logger(__name__)


class Readiness:
    """Holds the served model while there is one, and the reason while there is none.

    Attributes:
        refused: has a WrongModelError when the first model that Triton serves is not the one that is needed.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        *,
        interval_s: float,
        golden_tolerance: float,
        on_model: Callable[[Contract], None],
        telemetry: Telemetry,
    ) -> None:
        self._segmenter = segmenter
        self._interval_s = interval_s
        self._golden_tolerance = golden_tolerance
        self._on_model = on_model
        self._telemetry = telemetry
        self._contract: Contract | None = None
        self._sha256: dict[str, str | None] = {}  # by a model's digest
        self._reason = "Triton has not been asked yet: try again in a moment"
        self._check_now = asyncio.Event()
        self._clock = asyncio.get_running_loop().time
        self._answered = -ANSWER_COUNTS_S  # when the last batch was answered
        self._in_flight: list[int] = []  # pixels of each batch
        self._pixel_s = 0.0  # the slowest pace of the latest batches
        self.refused: asyncio.Future[WrongModelError] = asyncio.get_running_loop().create_future()

    def model(self) -> ServedModel:
        """Return what is known about the served model.

        Raises: NotReadyError with the reason.
        """
        if self._contract is None:
            raise NotReadyError(self._reason)
        return self._contract.model

    def sha256(self, model: ServedModel) -> str | None:
        """Return the SHA-256 of a model's file, as its configuration said when it was last seen; None if it never was.

        An answer's label cannot say it: the label is a part of that file.
        """
        return self._sha256.get(model.digest)

    async def infer(self, canvases: np.ndarray) -> Segmentation:
        """Do what `Segmenter.infer` does, and check at once after it found Triton away, or another model."""
        started = self._clock()
        self._in_flight.append(canvases.size)
        try:
            segmentation = await self._segmenter.infer(canvases)
        except MismatchedAnswerError as error:
            self._report(error)
            self._check_now.set()
            raise
        except (SegmenterAwayError, WrongModelError):
            self._check_now.set()
            raise
        finally:
            self._in_flight.remove(canvases.size)
        self._answered = self._clock()
        self._pixel_s = max(FORGOTTEN * self._pixel_s, (self._answered - started) / max(canvases.size, PACE_PIXELS))
        if self._contract is not None and segmentation.model != self._contract.model:
            self._check_now.set()
        return segmentation

    async def watch(self) -> None:
        """Check the model for ever: often while it is missing, then every `interval_s`."""
        retry_s = FIRST_RETRY_S
        while True:
            self._check_now.clear()
            try:
                found = await self.check()
            except Exception:  # a bug costs one check, not all further ones
                log.exception("bug")
                found = False
            retry_s = FIRST_RETRY_S if found else min(2 * retry_s, self._interval_s)
            wait_s = self._interval_s if found else retry_s
            pause_s = min(FIRST_RETRY_S, wait_s)  # while two models answer, each answer asks for a check
            await asyncio.sleep(pause_s)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._check_now.wait(), wait_s - pause_s)

    async def check(self) -> bool:
        """Ask Triton for the model once; return whether it serves one that fits and that answers rightly."""
        try:
            contract = await self._segmenter.check(timeout_s=self._patience_s(), tolerance=self._golden_tolerance)
        except ProxyError as error:
            if isinstance(error, MismatchedAnswerError):
                self._report(error)
            maybe_one_of_several = not isinstance(error, WrongModelError)
            if not (maybe_one_of_several and self._clock() - self._answered < ANSWER_COUNTS_S):
                self._lose(error)
            return False
        model = contract.model
        if self._contract is None or model != self._contract.model:
            named = {"model": model.name, "version": model.version, "commit": model.commit}
            log.info("ready", **named, dirty=model.dirty, digest=model.digest)
        self._contract = contract
        self._sha256[model.digest] = contract.sha256
        self._telemetry.ready.set(1)
        if not self.refused.done():
            self.refused.cancel()  # from now on another model is a matter of time
        self._on_model(contract)
        return True

    def _patience_s(self) -> float:
        pace_s = BATCHES_BEFORE * self._pixel_s * max(self._in_flight, default=0)
        return max(CHECK_S, min(pace_s, self._segmenter.timeout_s))

    def _report(self, error: MismatchedAnswerError) -> None:
        self._telemetry.answer_mismatches.inc()
        log.error("answer_mismatch", reason=str(error))

    def _lose(self, error: ProxyError) -> None:
        if self._contract is not None or str(error) != self._reason:
            log.warning("not_ready", reason=str(error))
        if isinstance(error, WrongModelError) and not self.refused.done():
            self.refused.set_result(error)
        self._contract = None
        self._telemetry.ready.set(0)
        self._reason = str(error)
