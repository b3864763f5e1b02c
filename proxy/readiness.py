"""Whether the model can be asked: a look at Triton every few seconds, and at once after a request found it away.

Behind the one address there may be several Tritons. That one of them is away is no reason to refuse what the others
answer: only a look decides, and not against a batch that was just answered.
"""

import asyncio
import logging
from collections.abc import Callable

import numpy as np

from proxy.contract import ModelContract
from proxy.errors import NotReadyError, ProxyError, SegmenterAwayError, SegmenterSlowError
from proxy.segmenter import Segmentation, Segmenter
from proxy.telemetry import Telemetry, event

FIRST_RETRY_S = 0.1  # doubled after each look that fails, up to the interval
WITNESS_S = 1.0  # an answered batch tells for so long that some Triton is there, whatever a look meets
log = logging.getLogger(__name__)


class Readiness:
    """Holds the contract while there is one, and the reason while there is none."""

    def __init__(
        self,
        segmenter: Segmenter,
        *,
        interval_s: float,
        on_contract: Callable[[ModelContract], None],
        telemetry: Telemetry,
    ) -> None:
        self._segmenter = segmenter
        self._interval_s = interval_s
        self._on_contract = on_contract
        self._telemetry = telemetry
        self._contract: ModelContract | None = None
        self._reason = "Triton has not been asked yet"
        self._look_now = asyncio.Event()
        self._clock = asyncio.get_running_loop().time
        self._answered = -WITNESS_S  # when the last batch was

    def contract(self) -> ModelContract:
        """Return what is known of the served model.

        Raises: NotReadyError with the reason.
        """
        if self._contract is None:
            raise NotReadyError(self._reason)
        return self._contract

    async def infer(self, canvases: np.ndarray) -> Segmentation:
        """Do what `Segmenter.infer` does, and look again at once after it found Triton away."""
        try:
            segmentation = await self._segmenter.infer(canvases)
        except SegmenterAwayError:
            self._look_now.set()
            raise
        self._answered = self._clock()
        return segmentation

    async def watch(self) -> None:
        """Look at the model for ever: often while it is missing, then every `interval_s`."""
        retry_s = FIRST_RETRY_S
        while True:
            self._look_now.clear()
            found = await self.look()
            retry_s = FIRST_RETRY_S if found else min(2 * retry_s, self._interval_s)
            wait_s = self._interval_s if found else retry_s
            try:
                await asyncio.wait_for(self._look_now.wait(), wait_s)
            except TimeoutError:
                continue

    async def look(self) -> bool:
        """Ask Triton for the contract once; tell whether it gave one."""
        try:
            contract = await self._segmenter.read_contract()
        except ProxyError as error:
            one_of_several = isinstance(error, SegmenterAwayError | SegmenterSlowError)
            if not (one_of_several and self._clock() - self._answered < WITNESS_S):
                self._lose(error)
            return False
        if contract != self._contract:
            log.info(event("ready", model=contract.name, version=contract.version, commit=contract.commit))
        self._contract = contract
        self._telemetry.ready.set(1)
        self._on_contract(contract)
        return True

    def _lose(self, error: ProxyError) -> None:
        if self._contract is not None or str(error) != self._reason:
            log.warning(event("not_ready", reason=error))
        self._contract = None
        self._telemetry.ready.set(0)
        self._reason = str(error)
