"""multipart/form-data → its fields, one after the other, each with its transfer encoding undone.

aiohttp splits the form; what it raises is translated here.
"""

import binascii
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from aiohttp import BodyPartReader, MultipartReader, web
from aiohttp.http_exceptions import HttpProcessingError

from proxy.errors import MalformedUploadError, UnsupportedUploadError, WrongFieldError
from proxy.parameters import PART as PART_RULE
from proxy.parameters import PART_CHARACTERS, read_parameter

FORM_TYPE = "multipart/form-data"
IMAGE, PART = "image", "part"  # the fields that are known
CHUNK_BYTES = 65536  # as much as aiohttp's own buffer
PART_BYTES = 4 * PART_CHARACTERS  # in UTF-8
PLAIN = ("", "7bit", "8bit", "binary")  # transfer encodings that change nothing
NO_CODING = ("", "identity")
BROKEN_HTTP: tuple[type[Exception], ...] = (web.RequestPayloadError, HttpProcessingError)


class Field(NamedTuple):
    """One field of a form, whose bytes are still to come."""

    name: str
    filename: str | None
    chunks: AsyncIterator[bytes]


async def fields(request: web.Request) -> AsyncIterator[Field]:
    """Give the form's fields; what a caller leaves unread of one is dropped.

    Raises: MalformedUploadError, UnsupportedUploadError, WrongFieldError.
    """
    with malformed(ValueError):  # no boundary, or one that is too long
        form = await request.multipart()
    while (part := await _next_part(form)) is not None:
        if not isinstance(part, BodyPartReader) or part.name not in (IMAGE, PART):
            name = part.name if isinstance(part, BodyPartReader) else None
            raise WrongFieldError(
                f"the form has a field {name!r:.80}: send the file in the field {IMAGE!r}, and perhaps {PART!r}"
            )
        yield Field(part.name, part.filename, _chunks(part))


async def read_part(field: Field) -> str:
    """Read the name of a part.

    Raises: WrongParameterError, MalformedUploadError.
    """
    data = b""
    async for chunk in field.chunks:
        data += chunk
        if len(data) > PART_BYTES:
            break
    part: str = read_parameter(PART, data.decode(errors="surrogateescape"), PART_RULE)
    return part


@contextmanager
def malformed(*raised: type[Exception]) -> Iterator[None]:
    """Translate what aiohttp raises for a body that breaks the rules of HTTP, and `raised`, those of multipart.

    The block holds one call of aiohttp and nothing else, so that no mistake of ours is called the client's.
    """
    try:
        yield
    except (*BROKEN_HTTP, *raised) as error:
        # aiohttp may quote a long line of the body
        raise MalformedUploadError(f"the body is malformed ({error!s:.200}): send the whole image again") from None


async def _next_part(form: MultipartReader) -> MultipartReader | BodyPartReader | None:
    # The last two: a form that begins with a field `_charset_`, where aiohttp reads 32 bytes and may miss the boundary.
    with malformed(ValueError, RuntimeError, AssertionError):
        return await form.next()


async def _chunks(part: BodyPartReader) -> AsyncIterator[bytes]:
    if part.headers.get("Content-Encoding", "").strip().lower() not in NO_CODING:
        raise UnsupportedUploadError("the form's field has a Content-Encoding: send the file without compression")
    encoding = part.headers.get("Content-Transfer-Encoding", "").strip().lower()
    if encoding not in (*PLAIN, "base64"):
        raise UnsupportedUploadError(
            f"the form's field has the Content-Transfer-Encoding {encoding!r:.80}: send the bytes as they are "
            "or in base64"
        )
    while True:
        with malformed(ValueError):  # the body ends before the boundary
            chunk = await part.read_chunk(CHUNK_BYTES)
        if not chunk:
            return
        if encoding == "base64":  # aiohttp ends a chunk with a whole group of four
            with malformed(binascii.Error):
                chunk = binascii.a2b_base64(chunk)
        if chunk:
            yield chunk
