"""The boundary to Triton: asks the served model, proves its answers, and translates each failure of the client library.

It sends only what it has built itself: uint8 canvases of one shape, as an uncompressed body of known length. It knows
nothing of uploads, queues or answers to clients.
"""

import asyncio
import contextlib
import io
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from urllib.parse import quote

import aiohttp
import numpy as np
from tritonclient.http.aio import InferenceServerClient, _raise_if_error
from tritonclient.utils import InferenceServerException

from proxy.addresses import Addresses
from proxy.binary_tensors import HEADER_LENGTH, Tensors, request_header
from proxy.contract import Contract, read_contract
from proxy.errors import (
    MismatchedAnswerError,
    ProxyError,
    SegmenterAnswerError,
    SegmenterAwayError,
    SegmenterSlowError,
    WrongModelError,
)
from proxy.proof import Mismatch, prove
from proxy.segmentation import Segmentation
from tiles.golden import deviation, golden_canvas

BYTES_AT_ONCE = 2**20  # aiohttp warns of a larger body
UNCOMPRESSED = {"Accept-Encoding": "identity"}  # aiohttp asks for gzip, on which Triton spends 4 ms an image
AWAY_STATUSES = ("404", "503")  # Triton does not serve the model, or is starting or stopping
# What Triton 24.10 says of a stub that was late, and of one whose answers are shifted: they may be other requests'.
UNHEALTHY = re.compile("is not healthy|health mutex|failed to reserve")
END_SERVER = "end_server"  # a parameter of an inference request, which our backend knows and no other one reads
END_S = 2.0  # that Triton may take to end; if it does not, readiness tells
GOLDEN = golden_canvas()[np.newaxis]  # (1, 1, H, W)
SMALLEST = np.zeros((1, 1, 32, 32), np.uint8)


class _Client(InferenceServerClient):  # type: ignore[misc]  # the library has no types
    async def segment(
        self, model_name: str, canvases: np.ndarray, parameters: Mapping[str, str] | None = None
    ) -> tuple[bytes, str]:
        """Return the answer's body, and what it says of its header's length."""
        header = request_header(canvases, parameters)
        headers = {**UNCOMPRESSED, HEADER_LENGTH: str(len(header))}
        body = b"".join((header, canvases.data))
        response = await self._post(f"v2/models/{quote(model_name)}/infer", body, headers, None)
        await _raise_if_error(response)
        return await response.read(), response.headers.get(HEADER_LENGTH, "")

    async def _post(self, request_uri: str, request_body: Any, headers: Any, query_params: Any) -> Any:
        """Send a large body as a file: aiohttp warns of large bytes, and writes a file in pieces."""
        body = request_body if len(request_body) <= BYTES_AT_ONCE else io.BytesIO(request_body)
        return await super()._post(request_uri, body, headers, query_params)


