"""Request body → the bytes of one image file, counted and timed while they arrive.

Independent limits bound what a flood of uploads can take: bytes of one (here), of all together (`upload_memory`),
pixels (`decoding`), and how long a client may take for them. The body is read once and as it is: a compressed one is
refused, not inflated.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from aiohttp import BodyPartReader, HttpVersion11, MultipartReader, StreamReader, web
from aiohttp.http_exceptions import HttpProcessingError

from proxy.errors import (
    EmptyUploadError,
    MalformedUploadError,
    UnsupportedUploadError,
    UploadTooLargeError,
    UploadTooSlowError,
    WrongFieldError,
)
from proxy.upload_memory import Held

FIELD = "image"
IMAGE_TYPES = ("image/jpeg", "image/png")
FORM_TYPE = "multipart/form-data"
FORM_OVERHEAD_BYTES = 4096  # boundaries and part headers around one file
CHUNK_BYTES = 65536  # as much as aiohttp's own buffer
LOOK_BYTES = 2**17  # a size that is not told by then is told by the whole file: a thumbnail before it has up to 64 kB
BROKEN_HTTP: tuple[type[Exception], ...] = (web.RequestPayloadError, HttpProcessingError)


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How fast an upload must come.

    Attributes:
        deadline: when all of it must be there, by the event loop's clock, in seconds.
        grace_s: seconds in which nothing need come.
        byte_rate: bytes a second after that, on average.
    """

    deadline: float
    grace_s: float
    byte_rate: float


async def read_upload(
    request: web.Request, *, max_bytes: int, held: Held, pace: Pace, look: Callable[[bytes], bool]
) -> bytes:
    """Return the image file in a form's field `image` or in the body itself.

    look: is given the file's first bytes, more each time, until it returns True; what it raises refuses the upload
    before the rest is read.

    Raises: EmptyUploadError, MalformedUploadError, QueueFullError, UploadTooLargeError, UploadTooSlowError,
    UnsupportedUploadError, WrongFieldError.
    """
    _refuse_by_headers(request, max_bytes)
    await _invite(request)
    started = asyncio.get_running_loop().time()
    try:
        async with asyncio.timeout_at(min(pace.deadline, started + pace.grace_s)) as timer:
            file = _File(
                max_bytes,
                held,
                look,
                lambda size: timer.reschedule(min(pace.deadline, started + pace.grace_s + size / pace.byte_rate)),
            )
            data = await _read(request, file)
    except TimeoutError:
        raise UploadTooSlowError(
            f"the upload did not finish before the deadline, or came with less than {pace.byte_rate:g} bytes a second: "
            "send it faster, or send a smaller image"
        ) from None
    if not data:
        raise EmptyUploadError("the image file is empty: send a JPEG or PNG image")
    return data


class _File:
    """The bytes of one file as they come."""

    def __init__(
        self, max_bytes: int, held: Held, look: Callable[[bytes], bool], progress: Callable[[int], None]
    ) -> None:
        self._max_bytes = max_bytes
        self._held = held
        self._look = look
        self._progress = progress
        self._chunks: list[bytes] = []
        self._size = 0
        self._next_look = 1  # doubled each time: a client may send byte by byte

    async def join(self, chunks: AsyncIterator[bytes]) -> bytes:
        """Join the chunks, and hold at most one chunk more than the limit.

        Raises: UploadTooLargeError, QueueFullError, and what `look` raises.
        """
        async for chunk in chunks:
            self._size += len(chunk)
            if self._size > self._max_bytes:
                raise _too_large(self._max_bytes)
            self._held.grow(len(chunk))
            self._chunks.append(chunk)
            if self._next_look <= self._size:
                seen = self._look(chunk if self._size == len(chunk) else b"".join(self._chunks))
                self._next_look = sys.maxsize if seen or self._size > LOOK_BYTES else 2 * self._size
            self._progress(self._size)
        return self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)


async def _read(request: web.Request, file: _File) -> bytes:
    if request.content_type != FORM_TYPE:
        return await file.join(_chunks_of_body(request.content))
    with _malformed(ValueError):  # no boundary, or one that is too long
        form = await request.multipart()
    return await _read_form(form, file)


async def _invite(request: web.Request) -> None:
    """Tell a client that waits for it to send its body."""
    if "Expect" in request.headers and request.version >= HttpVersion11:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # of the answer itself


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


async def _read_form(form: MultipartReader, file: _File) -> bytes:
    data = None
    while (part := await _next_part(form)) is not None:
        if not isinstance(part, BodyPartReader) or part.name != FIELD:
            name = part.name if isinstance(part, BodyPartReader) else None
            raise WrongFieldError(
                f"the form has a field {name!r}: send one file in the field {FIELD!r} and nothing else"
            )
        if data is not None:
            raise WrongFieldError(f"the form has two fields {FIELD!r}: send one image a request")
        data = await file.join(_chunks_of_part(part))
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


def _too_large(max_bytes: int) -> UploadTooLargeError:
    return UploadTooLargeError(f"the image file has more than {max_bytes} bytes: send a smaller one")
