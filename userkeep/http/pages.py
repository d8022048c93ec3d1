"""Health, readiness, metrics, the OpenAPI document and its viewer."""

import asyncio

from starlette.responses import Response

from userkeep.domain.errors import NotFound, Unavailable, UserkeepError
from userkeep.handlers.authorization import check_is_of_instance
from userkeep.http.compat.zep_v1.api import VERSION_HEADER
from userkeep.http.docs import DOCS_PATHS, docs_response
from userkeep.http.errors import NO_SUCH_PATH, MethodNotAllowed, headers_of
from userkeep.http.health import ReadinessChecks
from userkeep.http.metrics import Metrics
from userkeep.http.openapi import openapi_document
from userkeep.http.requests import Request
from userkeep.http.responses import (
    JSON,
    RawResponse,
    empty_response,
    json_response,
    problem_response,
)
from userkeep.http.routing import allowed_methods, clean_page_path
from userkeep.version import __version__

_PATHS = frozenset((b"/", b"/healthz", b"/readyz", b"/metrics", b"/openapi.json", b"/favicon.ico"))


class Pages:
    """Serve `/`, `/healthz`, `/readyz`, `/metrics`, `/openapi.json`, `/docs`, and no other path.

    Args:
        readiness: the checks of `/readyz`.
        metrics: those of `/metrics`; None if there are none.
        has_console: whether the server has a console.
    """

    admits_itself = False

    def __init__(
        self, readiness: ReadinessChecks, metrics: Metrics | None, *, has_console: bool
    ) -> None:
        self._readiness = readiness
        self._metrics = metrics
        self._has_console = has_console

    def serves(self, path: bytes) -> bool:  # noqa: ARG002
        """Return True: pages come last, for the paths of no other API."""
        return True

    def route_of(self, path: bytes) -> str:
        """Return the path of a page, as the documentation writes it; empty if there is none."""
        clean = clean_page_path(path)
        return clean.decode() if clean in _PATHS or clean in DOCS_PATHS else ""

    def error_response(self, error: UserkeepError, request: Request) -> Response:
        """Return an error as a problem."""
        return problem_response(error, request.request_id)

    async def respond(self, request: Request) -> Response:
        """Return the page of a path.

        Raises:
            NotFound: there is no such page. Forbidden: the key of the request may not read it.
        """
        request.route = self.route_of(request.path)
        if not request.route:
            raise NotFound(NO_SUCH_PATH)
        if request.handler_method != "GET":
            return self._without_handler(request)
        return await self._page(request)

    async def _page(self, request: Request) -> Response:
        match request.route:
            case "/healthz":
                return _alive(request)
            case "/readyz":
                return await self._ready()
            case "/metrics":
                return await self._of_metrics(request)
            case "/openapi.json":
                # The first call takes tens of milliseconds; other requests must not wait for it.
                document = await asyncio.to_thread(openapi_document, request.root_path)
                return RawResponse(document, 200, JSON)
            case "/favicon.ico":
                return empty_response()  # browsers ask for it
            case "/":
                return _index(request.root_path, has_console=self._has_console)
        return docs_response(request.route, request.root_path)

    def _without_handler(self, request: Request) -> Response:
        allow = allowed_methods(["GET"])
        if request.method == "OPTIONS":
            return empty_response((allow,))
        response = self.error_response(MethodNotAllowed(), request)
        response.raw_headers.append(allow)
        return response

    async def _of_metrics(self, request: Request) -> Response:
        """Return the metrics, which are about all projects."""
        if self._metrics is None:
            raise NotFound("This server has no metrics: USERKEEP_METRICS is false.")
        check_is_of_instance(request.scope)
        return await self._metrics.response(request)

    async def _ready(self) -> Response:
        readiness = await self._readiness.run()
        if readiness.is_ready:
            return json_response(readiness)
        return json_response(readiness, 503, headers_of(Unavailable()))


def _index(root_path: str, *, has_console: bool) -> Response:
    """Return where the APIs and their documentation are."""
    return json_response(
        {
            "name": "userkeep",
            "version": __version__,
            "api": f"{root_path}/v1",
            "zep_api": f"{root_path}/api/v1",
            **({"console": f"{root_path}/console"} if has_console else {}),
            "documentation": f"{root_path}/docs",
            "openapi": f"{root_path}/openapi.json",
            "health": f"{root_path}/healthz",
        }
    )


def _alive(request: Request) -> Response:
    """Return that the process runs. zep-python 1.x accepts one point and nothing else."""
    accepted = request.headers.get(b"accept", b"")
    if b"application/json" in accepted:
        alive = {"status": "ok", "version": __version__}
        return json_response(alive, 200, (VERSION_HEADER,))
    return RawResponse(b".", 200, b"text/plain", (VERSION_HEADER,))