class Segmenter:
    """Asks one model at one address; without `keep_connections` several Tritons may share that address.

    A Triton that gives an answer of another request is told to end. Whatever else was in flight at its address is then
    given up, too.

    Make it inside a running event loop; close it there.

    Attributes:
        timeout_s: seconds that Triton may take for a batch.
    """

    def __init__(self, *, url: str, model_name: str, timeout_s: float, keep_connections: bool = True) -> None:
        self._url = url
        self._model_name = model_name
        self.timeout_s = timeout_s
        self._keep_connections = keep_connections
        # the batcher limits the connections, `_asking` the time
        self._kept = _Client(url, conn_limit=0, conn_timeout=None)
        self._addresses = Addresses(url)
        self._mismatches = 0

    async def close(self) -> None:
        """Close the connections."""
        await self._kept.close()

    @asynccontextmanager
    async def _line(self, timeout_s: float) -> AsyncIterator[_Client]:
        """Yield a client all of whose requests reach the same Triton.

        With several Tritons it has a connection of its own, which a balancer gives to one of them.
        """
        if self._keep_connections:
            yield self._kept
            return
        async with self._asking(timeout_s, refusal=SegmenterAwayError):
            address = await self._addresses.pick()
        client = _Client(address, conn_limit=1, conn_timeout=None)
        try:
            yield client
        finally:
            await client.close()

    async def check(self, *, timeout_s: float, tolerance: float) -> Contract:
        """Ask which model Triton serves, and whether it answers the golden image rightly.

        Raises: SegmenterAwayError, SegmenterSlowError, SegmenterAnswerError, MismatchedAnswerError, WrongModelError.
        """
        async with self._line(timeout_s) as client:
            async with self._asking(timeout_s, refusal=SegmenterAwayError):
                # Triton refuses the first while no version is loaded; `is_model_ready` would leave its answer unread.
                with self._decoding():
                    metadata = await client.get_model_metadata(self._model_name, headers=dict(UNCOMPRESSED))
                    config = await client.get_model_config(self._model_name, headers=dict(UNCOMPRESSED))
            try:
                contract = read_contract(metadata, config)
                answer = await self._infer(client, GOLDEN, timeout_s)
                _require_golden(contract, answer, tolerance)
            except WrongModelError as error:
                raise WrongModelError(
                    f"Triton at {self._url} serves a {self._model_name!r} that does not fit this proxy: {error}"
                ) from None
        return contract

    async def infer(self, canvases: np.ndarray) -> Segmentation:
        """Segment a batch.

        Shapes: canvases (N, 1, H, W) uint8, H and W multiples of 32.
        Raises: SegmenterAwayError, SegmenterSlowError, SegmenterAnswerError, MismatchedAnswerError, WrongModelError.
        """
        async with self._line(self.timeout_s) as client:
            return await self._infer(client, canvases, self.timeout_s)

    async def _infer(self, client: _Client, canvases: np.ndarray, timeout_s: float) -> Segmentation:
        """Have a batch segmented and its answer proven; end the Triton whose answer is another one's."""
        mismatches = self._mismatches
        try:
            segmentation = await self._ask(client, canvases, timeout_s)
        except Mismatch as mismatch:
            self._mismatches += 1
            await self._end_server(client, str(mismatch))
            raise MismatchedAnswerError(
                f"Triton at {self._url} gave an answer that belongs to another request or was damaged: {mismatch}; it "
                "is ended, so try again in a few seconds"
            ) from None
        if mismatches != self._mismatches:
            raise SegmenterAwayError(
                f"Triton at {self._url} was ended, because it gave the answer of another request: try again in a moment"
            )
        return segmentation

    async def _ask(self, client: _Client, canvases: np.ndarray, timeout_s: float) -> Segmentation:
        async with self._asking(timeout_s, refusal=SegmenterAnswerError):
            try:
                body, header_length = await client.segment(self._model_name, canvases)
            except InferenceServerException as error:
                if UNHEALTHY.search(error.message() or ""):
                    raise Mismatch(error.message()) from None
                raise
        with self._decoding():
            tensors, version = Tensors.read(body, header_length)
        model = prove(canvases, tensors, self._model_name, version)
        return Segmentation(tensors["probability"], tensors["type"], tensors["novelty"], model)

    async def _end_server(self, client: _Client, reason: str) -> None:
        """Have our backend end the Triton behind this client; another backend takes it for an ordinary request."""
        with contextlib.suppress(ProxyError):
            async with self._asking(END_S, refusal=SegmenterAnswerError):
                await client.segment(self._model_name, SMALLEST, {END_SERVER: reason})

    @asynccontextmanager
    async def _asking(self, timeout_s: float, *, refusal: type[ProxyError]) -> AsyncIterator[None]:
        """Limit the time, and translate what the connection and Triton's error statuses raise.

        `refusal` is the meaning of an error status, except of those that say that the model is away.
        """
        try:
            async with asyncio.timeout(timeout_s):
                yield
        except TimeoutError:
            raise SegmenterSlowError(
                f"Triton at {self._url} did not answer within {timeout_s:g} s: try again when the service is less busy"
            ) from None
        except (aiohttp.ClientError, OSError) as error:
            raise SegmenterAwayError(
                f"Triton at {self._url} cannot be reached ({error}): try again in a moment"
            ) from None
        except InferenceServerException as error:
            meaning = SegmenterAwayError if error.status() in AWAY_STATUSES else refusal
            raise meaning(
                f"Triton at {self._url} answered {error.status()}: {error.message()}; try again in a moment, or read "
                "Triton's log"
            ) from None

    @contextmanager
    def _decoding(self) -> Iterator[None]:
        """Translate what is raised for an answer that cannot be decoded."""
        try:
            yield
        except aiohttp.ClientError:  # some are ValueErrors, too
            raise
        except ValueError as error:
            raise SegmenterAnswerError(
                f"Triton's answer at {self._url} cannot be decoded ({error!r}): read Triton's log"
            ) from None


def _require_golden(contract: Contract, answer: Segmentation, tolerance: float) -> None:
    """Compare what a model says of itself and of the golden image with what its configuration says.

    Raises: WrongModelError.
    """
    if answer.model != contract.model:
        raise WrongModelError(
            f"its config.pbtxt describes {contract.model}, but its graph {answer.model}: publish both together"
        )
    differs = deviation(answer.probability[0], contract.golden)
    if differs > tolerance:
        raise WrongModelError(
            f"its answer to the golden image differs by {differs:.0f} grey levels, at most {tolerance:g} are allowed: "
            "the model's file is damaged, or its processor computes less exactly; publish the model again, or raise "
            "GOLDEN_TOLERANCE"
        )
