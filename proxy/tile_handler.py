"""POST /analyze/tile: several photographs of one tile, one verdict."""

import asyncio
from contextlib import ExitStack
from functools import partial

from aiohttp import web

from proxy.answers import JSON
from proxy.errors import ProxyError, RequestTooLargeError, TileTooLargeError
from proxy.handlers import QUICK, accepted, name_part
from proxy.image_steps import (
    ADMISSION,
    SETTINGS,
    UPLOAD_MEMORY,
    HeaderCheck,
    begin,
    decode_upload,
    encode,
    pace_of,
    refuse_if_unanswerable,
    segment,
)
from proxy.middleware import FACTS, TIMES
from proxy.parameters import TILE_RULES, Parameters, read_parameters
from proxy.report import Report
from proxy.tile_answers import ImageAnswer, of_problem, of_report, represent_tile
from proxy.tile_upload import SERVER_ERROR, TileFile, TileReader

AT_ONCE = 4  # images of one tile that are worked on at the same time: the others' images take turns with them
MAX_TILE = 8  # in images of MAX_PIXELS: with their masks in rows, the answers have two bytes a pixel


async def analyze_tile(request: web.Request) -> web.Response:
    """Answer the images of one tile with one verdict; an image that cannot be answered has its own problem."""
    begin(request)
    accepted(request, (JSON,))
    parameters = read_parameters(request.query, TILE_RULES)
    refuse_if_unanswerable(request)
    try:
        answers, part = await _answer_all(request, parameters)
    except BaseExceptionGroup as group:
        raise _first(group) from None
    (body, headers), tile = represent_tile(answers, part, parameters.tile_alarm_score)
    request[FACTS].update(verdict=tile.verdict, familiar=tile.familiar)
    return web.Response(body=body, content_type=JSON, headers=headers)


async def _answer_all(request: web.Request, parameters: Parameters) -> tuple[list[ImageAnswer], str | None]:
    """Read the images, and work on the first ones while the others still come."""
    tasks: list[asyncio.Task[ImageAnswer]] = []
    reader = TileReader(
        request,
        max_bytes=request.app[SETTINGS].max_upload_bytes,
        memory=request.app[UPLOAD_MEMORY],
        pace=pace_of(request),
    )
    tile = _Tile(request, parameters)
    with ExitStack() as holding:
        async with asyncio.TaskGroup() as group:

            def take(file: TileFile, check: HeaderCheck) -> None:
                tasks.append(group.create_task(tile.answer(file, check)))

            with request[TIMES].stage("read"):
                in_form = await reader.read(holding, partial(HeaderCheck, request, tile.count), take)
            part = name_part(request, parameters.part, in_form)
    return [task.result() for task in tasks], part


class _Tile:
    """The images of one tile: how many pixels they may have, and whose turn it is."""

    def __init__(self, request: web.Request, parameters: Parameters) -> None:
        self._request = request
        self._parameters = parameters
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._max_pixels = self._left = MAX_TILE * request.app[SETTINGS].max_pixels

    def count(self, pixels: int) -> None:
        """Count one more image.

        Raises: TileTooLargeError.
        """
        self._left -= pixels
        if self._left < 0:
            raise TileTooLargeError(
                f"padded to multiples of 32 the images of the tile have more than {self._max_pixels} pixels together: "
                "send fewer, or crop them to the tile"
            )

    async def answer(self, file: TileFile, check: HeaderCheck) -> ImageAnswer:
        """Answer one image. An error that the client can correct is this image's problem; others fail the request."""
        if isinstance(file.data, ImageAnswer):
            return file.data
        try:
            async with self._turns:
                if not check.pixels:
                    check(file.data)
                written = await self._segment(file.name, file.data, check.pixels)
                file.held.become_answer(len(written.body))
                return written
        except ProxyError as error:
            if error.status >= SERVER_ERROR or isinstance(error, RequestTooLargeError):
                raise
            return of_problem(file.name, error)

    async def _segment(self, name: str | None, data: bytes, pixels: int) -> ImageAnswer:
        request, mask = self._request, self._parameters.mask
        with request.app[ADMISSION].admit(pixels, in_any_case=True):
            image = await decode_upload(request, data, pixels)
            answer = await segment(request, image)

            def write(report: Report) -> ImageAnswer:
                return of_report(name, report, mask)

            _, written = await encode(request, answer, image, self._parameters.override, write, quick=mask in QUICK)
            return written


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first error in a group: one of ours if there is one, as it says what to do."""
    error: BaseException = group.subgroup(ProxyError) or group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
