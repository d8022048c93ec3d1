"""Health, readiness, the OpenAPI document and its viewer."""

import asyncio
from importlib import resources

from starlette.responses import Response

from userkeep.domain.errors import NotFound, Unavailable, UserkeepError
from userkeep.http.compat.zep_v1.api import VERSION_HEADER
from userkeep.http.errors import NO_SUCH_PATH
from userkeep.http.openapi import openapi_document
from userkeep.http.requests import Request
from userkeep.http.responses import JSON, RawResponse, problem_response, text_response
from userkeep.services import instance
from userkeep.storage.engine import Engine

_POLICY = (
    b"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    b"connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
    b"frame-ancestors 'none'"
)
_HTML_HEADERS = ((b"content-security-policy", _POLICY),)


class Pages:
    """Serve `/healthz`, `/readyz`, `/openapi.json` and `/docs`; every other path is not found."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._viewer = resources.files(__package__).joinpath("docs.html").read_bytes()

    def serves(self, path: bytes) -> bool:  # noqa: ARG002
        """Return True: pages come last, for the paths of no other API."""
        return True

    def error_response(self, error: UserkeepError) -> Response:
        """Return an error as a problem."""
        return problem_response(error)

    async def respond(self, request: Request) -> Response:
        """Return the page of a path.

        Raises:
            NotFound: there is no such page. Unavailable: the database does not respond.
        """
        path = request.path.lower().replace(b"//", b"/")
        if request.method not in {"GET", "HEAD"}:
            raise NotFound(NO_SUCH_PATH)
        if path == b"/healthz":
            return RawResponse(b".", 200, b"text/plain", (VERSION_HEADER,))
        if path == b"/readyz":
            return await self._ready()
        if path == b"/openapi.json":
            # The first call takes tens of milliseconds; other requests must not wait for it.
            return RawResponse(await asyncio.to_thread(openapi_document), 200, JSON)
        if path == b"/docs":
            return RawResponse(self._viewer, 200, b"text/html; charset=utf-8", _HTML_HEADERS)
        raise NotFound(NO_SUCH_PATH)

    async def _ready(self) -> Response:
        """Return `ready`, or 503 with the reason why requests cannot be performed."""
        await self._engine.read_async(instance.check_ready)
        if not await self._engine.read_async(instance.project_ids):
            raise Unavailable("The database has no project.")
        return text_response("ready")
