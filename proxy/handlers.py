"""POST /analyze, health and metrics: each handler reads as the flow of its request."""

from functools import partial

import orjson
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from proxy.answers import JSON, OFFERS, Representation, represent_json, represent_png
from proxy.image_steps import (
    ADMISSION,
    READINESS,
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
from proxy.middleware import FACTS, TELEMETRY, TIMES
from proxy.negotiation import choose
from proxy.parameters import IMAGE_RULES, Parameters, one_part, read_parameters
from proxy.report import Report, describe_model
from proxy.upload import Upload, read_upload
from proxy.upload_memory import Held

QUICK = ("rows", "rle", "none", "mask")  # formats and views that take about a millisecond


async def analyze(request: web.Request) -> web.Response:
    """Answer one image with the mask of its defects."""
    begin(request)
    media_type = accepted(request, OFFERS)
    parameters = read_parameters(request.query, IMAGE_RULES[media_type])
    refuse_if_unanswerable(request)
    with request.app[UPLOAD_MEMORY].hold(request.remote or "") as held:
        check = HeaderCheck(request)
        data, part = await _read(request, held, check)
        part = name_part(request, parameters.part, part)
        with request.app[ADMISSION].admit(check.pixels):
            image = await decode_upload(request, data, check.pixels)
            del data  # no name keeps the upload while the image waits
            answer = await segment(request, image)
            write = partial(_represent, media_type, parameters._replace(part=part))
            quick = (parameters.mask if media_type == JSON else parameters.view) in QUICK
            report, (body, headers) = await encode(request, answer, image, parameters.override, write, quick=quick)
    request[FACTS].update(verdict=report.analysis.verdict, familiar=report.analysis.familiar)
    return web.Response(body=body, content_type=media_type, headers={"Vary": "Accept", **headers})


def accepted(request: web.Request, offers: tuple[str, ...]) -> str:
    """Return the media type that the client wants.

    Raises: NotAcceptableError.
    """
    return choose(",".join(request.headers.getall("Accept", ())), offers)


def name_part(request: web.Request, in_query: str | None, in_form: str | None) -> str | None:
    """Return the part's name, and log it.

    Raises: WrongParameterError.
    """
    part = one_part(in_query, in_form)
    if part is not None:
        request[FACTS]["part"] = part
    return part


async def _read(request: web.Request, held: Held, check: HeaderCheck) -> Upload:
    max_bytes = request.app[SETTINGS].max_upload_bytes
    with request[TIMES].stage("read"):
        upload = await read_upload(request, max_bytes=max_bytes, held=held, pace=pace_of(request), check=check)
    if not check.pixels:
        check(upload.data)
    return upload


def _represent(media_type: str, parameters: Parameters, report: Report) -> Representation:
    named = report.of_part(parameters.part)
    if media_type == JSON:
        return represent_json(named, parameters.mask)
    return represent_png(named, parameters.view)


async def live(_request: web.Request) -> web.Response:
    """Answer 200 as long as the process answers at all."""
    return _json({"status": "live"})


async def ready(request: web.Request) -> web.Response:
    """Answer 200 while the model can be asked, otherwise a problem document with the reason."""
    readiness = request.app[READINESS]
    model = readiness.model()
    return _json({"status": "ready", "model": describe_model(model, readiness.sha256(model))})


async def metrics(request: web.Request) -> web.Response:
    """Answer in Prometheus's text format."""
    body = generate_latest(request.app[TELEMETRY].registry)
    return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})


def _json(document: object) -> web.Response:
    return web.Response(body=orjson.dumps(document), content_type="application/json")
