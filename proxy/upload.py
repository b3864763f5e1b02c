"""Request body → the bytes of one image file, counted while they arrive.

Three caps are independent: bytes (here), pixels (`decoding`) and uploads at once (`Anteroom`); together they bound what
a flood of uploads can hold in memory: QUEUE_LIMIT × (MAX_UPLOAD_BYTES + MAX_PIXELS), and for each of the DECODE_THREADS
what Pillow and numpy need to decode one image, up to some 20 bytes a pixel. The body is read once, as it is: a
compressed one is refused, not inflated.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

from aiohttp import BodyPartReader, MultipartReader, web
from aiohttp.http_exceptions import HttpProcessingError

from proxy.errors import (
    EmptyUploadError,
    MalformedUploadError,
    QueueFullError,
    UnsupportedUploadError,
    UploadTooLargeError,
    WrongFieldError,
)

FIELD = "image"
IMAGE_TYPES = ("image/jpeg", "image/png")
FORM_TYPE = "multipart/form-data"
FORM_OVERHEAD_BYTES = 4096  # boundaries and part headers around one file


class Anteroom:
    """Holds the uploads that are being read and decoded, and turns away who finds it full."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._inside = 0

    @contextmanager
    def enter(self) -> Iterator[None]:
        """Take a place while the body runs.

        Raises: QueueFullError.
        """
        if self._inside >= self._limit:
            raise QueueFullError(f"{self._limit} uploads are being read already: try again in a moment")
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1


async def read_upload(request: web.Request, *, max_bytes: int) -> bytes:
    """Return the image file in a form's field `image` or in the body itself.

    Raises: EmptyUploadError, MalformedUploadError, UploadTooLargeError, UnsupportedUploadError, WrongFieldError.
    """
    _refuse_by_headers(request, max_bytes)
    try:
        if request.content_type == FORM_TYPE:
            data = await _read_form(await request.multipart(), max_bytes)
        else:
            data = await _gather(request.content.iter_any(), max_bytes)
    except (web.RequestPayloadError, HttpProcessingError, ValueError, AssertionError) as error:
        # aiohttp's multipart reader tells of broken bodies by any of these, and may quote a long line of them
        raise MalformedUploadError(f"the body is malformed ({error!s:.200}): send the image again, whole") from None
    if not data:
        raise EmptyUploadError("the image file is empty: send a JPEG or PNG image")
    return data


def _refuse_by_headers(request: web.Request, max_bytes: int) -> None:
    if not request.can_read_body:
        raise EmptyUploadError(f"the request has no body: send a JPEG or PNG image, or a form with the field {FIELD!r}")
    if request.content_type not in (FORM_TYPE, *IMAGE_TYPES):
        found = request.headers.get("Content-Type", "missing")
        raise UnsupportedUploadError(f"Content-Type is {found}: send {FORM_TYPE}, {' or '.join(IMAGE_TYPES)}")
    if "Content-Encoding" in request.headers:
        raise UnsupportedUploadError("the body has a Content-Encoding: send the image file as it is")
    allowed = max_bytes + (FORM_OVERHEAD_BYTES if request.content_type == FORM_TYPE else 0)
    if request.content_length is not None and request.content_length > allowed:
        raise _too_large(max_bytes)


async def _read_form(form: MultipartReader, max_bytes: int) -> bytes:
    data = None
    async for part in form:
        if not isinstance(part, BodyPartReader) or part.name != FIELD:
            name = part.name if isinstance(part, BodyPartReader) else None
            raise WrongFieldError(
                f"the form has a field {name!r}: send one file in the field {FIELD!r} and nothing else"
            )
        if data is not None:
            raise WrongFieldError(f"the form has two fields {FIELD!r}: send one image a request")
        data = await _gather(_chunks(part), max_bytes)
    if data is None:
        raise WrongFieldError(f"the form has no field: send one file in the field {FIELD!r}")
    return data


async def _chunks(part: BodyPartReader) -> AsyncIterator[bytes]:
    while chunk := await part.read_chunk(65536):
        yield chunk


async def _gather(chunks: AsyncIterator[bytes], max_bytes: int) -> bytes:
    """Join the chunks, but never hold more than one chunk above the limit."""
    kept, size = [], 0
    async for chunk in chunks:
        size += len(chunk)
        if size > max_bytes:
            raise _too_large(max_bytes)
        kept.append(chunk)
    return b"".join(kept)


def _too_large(max_bytes: int) -> UploadTooLargeError:
    return UploadTooLargeError(f"the image file has more than {max_bytes} bytes: send a smaller one")
