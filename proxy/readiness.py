"""Whether the model can be asked: checks Triton every few seconds, and at once after a request found it away.

Several Tritons may stand behind the one address. When one of them is away the others still answer. So a failed request
refuses nothing by itself: only a check decides, and not while batches are being answered.
"""

import asyncio
from collections.abc import Callable

import numpy as np
import structlog

from proxy.errors import NotReadyError, ProxyError, SegmenterAwayError, SegmenterSlowError
from proxy.segmenter import Segmentation, Segmenter
from proxy.served_model import ServedModel
from proxy.telemetry import Telemetry

FIRST_RETRY_S = 0.1  # doubled after each check that fails, up to the interval
ANSWER_COUNTS_S = 1.0  # so long after an answered batch, a failed check does not count: another Triton is there
log = structlog.get_logger(__name__)


class Readiness:
    """Holds the served model while there is one, and the reason while there is none."""

    def __init__(
        self,
        segmenter: Segmenter,
        *,
        interval_s: float,
        on_model: Callable[[ServedModel], None],
        telemetry: Telemetry,
    ) -> None:
        self._segmenter = segmenter
        self._interval_s = interval_s
        self._on_model = on_model
        self._telemetry = telemetry
        self._model: ServedModel | None = None
        self._reason = "Triton has not been asked yet: try again in a moment"
        self._check_now = asyncio.Event()
        self._clock = asyncio.get_running_loop().time
        self._answered = -ANSWER_COUNTS_S  # when the last batch was answered

    def model(self) -> ServedModel:
        """Return what is known about the served model.

        Raises: NotReadyError with the reason.
        """
        if self._model is None:
            raise NotReadyError(self._reason)
        return self._model

    async def infer(self, canvases: np.ndarray) -> Segmentation:
        """Do what `Segmenter.infer` does, and check at once after it found Triton away."""
        try:
            segmentation = await self._segmenter.infer(canvases)
        except SegmenterAwayError:
            self._check_now.set()
            raise
        self._answered = self._clock()
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
            try:
                await asyncio.wait_for(self._check_now.wait(), wait_s)
            except TimeoutError:
                continue

    async def check(self) -> bool:
        """Ask Triton for the model once; return whether it serves one that fits."""
        try:
            model = await self._segmenter.read_model()
        except ProxyError as error:
            maybe_one_of_several = isinstance(error, SegmenterAwayError | SegmenterSlowError)
            if not (maybe_one_of_several and self._clock() - self._answered < ANSWER_COUNTS_S):
                self._lose(error)
            return False
        if model != self._model:
            log.info("ready", model=model.name, version=model.version, commit=model.commit, dirty=model.dirty)
        self._model = model
        self._telemetry.ready.set(1)
        self._on_model(model)
        return True

    def _lose(self, error: ProxyError) -> None:
        if self._model is not None or str(error) != self._reason:
            log.warning("not_ready", reason=str(error))
        self._model = None
        self._telemetry.ready.set(0)
        self._reason = str(error)
