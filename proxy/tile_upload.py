"""A form with several image files of one tile → the files, one by one, while the next ones still come."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import NamedTuple, TypeVar

from aiohttp import web

from proxy.errors import MalformedUploadError, ProxyError, RequestTooLargeError, WrongFieldError
from proxy.forms import FORM_TYPE, IMAGE, PART, Field, fields, read_part
from proxy.pace import Pace, Progress, at_pace
from proxy.tile_answers import ImageAnswer, of_problem
from proxy.upload import File, form_bytes, invite, refuse_by_headers
from proxy.upload_memory import Held, UploadMemory

MAX_FILES = 32
NAME_CHARACTERS = 255  # of a file's name, in the answer
SERVER_ERROR = 500

C = TypeVar("C", bound=Callable[[bytes], bool])


class TileFile(NamedTuple):
    """One file of a tile: its bytes, or the answer to it if it is refused already."""

    name: str | None
    data: bytes | ImageAnswer
    held: Held


class TileReader:
    """Reads one request's files.

    max_bytes: of one file. memory: where their bytes are counted. pace: how fast they must come.
    """

    def __init__(self, request: web.Request, *, max_bytes: int, memory: UploadMemory, pace: Pace) -> None:
        self._request = request
        self._max_bytes = max_bytes
        self._memory = memory
        self._pace = pace
        self._held: list[Held] = []
        self._all_bytes = MAX_FILES * (max_bytes + form_bytes(max_bytes))

    async def read(
        self, holding: ExitStack, make_check: Callable[[], C], take: Callable[[TileFile, C], None]
    ) -> str | None:
        """Give each file to `take` as soon as it is there; return the part that the form names.

        holding: keeps the files counted until it ends. make_check: makes a `check` as `File` wants it, for each file.

        Raises: as `read_upload`, except what is wrong with one file only.
        """
        refuse_by_headers(self._request, (FORM_TYPE,), self._all_bytes, self._too_large())
        await invite(self._request)
        part, count = None, 0
        async with at_pace(self._pace) as progress:
            async for field in fields(self._request):
                if field.name == PART:
                    part = await read_part(field, part)
                    continue
                count += 1
                if count > MAX_FILES:
                    raise WrongFieldError(f"the form has more than {MAX_FILES} files: send at most so many of one tile")
                check = make_check()
                take(await self._read_file(field, holding, check, progress), check)
        if not count:
            raise WrongFieldError(f"the form has no field {IMAGE!r}: send each image of the tile in one")
        return part

    async def _read_file(
        self, field: Field, holding: ExitStack, check: Callable[[bytes], bool], progress: Progress
    ) -> TileFile:
        held = holding.enter_context(self._memory.hold(self._request.remote or "", self._held))
        self._held.append(held)
        name = None if field.filename is None else _as_text(field.filename)
        try:
            return TileFile(name, await File(self._max_bytes, held, check, progress).join(field.chunks), held)
        except (MalformedUploadError, RequestTooLargeError):
            raise
        except ProxyError as error:
            if error.status >= SERVER_ERROR:
                raise
            refused = of_problem(name, error)  # the error itself would hold the bytes, by its traceback
        held.release()
        await self._drop(field, progress)
        return TileFile(name, refused, held)

    async def _drop(self, field: Field, progress: Progress) -> None:
        """Read the rest of a file that is refused: the next one comes after it."""
        async for chunk in field.rest:
            progress.add(len(chunk))
            if progress.size > self._all_bytes:
                raise self._too_large()

    def _too_large(self) -> RequestTooLargeError:
        return RequestTooLargeError(
            f"the images have more than {self._all_bytes} bytes together: send fewer or smaller ones"
        )


def _as_text(name: str) -> str:
    return name[:NAME_CHARACTERS].encode(errors="backslashreplace").decode()
