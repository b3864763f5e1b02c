"""The web page: a few static files of this package, read once and served from memory."""

from pathlib import Path

from aiohttp import web

from proxy.files import serve

FOLDER = Path(__file__).parent / "static"
FILES = {  # path → file and content type
    "/": ("index.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}


def page_routes() -> list[web.RouteDef]:
    """Return a GET route for each of the page's files."""
    return [
        web.get(path, serve((FOLDER / name).read_bytes(), content_type)) for path, (name, content_type) in FILES.items()
    ]
