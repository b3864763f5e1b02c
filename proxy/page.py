"""The web page: the files of `static`, read once and served from memory, each under its own path in that folder.

All its addresses are relative, so that it also works behind a path prefix.
"""

from functools import partial
from pathlib import Path

from aiohttp import web

FOLDER = Path(__file__).parent / "static"
INDEX = "index.html"
TEXT = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
BINARY = {".json": "application/json", ".jpg": "image/jpeg", ".png": "image/png"}  # these name no charset


def page_routes() -> list[web.RouteDef]:
    """Return a GET route for each of the page's files."""
    return [web.get(_path(file), partial(_serve, file.read_bytes(), file.suffix)) for file in page_files()]


def page_files() -> list[Path]:
    """Return the files that a browser may get, in order."""
    return sorted(file for file in FOLDER.rglob("*") if file.suffix in TEXT | BINARY)


def _path(file: Path) -> str:
    return "/" if file == FOLDER / INDEX else f"/{file.relative_to(FOLDER).as_posix()}"


async def _serve(body: bytes, suffix: str, _request: web.Request) -> web.Response:
    headers = {"Cache-Control": "no-cache"}  # a new release changes the file under the same name
    if suffix in BINARY:
        return web.Response(body=body, content_type=BINARY[suffix], headers=headers)
    return web.Response(body=body, content_type=TEXT[suffix], charset="utf-8", headers=headers)
