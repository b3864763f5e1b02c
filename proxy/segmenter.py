"""The boundary to Triton: asks the served model, and translates each failure of the client library.

It sends only what it has built itself: uint8 canvases of one shape, as an uncompressed body of known length. It knows
nothing of uploads, queues or answers.
"""

import asyncio
import gzip
import io
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, NamedTuple

import aiohttp
import numpy as np
from tritonclient.http import InferInput, InferRequestedOutput
from tritonclient.http.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException

from proxy.errors import ProxyError, SegmenterAnswerError, SegmenterAwayError, SegmenterSlowError, WrongModelError
from proxy.served_model import INPUT, OUTPUTS, ServedModel, read_served_model

REQUESTED = [InferRequestedOutput(name, binary_data=True) for name in OUTPUTS]
BYTES_AT_ONCE = 2**20  # aiohttp warns of a larger body
UNCOMPRESSED = {"Accept-Encoding": "identity"}  # aiohttp asks for gzip, on which Triton spends 4 ms an image
CLOSED_AFTER = {"Connection": "close"}
AWAY_STATUSES = ("404", "503")  # Triton does not serve the model, or is starting or stopping
BAD_COMPRESSION = (zlib.error, EOFError, gzip.BadGzipFile)


class Segmentation(NamedTuple):
    """The network's output for each pixel.

    Shapes: both (N, 1, H, W) uint8 for a batch and (1, H, W) for one image. `probability` is P(defect) · 255,
    `defect_type` numbers the defect types from 1.
    """

    probability: np.ndarray
    defect_type: np.ndarray


class _Client(InferenceServerClient):  # type: ignore[misc]  # the library has no types
    async def _post(self, request_uri: str, request_body: Any, headers: Any, query_params: Any) -> Any:
        """Send a large body as a file: aiohttp warns of large bytes, and writes a file in pieces."""
        body = request_body if len(request_body) <= BYTES_AT_ONCE else io.BytesIO(request_body)
        return await super()._post(request_uri, body, headers, query_params)


class Segmenter:
    """Asks one model at one address; without `keep_connections` several Tritons may share that address.

    Make it inside a running event loop; close it there.
    """

    def __init__(self, *, url: str, model_name: str, timeout_s: float, keep_connections: bool = True) -> None:
        self._url = url
        self._model_name = model_name
        self._timeout_s = timeout_s
        self._headers = UNCOMPRESSED | ({} if keep_connections else CLOSED_AFTER)
        # the batcher limits the connections, `_asking` the time
        self._client = _Client(url, conn_limit=0, conn_timeout=None)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def read_model(self) -> ServedModel:
        """Ask which model Triton serves.

        Raises: SegmenterAwayError, SegmenterSlowError, SegmenterAnswerError, WrongModelError.
        """
        async with self._asking(refusal=SegmenterAwayError):
            # Triton refuses the first while no version is loaded; `is_model_ready` would leave its answer unread.
            with self._decoding(ValueError):  # no JSON
                metadata = await self._client.get_model_metadata(self._model_name, headers=self._headers)
                config = await self._client.get_model_config(self._model_name, headers=self._headers)
        try:
            return read_served_model(metadata, config)
        except WrongModelError as error:
            raise WrongModelError(f"Triton at {self._url} serves another {self._model_name!r}: {error}") from None

    async def infer(self, canvases: np.ndarray) -> Segmentation:
        """Segment a batch.

        Shapes: canvases (N, 1, H, W) uint8, H and W multiples of 32.
        Raises: SegmenterAwayError, SegmenterSlowError, SegmenterAnswerError.
        """
        image = InferInput(INPUT, list(canvases.shape), "UINT8").set_data_from_numpy(canvases, binary_data=True)
        async with self._asking(refusal=SegmenterAnswerError):
            # no JSON, an object without `outputs`, JSON that is no object, compressed although we asked for `identity`
            with self._decoding(ValueError, KeyError, TypeError, *BAD_COMPRESSION):
                result = await self._client.infer(self._model_name, [image], outputs=REQUESTED, headers=self._headers)
        # too few bytes, a field that is missing, a field of another type, JSON that is no object
        with self._decoding(ValueError, KeyError, TypeError, AttributeError):
            probability, defect_type = (result.as_numpy(name) for name in OUTPUTS)
        for name, tensor in zip(OUTPUTS, (probability, defect_type), strict=True):
            _require_like(canvases, name, tensor)
        return Segmentation(probability, defect_type)

    @asynccontextmanager
    async def _asking(self, *, refusal: type[ProxyError]) -> AsyncIterator[None]:
        """Limit the time, and translate what the connection and Triton's error statuses raise.

        `refusal` is the meaning of an error status, except of those that say that the model is away.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                yield
        except TimeoutError:
            raise SegmenterSlowError(f"Triton at {self._url} did not answer within {self._timeout_s:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise SegmenterAwayError(f"Triton at {self._url} cannot be reached ({error})") from None
        except InferenceServerException as error:
            meaning = SegmenterAwayError if error.status() in AWAY_STATUSES else refusal
            raise meaning(f"Triton at {self._url} answered {error.status()}: {error.message()}") from None

    @contextmanager
    def _decoding(self, *raised: type[Exception]) -> Iterator[None]:
        """Translate what tritonclient raises for an answer that it cannot decode: it checks nothing itself.

        The block holds calls of tritonclient alone, so that no mistake of ours is called Triton's.
        """
        try:
            yield
        except raised as error:
            raise SegmenterAnswerError(f"Triton's answer at {self._url} cannot be decoded ({error!r})") from None


def _require_like(canvases: np.ndarray, name: str, tensor: np.ndarray | None) -> None:
    if tensor is None or tensor.dtype != np.uint8 or tensor.shape != canvases.shape:
        found = "missing" if tensor is None else f"{tensor.dtype} {list(tensor.shape)}"
        raise SegmenterAnswerError(f"Triton's output {name!r} is {found}, but must be uint8 {list(canvases.shape)}")
