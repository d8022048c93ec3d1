"""What is neither native nor an old client's: health, the interface's description, its viewer."""

import asyncio
from importlib import resources

from starlette.responses import Response

from userkeep.domain.errors import NotFound, Unavailable, UserkeepError
from userkeep.domain.transaction import Transaction
from userkeep.http.compat.zep_v1.api import VERSION_HEADER
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
_HTML_HEADERS = ((b"content-security-policy", _POLICY), (b"x-content-type-options", b"nosniff"))


class Pages:
    """Answers `/healthz`, `/readyz`, `/openapi.json`, `/docs`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._viewer = resources.files(__package__).joinpath("docs.html").read_bytes()

    def serves(self, path: bytes) -> bool:  # noqa: ARG002 - an address that nobody else serves
        """Return True: this is the last API, and says so where there is nothing."""
        return True

    def error_response(self, error: UserkeepError) -> Response:
        """Return an error as a problem."""
        return problem_response(error)

    async def answer(self, request: Request) -> Response:
        """The page, or what there is instead.

        Raises:
            NotFound: there is no such page. Unavailable: the server is not ready.
        """
        path = request.path.lower().replace(b"//", b"/")
        if request.method not in {"GET", "HEAD"}:
            raise NotFound("There is nothing under this address; see /docs.")
        if path == b"/healthz":
            return RawResponse(b".", 200, b"text/plain", (VERSION_HEADER,))
        if path == b"/readyz":
            return await self._ready()
        if path == b"/openapi.json":
            # The first call takes tens of milliseconds, for which no other request should wait.
            return RawResponse(await asyncio.to_thread(openapi_document), 200, JSON)
        if path == b"/docs":
            return RawResponse(self._viewer, 200, b"text/html; charset=utf-8", _HTML_HEADERS)
        raise NotFound("There is nothing under this address; see /docs.")

    async def _ready(self) -> Response:
        """Whether the database answers: `ready`, or 503."""

        def look(tx: Transaction) -> list[int]:
            return instance.project_ids(tx)

        if not await self._engine.read_async(look):
            raise Unavailable
        return text_response("ready")
