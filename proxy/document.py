"""The description of the API: `openapi.yaml`, served as JSON, and the page that Swagger UI makes of it.

A package carries Swagger UI; its other modules are not used. Source: Swagger UI's documentation, "Installation".
"""

from importlib import resources
from pathlib import Path

import orjson
import yaml
from aiohttp import web

from proxy.files import serve

DOCUMENT = Path(__file__).parent / "openapi.yaml"
FOLDER = Path(__file__).parent / "docs"
SWAGGER_UI = resources.files("mkdocs_swagger_ui_tag") / "swagger-ui"
PAGE = "index.html"
TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


def document_routes() -> list[web.RouteDef]:
    """Return a GET route for the document, for its page, and for each file that the page loads."""
    return [
        web.get("/openapi.json", serve(as_json(), "application/json")),
        web.get("/docs", serve((FOLDER / PAGE).read_bytes(), "text/html")),
        *(web.get(f"/docs/{name}", serve(body, TYPES[Path(name).suffix])) for name, body in _files().items()),
    ]


def as_json() -> bytes:
    """Return the document as it is served."""
    return orjson.dumps(yaml.safe_load(DOCUMENT.read_bytes()))


def _files() -> dict[str, bytes]:
    ours = {path.name: path.read_bytes() for path in sorted(FOLDER.iterdir()) if path.suffix in TYPES}
    return {
        **ours,
        "swagger-ui.css": (SWAGGER_UI / "stylesheets" / "swagger-ui.css").read_bytes(),
        "swagger-ui.js": (SWAGGER_UI / "javascripts" / "swagger-ui-bundle.js").read_bytes(),
    }
