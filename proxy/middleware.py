"""What every request gets: an id, a clock, failures as problem documents, security headers, metrics, a log line."""

import asyncio
import logging
import re
import uuid
from typing import Any

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from proxy.cors import Cors
from proxy.errors import ProxyError
from proxy.problems import problem_of, problem_of_bug, problem_of_http
from proxy.security_headers import SECURITY_HEADERS
from proxy.telemetry import StageTimes, Telemetry

HARMLESS_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
CLIENT_LEFT = 499  # never sent: only the metrics and the log name a client that did not wait
TELEMETRY = web.AppKey("telemetry", Telemetry)
CORS = web.AppKey("cors", Cors)
DRAINING = web.AppKey("draining", asyncio.Event)  # set from the stop signal on
TIMES = web.RequestKey("times", StageTimes)
FACTS: web.RequestKey[dict[str, Any]] = web.RequestKey("facts", dict)  # of the answer, for the log
VERSION_PREFIX = "/v1"
ANALYZE = ("/analyze", "/analyze/tile")
log = structlog.get_logger(__name__)


@web.middleware
async def answer_and_record(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Take a request from its arrival to its answer."""
    request_id = request_id_of(request)
    times, request[FACTS] = StageTimes(), {}
    request[TIMES] = times
    try:
        response = await _answer(request, handler, request_id)
    except asyncio.CancelledError:
        _record(request, CLIENT_LEFT, request_id)
        raise
    response.headers.update(SECURITY_HEADERS)
    response.headers.update(request.app[CORS].headers(request))
    response.headers.setdefault("Cache-Control", "no-store")
    response.headers["X-Request-ID"] = request_id
    response.headers["Server-Timing"] = times.server_timing()
    if request.app[DRAINING].is_set():
        response.force_close()
    _record(request, response.status, request_id)
    return response


async def _answer(request: web.Request, handler: Handler, request_id: str) -> web.StreamResponse:
    try:
        return await handler(request)
    except ProxyError as error:
        if error.inside:
            log.warning("inside", id=request_id, error=str(error))
        return problem_of(error, request_id)
    except web.HTTPException as error:
        return problem_of_http(error, request, request_id)
    except Exception:  # the last resort: a bug costs one answer, not the connection, and its traceback is logged
        log.exception("bug", id=request_id)
        return problem_of_bug(request_id)


def request_id_of(request: web.BaseRequest) -> str:
    """Return the client's id if it is harmless in a header and a log line, otherwise a new one."""
    given = request.headers.get("X-Request-ID", "")
    return given if HARMLESS_ID.fullmatch(given) else uuid.uuid4().hex


def _record(request: web.Request, status: int, request_id: str) -> None:
    """Count and log, by route: a client could make up any number of paths, each a metric of its own."""
    resource = request.match_info.route.resource
    route = resource.canonical.removeprefix(VERSION_PREFIX) or "/" if resource is not None else "unknown"
    times, telemetry = request[TIMES], request.app[TELEMETRY]
    telemetry.requests.labels(route, str(status)).inc()
    if route == "/analyze" and status == web.HTTPOk.status_code:
        telemetry.analyze_seconds.observe(times.total_s())
    for stage, seconds in times.seconds.items():
        telemetry.stage_seconds[stage].observe(seconds)
    level = logging.INFO if route in ANALYZE or status >= web.HTTPBadRequest.status_code else logging.DEBUG
    log.log(
        level,
        "request",
        method=request.method,
        route=route,
        status=status,
        seconds=round(times.total_s(), 4),
        id=request_id,
        **request[FACTS],
    )
