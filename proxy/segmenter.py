"""The one boundary to Triton: asks the served model, and translates every failure of the client library once.

It sends what it has built itself: uint8 canvases of one shape, as a body of known length, without compression. It
knows nothing of uploads, queues or answers.
"""

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import aiohttp
import numpy as np
from tritonclient.http import InferInput, InferRequestedOutput
from tritonclient.http.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException

from proxy.contract import INPUT, OUTPUTS, ModelContract, check_contract
from proxy.errors import ContractError, ProxyError, SegmenterAnswerError, SegmenterAwayError, SegmenterSlowError

REQUESTED = [InferRequestedOutput(name, binary_data=True) for name in OUTPUTS]
BYTES_AT_ONCE = 2**20  # aiohttp warns of more
UNCOMPRESSED = {"Accept-Encoding": "identity"}  # aiohttp asks for gzip, and Triton spends 4 ms a tile on it
CLOSED_AFTER = {"Connection": "close"}
AWAY_STATUSES = ("404", "503")  # Triton does not serve the model, or is starting or stopping


class Segmentation(NamedTuple):
    """What the network says of each pixel.

    Shapes: both (N, 1, H, W) uint8 for a batch and (1, H, W) for one tile. `probability` is P(defect) · 255,
    `defect_type` counts the types from 1.
    """

    probability: np.ndarray
    defect_type: np.ndarray


class _Client(InferenceServerClient):  # type: ignore[misc]  # the library has no types
    async def _post(self, request_uri: str, request_body: Any, headers: Any, query_params: Any) -> Any:
        """Send a large body as a file: aiohttp warns of it as bytes, and writes a file in pieces."""
        body = request_body if len(request_body) <= BYTES_AT_ONCE else io.BytesIO(request_body)
        return await super()._post(request_uri, body, headers, query_params)


class Segmenter:
    """Asks one model at one address, where one Triton listens, or, without `keep_connections`, any of several.

    Make it inside a running event loop; close it there.
    """

    def __init__(self, *, url: str, model_name: str, timeout_s: float, keep_connections: bool = True) -> None:
        self._url = url
        self._model_name = model_name
        self._timeout_s = timeout_s
        self._headers = UNCOMPRESSED | ({} if keep_connections else CLOSED_AFTER)
        # the batcher bounds the connections, `_translated` the time
        self._client = _Client(url, conn_limit=0, conn_timeout=None)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def read_contract(self) -> ModelContract:
        """Ask what Triton serves.

        Raises: SegmenterAwayError, SegmenterSlowError, SegmenterAnswerError, ContractError.
        """
        async with self._translated(refusal=SegmenterAwayError):
            # Triton refuses the first while no version is loaded; `is_model_ready` would leave its answer unread
            metadata = await self._client.get_model_metadata(self._model_name, headers=self._headers)
            config = await self._client.get_model_config(self._model_name, headers=self._headers)
            return check_contract(metadata, config)

    async def infer(self, canvases: np.ndarray) -> Segmentation:
        """Segment a batch.

        Shapes: canvases (N, 1, H, W) uint8, H and W multiples of 32.
        Raises: SegmenterAwayError, SegmenterSlowError, SegmenterAnswerError.
        """
        image = InferInput(INPUT, list(canvases.shape), "UINT8").set_data_from_numpy(canvases, binary_data=True)
        async with self._translated(refusal=SegmenterAnswerError):
            result = await self._client.infer(self._model_name, [image], outputs=REQUESTED, headers=self._headers)
            probability, defect_type = (result.as_numpy(name) for name in OUTPUTS)
        for name, tensor in zip(OUTPUTS, (probability, defect_type), strict=True):
            _require_like(canvases, name, tensor)
        return Segmentation(probability, defect_type)

    @asynccontextmanager
    async def _translated(self, *, refusal: type[ProxyError]) -> AsyncIterator[None]:
        """Bound the time, and turn what tritonclient and the aiohttp under it raise into our errors.

        `refusal` is what an error status means here, other than those that say that the model is away.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                yield
        except TimeoutError:
            raise SegmenterSlowError(f"Triton at {self._url} did not answer within {self._timeout_s:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise SegmenterAwayError(f"Triton at {self._url} cannot be reached ({error})") from None
        except InferenceServerException as error:
            kind = SegmenterAwayError if error.status() in AWAY_STATUSES else refusal
            raise kind(f"Triton at {self._url} answered {error.status()}: {error.message()}") from None
        except ContractError as error:
            raise ContractError(f"Triton at {self._url}, model {self._model_name!r}: {error}") from None
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            # the client library checks nothing of an answer: it trips over what is missing
            raise SegmenterAnswerError(f"Triton at {self._url} answered what cannot be read ({error!r})") from None


def _require_like(canvases: np.ndarray, name: str, tensor: np.ndarray | None) -> None:
    if tensor is None or tensor.dtype != np.uint8 or tensor.shape != canvases.shape:
        found = "nothing" if tensor is None else f"{tensor.dtype} {list(tensor.shape)}"
        raise SegmenterAnswerError(f"Triton's output {name!r} is {found}: uint8 {list(canvases.shape)} is needed")
