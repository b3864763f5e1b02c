"""Request body → the bytes of one image file, counted while they arrive.

Three independent limits bound the memory that a flood of uploads can take: bytes (here), pixels (`decoding`) and
uploads at once (`UploadPlaces`). Together they allow QUEUE_LIMIT × (MAX_UPLOAD_BYTES + MAX_PIXELS), and for each of the
DECODE_THREADS what Pillow and numpy need to decode one image, up to about 20 bytes a pixel. The body is read once and
as it is: a compressed one is refused, not inflated.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

from aiohttp import BodyPartReader, MultipartReader, StreamReader, web
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
CHUNK_BYTES = 65536  # as much as aiohttp's own buffer
BROKEN_HTTP: tuple[type[Exception], ...] = (web.RequestPayloadError, HttpProcessingError)


class UploadPlaces:
    """Counts the uploads that are being read and decoded, and refuses one more than the limit."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._taken = 0

    @contextmanager
    def take(self) -> Iterator[None]:
        """Take a place until the end of the `with` block.

        Raises: QueueFullError.
        """
        if self._taken >= self._limit:
            raise QueueFullError(f"{self._limit} uploads are being read already: try again in a moment")
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1


async def read_upload(request: web.Request, *, max_bytes: int) -> bytes:
    """Return the image file in a form's field `image` or in the body itself.

    Raises: EmptyUploadError, MalformedUploadError, UploadTooLargeError, UnsupportedUploadError, WrongFieldError.
    """
    _refuse_by_headers(request, max_bytes)
    if request.content_type == FORM_TYPE:
        with _malformed(ValueError):  # no boundary, or one that is too long
            form = await request.multipart()
        data = await _read_form(form, max_bytes)
    else:
        data = await _join(_chunks_of_body(request.content), max_bytes)
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
        raise UnsupportedUploadError("the body has a Content-Encoding: send the image file without compression")
    allowed = max_bytes + (FORM_OVERHEAD_BYTES if request.content_type == FORM_TYPE else 0)
    if request.content_length is not None and request.content_length > allowed:
        raise _too_large(max_bytes)


async def _read_form(form: MultipartReader, max_bytes: int) -> bytes:
    data = None
    while (part := await _next_part(form)) is not None:
        if not isinstance(part, BodyPartReader) or part.name != FIELD:
            name = part.name if isinstance(part, BodyPartReader) else None
            raise WrongFieldError(
                f"the form has a field {name!r}: send one file in the field {FIELD!r} and nothing else"
            )
        if data is not None:
            raise WrongFieldError(f"the form has two fields {FIELD!r}: send one image a request")
        data = await _join(_chunks_of_part(part), max_bytes)
    if data is None:
        raise WrongFieldError(f"the form has no field: send one file in the field {FIELD!r}")
    return data


async def _next_part(form: MultipartReader) -> MultipartReader | BodyPartReader | None:
    # The last two: a form that begins with a field `_charset_`, where aiohttp reads 32 bytes and may miss the boundary.
    with _malformed(ValueError, RuntimeError, AssertionError):
        return await form.next()


async def _chunks_of_part(part: BodyPartReader) -> AsyncIterator[bytes]:
    while True:
        with _malformed(ValueError):  # the body ends before the boundary
            chunk = await part.read_chunk(CHUNK_BYTES)
        if not chunk:
            return
        yield chunk


async def _chunks_of_body(content: StreamReader) -> AsyncIterator[bytes]:
    while True:
        with _malformed():
            chunk = await content.readany()
        if not chunk:
            return
        yield chunk


@contextmanager
def _malformed(*raised: type[Exception]) -> Iterator[None]:
    """Translate what aiohttp raises for a body that breaks the rules of HTTP, and `raised`, those of multipart.

    The block holds one call of aiohttp and nothing else, so that no mistake of ours is called the client's.
    """
    try:
        yield
    except (*BROKEN_HTTP, *raised) as error:
        # aiohttp may quote a long line of the body
        raise MalformedUploadError(f"the body is malformed ({error!s:.200}): send the whole image again") from None


async def _join(chunks: AsyncIterator[bytes], max_bytes: int) -> bytes:
    """Join the chunks, and hold at most one chunk more than the limit.

    Raises: UploadTooLargeError.
    """
    kept, size = [], 0
    async for chunk in chunks:
        size += len(chunk)
        if size > max_bytes:
            raise _too_large(max_bytes)
        kept.append(chunk)
    return b"".join(kept)


def _too_large(max_bytes: int) -> UploadTooLargeError:
    return UploadTooLargeError(f"the image file has more than {max_bytes} bytes: send a smaller one")
