"""The web page: the files of `static`, read once and served from memory, each under its own path in that folder.

All its addresses are relative, so that it also works behind a path prefix.
"""

from pathlib import Path

from aiohttp import web

from proxy.files import serve

FOLDER = Path(__file__).parent / "static"
INDEX = FOLDER / "index.html"
CONTENT_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".json": "application/json",
    ".jpg": "image/jpeg",
    ".png": "image/png",
}


def page_routes() -> list[web.RouteDef]:
    """Return a GET route for each of the page's files."""
    return [web.get(_path(file), serve(file.read_bytes(), CONTENT_TYPES[file.suffix])) for file in page_files()]


def page_files() -> list[Path]:
    """Return the files that a browser may get, in order."""
    return sorted(file for file in FOLDER.rglob("*") if file.suffix in CONTENT_TYPES)


def _path(file: Path) -> str:
    return "/" if file == INDEX else f"/{file.relative_to(FOLDER).as_posix()}"
