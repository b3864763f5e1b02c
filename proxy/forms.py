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
MAX_FOLDED = 128  # lines of all fields' headers that continue the line before: for each, its header is built anew
PART_BYTES = 4 * PART_CHARACTERS  # in UTF-8
PLAIN = ("", "7bit", "8bit", "binary")  # transfer encodings that change nothing
NO_CODING = ("", "identity")
LINE_BREAKS = b" \t\r\n"  # what base64 may have between its characters
EXTENDED_NAME = re.compile(r";\s*filename\*=utf-8'[^']*'([^;\s]+)", re.IGNORECASE)  # RFC 5987
NOTHING = object()  # what no parser finds
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
        parser = _Parser(options["boundary"], max_header_count=MAX_HEADERS, header_charset="latin-1")
    while True:
        with malformed():
            chunk = await request.content.readany()
        for event in _found(parser, chunk):
            yield event
        if parser.closed:
            return


def _found(parser: PushMultipartParser, chunk: bytes) -> Iterator[MultipartSegment | bytes | None]:
    """Give what a chunk completes; of a form of very many fields, none is parsed behind the one that is refused."""
    events = parser.parse(chunk)
    while True:
        with malformed(MultipartError):  # without a chunk the form breaks off, unless it was complete
            event = next(events, NOTHING)
        if event is NOTHING:
            return
        yield event


class _Parser(PushMultipartParser):  # type: ignore[misc]  # the library has no types
    """The library's parser, with a limit on folded lines."""

    _folded = 0

    def _on_segment_headerline(self, line: bytes) -> None:
        self._folded += line.startswith((b" ", b"\t"))
        if self._folded > MAX_FOLDED:
            raise MalformedUploadError(
                f"the form's fields have more than {MAX_FOLDED} folded lines of headers: write each in one line, "
                'such as Content-Disposition: form-data; name="image"; filename="tile.png"'
            )
        super()._on_segment_headerline(line)


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
    rest, ended = b"", False  # of base64: fewer than four characters; whether its padding has come
    async for chunk in sent:
        if encoding != "base64":
            yield chunk
            continue
        rest += chunk.translate(None, LINE_BREAKS)
        if rest and ended:
            raise _wrong_base64("more follows its padding")
        whole = len(rest) // 4 * 4
        try:  # not strict, it would drop what is no base64, and make another file of the rest
            decoded = binascii.a2b_base64(rest[:whole], strict_mode=True)
        except binascii.Error as error:
            raise _wrong_base64(str(error)) from None
        ended = ended or rest.endswith(b"=", 0, whole)
        rest = rest[whole:]
        if decoded:
            yield decoded
    if rest:
        raise _wrong_base64("it breaks off in the middle")


def _wrong_base64(found: str) -> MalformedUploadError:
    return MalformedUploadError(
        f"the field's base64 is wrong ({found}): write it with the characters A-Z, a-z, 0-9, + and / and with its "
        "padding (RFC 4648, section 4), or send the bytes as they are"
    )


def _filename(segment: MultipartSegment) -> str | None:
    """Return the file's name: as browsers write it, in UTF-8, or percent-encoded in `filename*`."""
    if segment.filename is not None:
        name: str = segment.filename
        return name.encode("latin-1").decode(errors="surrogateescape")
    extended = EXTENDED_NAME.search(segment.header("Content-Disposition"))
    return unquote(extended[1]) if extended else None
