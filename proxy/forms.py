"""multipart/form-data → its fields, one after the other, each with its transfer encoding undone.

The library multipart splits the form; what it raises is translated here.
"""

import binascii
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import NamedTuple
from urllib.parse import unquote

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from proxy.errors import MalformedUploadError, UnsupportedUploadError, WrongFieldError
from proxy.parameters import PART as PART_RULE
from proxy.parameters import PART_CHARACTERS, read_parameter

FORM_TYPE = "multipart/form-data"
IMAGE, PART = "image", "part"  # the fields that are known
MAX_HEADERS = 16  # of a field
PART_BYTES = 4 * PART_CHARACTERS  # in UTF-8
PLAIN = ("", "7bit", "8bit", "binary")  # transfer encodings that change nothing
NO_CODING = ("", "identity")
LINE_BREAKS = b" \t\r\n"  # what base64 may have between its characters
EXTENDED_NAME = re.compile(r";\s*filename\*=utf-8'[^']*'([^;\s]+)", re.IGNORECASE)  # RFC 5987
BROKEN_HTTP: tuple[type[Exception], ...] = (web.RequestPayloadError, HttpProcessingError)


class Field(NamedTuple):
    """One field of a form, whose bytes are still to come: in `chunks` decoded, in `rest` as they are left."""

    name: str
    filename: str | None
    chunks: AsyncIterator[bytes]
    rest: AsyncIterator[bytes]


async def fields(request: web.Request) -> AsyncIterator[Field]:
    """Give the form's fields; what a caller leaves unread of one is dropped.

    Raises: MalformedUploadError, UnsupportedUploadError, WrongFieldError.
    """
    events = _events(request)
    async for segment in events:
        if not isinstance(segment, MultipartSegment) or segment.name not in (IMAGE, PART):
            name = segment.name if isinstance(segment, MultipartSegment) else None
            raise WrongFieldError(
                f"the form has a field {name!r:.80}: send the file in the field {IMAGE!r}, and perhaps {PART!r}"
            )
        rest = _rest(events)
        yield Field(segment.name, _filename(segment), _chunks(segment, rest), rest)
        async for _ in rest:
            pass


async def read_part(field: Field, before: str | None) -> str:
    """Read the name of a part. before: what another field of the form says.

    Raises: WrongFieldError, WrongParameterError, MalformedUploadError.
    """
    if before is not None:
        raise WrongFieldError(f"the form has two fields {PART!r}: name the part once")
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

    The block holds one call of a library and nothing else, so that no mistake of ours is called the client's.
    """
    try:
        yield
    except (*BROKEN_HTTP, *raised) as error:
        # aiohttp may quote a long line of the body
        raise MalformedUploadError(f"the body is malformed ({error!s:.200}): send the whole image again") from None


async def _events(request: web.Request) -> AsyncIterator[MultipartSegment | bytes | None]:
    """Give, for each field, its head, then its bytes as they come, then None."""
    _, options = parse_options_header(request.headers.get("Content-Type", ""))
    if not options.get("boundary"):
        raise MalformedUploadError(
            "the header Content-Type names no boundary: do not set this header yourself, the HTTP library writes it "
            "together with the form"
        )
    with malformed(MultipartError, UnicodeError):  # the latter: the boundary is not ASCII
        # Latin-1 takes any bytes; `_filename` reads them
        parser = PushMultipartParser(options["boundary"], max_header_count=MAX_HEADERS, header_charset="latin-1")
    while True:
        with malformed():
            chunk = await request.content.readany()
        with malformed(MultipartError):  # without a chunk the form breaks off, unless it was complete
            events = list(parser.parse(chunk))
        for event in events:
            yield event
        if parser.closed:
            return


async def _rest(events: AsyncIterator[MultipartSegment | bytes | None]) -> AsyncIterator[bytes]:
    """Give the bytes of a field up to its end."""
    async for event in events:
        if not isinstance(event, bytes):
            return
        yield event


async def _chunks(segment: MultipartSegment, sent: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Undo a field's transfer encoding."""
    if segment.header("Content-Encoding", "").strip().lower() not in NO_CODING:
        raise UnsupportedUploadError("the form's field has a Content-Encoding: send the file without compression")
    encoding = segment.header("Content-Transfer-Encoding", "").strip().lower()
    if encoding not in (*PLAIN, "base64"):
        raise UnsupportedUploadError(
            f"the form's field has the Content-Transfer-Encoding {encoding!r:.80}: send the bytes as they are "
            "or in base64"
        )
    rest = b""  # of base64: fewer than four characters
    async for chunk in sent:
        if encoding != "base64":
            yield chunk
            continue
        rest += chunk.translate(None, LINE_BREAKS)
        whole = len(rest) // 4 * 4
        with malformed(binascii.Error):
            decoded = binascii.a2b_base64(rest[:whole])
        rest = rest[whole:]
        if decoded:
            yield decoded
    if rest:
        raise MalformedUploadError("the field breaks off in the middle of its base64: send the whole image again")


def _filename(segment: MultipartSegment) -> str | None:
    """Return the file's name: as browsers write it, in UTF-8, or percent-encoded in `filename*`."""
    if segment.filename is not None:
        name: str = segment.filename
        return name.encode("latin-1").decode(errors="surrogateescape")
    extended = EXTENDED_NAME.search(segment.header("Content-Disposition"))
    return unquote(extended[1]) if extended else None
