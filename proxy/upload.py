"""Request body → the bytes of image files, counted and timed while they arrive.

Independent limits bound what a flood of uploads can take: bytes of one (here), of all together (`upload_memory`),
pixels (`decoding`), and how long a client may take for them (`pace`). The body is read once and as it is: a compressed
one is refused, not inflated.
"""

import sys
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

from aiohttp import HttpVersion11, StreamReader, web

from proxy.errors import EmptyUploadError, UnsupportedUploadError, UploadTooLargeError, WrongFieldError
from proxy.forms import FORM_TYPE, IMAGE, NO_CODING, PART, fields, malformed, read_part
from proxy.pace import Pace, Progress, at_pace
from proxy.upload_memory import Held

IMAGE_TYPES = ("image/jpeg", "image/png", "image/tiff", "image/bmp")
OTHER_NAMES = ("image/jpg", "image/pjpeg", "image/x-png", "image/tif", "image/x-tiff", "image/x-bmp", "image/x-ms-bmp")
FORM_OVERHEAD_BYTES = 4096  # boundaries and part headers around one file
CHECKED_BYTES = 2**17  # without a size by then, the whole file is read: a thumbnail before it has up to 64 kB


class Upload(NamedTuple):
    """One image file, and the part that the form names."""

    data: bytes
    part: str | None


class File:
    """The bytes of one file as they come.

    check: is given the file's first bytes, more each time, until it returns True; what it raises refuses the file
    before the rest is read.
    """

    def __init__(self, max_bytes: int, held: Held, check: Callable[[bytes], bool], progress: Progress) -> None:
        self._max_bytes = max_bytes
        self._held = held
        self._check = check
        self._progress = progress
        self._chunks: list[bytes] = []
        self._size = 0
        self._next_check = 1  # doubled each time: a client may send byte by byte

    async def join(self, chunks: AsyncIterator[bytes]) -> bytes:
        """Join the chunks, and hold at most one chunk more than the limit.

        Raises: EmptyUploadError, UploadTooLargeError, QueueFullError, and what `check` raises.
        """
        async for chunk in chunks:
            self._size += len(chunk)
            if self._size > self._max_bytes:
                raise too_large(self._max_bytes)
            self._held.grow(len(chunk))
            self._chunks.append(chunk)
            if self._next_check <= self._size:
                seen = self._check(chunk if self._size == len(chunk) else b"".join(self._chunks))
                self._next_check = sys.maxsize if seen or self._size > CHECKED_BYTES else 2 * self._size
            self._progress.add(len(chunk))
        if not self._size:
            raise EmptyUploadError("the image file is empty: send a JPEG, PNG, TIFF or BMP image")
        return self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)


async def read_upload(
    request: web.Request, *, max_bytes: int, held: Held, pace: Pace, check: Callable[[bytes], bool]
) -> Upload:
    """Return the image file in a form's field `image` or in the body itself.

    Raises: EmptyUploadError, MalformedUploadError, QueueFullError, UploadTooLargeError, UploadTooSlowError,
    UnsupportedUploadError, WrongFieldError, WrongParameterError.
    """
    is_form = media_type(request) == FORM_TYPE
    most_bytes = max_bytes + (form_bytes(max_bytes) if is_form else 0)
    refuse_by_headers(request, (FORM_TYPE, *IMAGE_TYPES), most_bytes, too_large(max_bytes))
    await invite(request)
    async with at_pace(pace) as progress:
        file = File(max_bytes, held, check, progress)
        if is_form:
            return await _read_form(request, file)
        return Upload(await file.join(_chunks_of_body(request.content)), None)


def media_type(request: web.Request) -> str:
    """Return what the body is said to be; aiohttp's own way parses the whole header by `email`, which takes 0.2 ms."""
    return request.headers.get("Content-Type", "").partition(";")[0].strip().lower()


def form_bytes(max_bytes: int) -> int:
    """Return how many bytes a form may have beside those of its file, which may be written in base64."""
    return FORM_OVERHEAD_BYTES + max_bytes * 2 // 5


async def invite(request: web.Request) -> None:
    """Tell a client that waits for it to send its body."""
    if "Expect" in request.headers and request.version >= HttpVersion11:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # of the answer itself


def refuse_by_headers(
    request: web.Request, types: tuple[str, ...], most_bytes: int, refusal: UploadTooLargeError
) -> None:
    """Refuse what the headers show to be no upload of these types; by `refusal`, if it has more bytes.

    Raises: EmptyUploadError, UnsupportedUploadError, UploadTooLargeError.
    """
    if not request.can_read_body:
        raise EmptyUploadError(f"the request has no body: send a form with the field {IMAGE!r}, or an image")
    known = (*types, *OTHER_NAMES) if len(types) > 1 else types
    if media_type(request) not in known:
        found = request.headers.get("Content-Type", "missing")
        raise _unsupported(types, f"Content-Type is {found:.80}: send {' or '.join(types)}")
    if request.headers.get("Content-Encoding", "").strip().lower() not in NO_CODING:
        raise _unsupported(types, "the body has a Content-Encoding: send the image file without compression")
    if request.content_length is not None and request.content_length > most_bytes:
        raise refusal


def _unsupported(types: tuple[str, ...], message: str) -> UnsupportedUploadError:
    error = UnsupportedUploadError(message)
    error.headers = {"Accept-Post": ", ".join(types)}
    return error


async def _read_form(request: web.Request, file: File) -> Upload:
    data = part = None
    async for field in fields(request):
        if field.name == PART:
            part = await read_part(field, part)
        else:
            if data is not None:
                raise WrongFieldError(
                    f"the form has two fields {IMAGE!r}: send one image a request, or all images of a tile to "
                    "/analyze/tile"
                )
            data = await file.join(field.chunks)
    if data is None:
        raise WrongFieldError(f"the form has no field {IMAGE!r}: send one file in it")
    return Upload(data, part)


async def _chunks_of_body(content: StreamReader) -> AsyncIterator[bytes]:
    while True:
        with malformed():
            chunk = await content.readany()
        if not chunk:
            return
        yield chunk


def too_large(max_bytes: int) -> UploadTooLargeError:
    """Return the error of a file that has too many bytes."""
    return UploadTooLargeError(f"the image file has more than {max_bytes} bytes: send a smaller one")
