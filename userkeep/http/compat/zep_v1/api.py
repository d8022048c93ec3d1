"""Routing, errors and the version header of `/api/v1`.

Errors are plain text, as in Zep; the clients read only their status.
"""

import logging
import posixpath
import re
from collections.abc import Iterator

from starlette.responses import Response

from userkeep.domain.embedding import Embedder
from userkeep.domain.errors import (
    AlreadyExists,
    BadRequest,
    Gone,
    InvalidField,
    NotFound,
    UserkeepError,
)
from userkeep.domain.key import Permission
from userkeep.handlers.authorization import check_is_of_app, check_scope
from userkeep.http.compat.zep_v1.collections import Collections
from userkeep.http.compat.zep_v1.documents import Documents
from userkeep.http.compat.zep_v1.memory import Memory
from userkeep.http.compat.zep_v1.resource import Resource
from userkeep.http.compat.zep_v1.search import Search
from userkeep.http.compat.zep_v1.sessions import Sessions
from userkeep.http.compat.zep_v1.users import Users
from userkeep.http.compute import ComputeThreads
from userkeep.http.errors import FAULT, headers_of, status_of
from userkeep.http.requests import Request
from userkeep.http.responses import TEXT, RawResponse, empty_response
from userkeep.http.routing import Handler, Routes, allowed_methods
from userkeep.storage.engine import Engine
from userkeep.worker.worker import Worker

logger = logging.getLogger(__name__)

PREFIX = b"/api/v1"
VERSION_HEADER = (b"x-zep-version", b"0.27.2-userkeep")
"""Clients require at least 0.21.0 before the first hyphen, and no `dev` after it."""

_STATUS_OF_CODE = {
    AlreadyExists.code: 400,
    BadRequest.code: 400,
    InvalidField.code: 400,
    Gone.code: 404,
}
"""The statuses that differ from those of the native API."""


class ZepV1API:
    """Serve `/api/v1/…` like Zep 0.27.2, except for its defects."""

    admits_itself = False

    def __init__(
        self,
        engine: Engine,
        worker: Worker,
        compute: ComputeThreads,
        embedder: Embedder | None = None,
    ) -> None:
        self._routes: Routes[Handler] = Routes(PREFIX.decode())
        self._paths: list[tuple[str, str]] = []
        given = engine, worker, compute
        resources: list[Resource] = [kind(*given) for kind in (Users, Sessions, Memory, Search)]
        resources += [Collections(*given, embedder), Documents(*given)]
        for resource in resources:
            for (method, path), handler in resource.handlers.items():
                self._add(method, path, handler)

    def serves(self, path: bytes) -> bool:
        """Return whether a path is below `/api/v1`."""
        return path.startswith(PREFIX) and path[len(PREFIX) :][:1] in {b"", b"/"}

    def route_of(self, path: bytes) -> str:
        """Return the template of a path; empty if it is unknown."""
        return self._routes.template(clean_path(path))

    async def respond(self, request: Request) -> Response:
        """Return the response to a request; every exception becomes an error response."""
        try:
            response = await self._handler(request)(request)
        except UserkeepError as error:
            return self.error_response(error, request)
        except Exception:
            logger.exception("a request to the Zep v1 API failed", extra=request.log_fields())
            return self.error_response(UserkeepError(FAULT), request)
        response.raw_headers.append(VERSION_HEADER)
        return response

    def error_response(self, error: UserkeepError, _request: Request) -> Response:
        """Return an error as Zep does: a line of plain text."""
        return RawResponse(
            f"{_error_text(error)}\n".encode(),
            _STATUS_OF_CODE.get(error.code, status_of(error)),
            TEXT,
            (VERSION_HEADER, *headers_of(error)),
        )

    def _add(self, method: str, path: str, handler: Handler) -> None:
        self._paths.append((method, path))
        self._routes.add(method, path, handler)

    def routes(self) -> Iterator[tuple[str, str, Permission]]:
        """Yield the method, the path below the prefix and the scope of each route."""
        for method, path in self._paths:
            yield method, path, _permission(method, path.encode())

    def _handler(self, request: Request) -> Handler:
        path = clean_path(request.path)
        request.route, handlers, request.segments = self._routes.find(path)
        check_scope(request.scope, _permission(request.handler_method, path))
        check_is_of_app(request.scope)
        handler = handlers.get(request.handler_method)
        if handler is not None:
            return handler
        if not handlers:
            raise NotFound("404 page not found")

        async def no_handler(request: Request) -> Response:
            allow = allowed_methods(handlers)
            if request.method == "OPTIONS":
                return empty_response((allow,))
            return RawResponse(b"", 405, TEXT, (allow,))

        return no_handler


# Each after the id of a session or the name of a collection, which may be called `search`.
_READING_POSTS = re.compile(rb"/[^/]+/[^/]+(/search|/document/list/get)")


def _permission(method: str, path: bytes) -> Permission:
    """Return the scope that a key needs: searches read, although they are POST."""
    is_reading = method == "POST" and _READING_POSTS.fullmatch(path) is not None
    return "read" if method in {"GET", "OPTIONS"} or is_reading else "write"


def clean_path(path: bytes) -> bytes:
    """Return the path below the prefix without double and trailing slashes, `.` and `..` resolved.

    So the path of an item with an empty id is the path of the collection.
    """
    below = path[len(PREFIX) :]
    if b"//" not in below and b"/." not in below and not below.endswith(b"/"):
        return below
    return posixpath.normpath(b"/" + below.lstrip(b"/"))


def _error_text(error: UserkeepError) -> str:
    match error:
        case NotFound() | Gone():
            return "not found" if error.detail != "404 page not found" else error.detail
        case AlreadyExists() | BadRequest() | InvalidField():
            return f"bad request: {error.detail}"
        case _:
            return error.detail
