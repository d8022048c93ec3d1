"""The ASGI application: it chooses the API of a request and the scope in which it runs."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from time import perf_counter
from typing import Any, Protocol

from starlette.responses import Response
from starlette.routing import Router
from starlette.types import Message, Receive, Send
from starlette.types import Scope as AsgiScope

from userkeep.domain.errors import Unavailable, UserkeepError
from userkeep.http.access import AccessControl
from userkeep.http.compression import Compressor
from userkeep.http.compute import ComputeThreads
from userkeep.http.cors import AllowedOrigins, preflight_response
from userkeep.http.docs import DOCS_PATHS
from userkeep.http.errors import FAULT
from userkeep.http.metrics import Metrics
from userkeep.http.request_log import (
    CLIENT_CLOSED,
    REQUEST_ID_HEADER,
    SLOW_MS,
    RequestFields,
    is_logged,
    log_request,
    log_usual_request,
)
from userkeep.http.requests import BodyMemory, Request
from userkeep.http.responses import RawResponse, problem_response
from userkeep.http.routing import clean_page_path
from userkeep.worker.worker import Worker

logger = logging.getLogger(__name__)


class RequestSpan(Protocol):
    """The span of a request that is running."""

    def end(self, method: str, route: str, status: int) -> None:
        """End the span."""
        ...


class Traces(Protocol):
    """Records requests as spans."""

    def begin(self, request: Request) -> RequestSpan:
        """Begin the span of a request."""
        ...

    async def close(self) -> None:
        """Send what is left."""
        ...


class API(Protocol):
    """One API of the server.

    Attributes:
        admits_itself: whether it finds the scope of a request itself, not by a key in its headers.
    """

    @property
    def admits_itself(self) -> bool: ...

    def serves(self, path: bytes) -> bool:
        """Return whether a raw path belongs to this API."""
        ...

    def route_of(self, path: bytes) -> str:
        """Return the template of a raw path, such as `/v1/users/{user_id}`; empty if unknown."""
        ...

    async def respond(self, request: Request) -> Response:
        """Return the response to a request."""
        ...

    def error_response(self, error: UserkeepError, request: Request) -> Response:
        """Return an error in the form that this API's clients expect."""
        ...


class Application(Router):
    """All APIs of one server.

    Starlette runs start and stop. The API is chosen here, on the raw path, because ids may contain
    characters that Starlette would decode and split.

    Args:
        apis: the APIs. The first that serves a path responds; the last serves every path.
        access: decides whether a request is admitted, and in which scope it runs.
        worker: runs jobs that outlive a request.
        compute: threads that end with the application.
        body_memory: the memory for the bodies of all requests.
        compresses: whether responses are compressed for clients that accept it.
        metrics: count the requests; None if nothing is to be counted.
        traces: record requests as spans; None if nothing is to be recorded.

    Attributes:
        metrics: as given.
    """

    def __init__(
        self,
        apis: Sequence[API],
        access: AccessControl,
        worker: Worker,
        compute: ComputeThreads,
        body_memory: BodyMemory,
        *,
        compresses: bool = True,
        metrics: Metrics | None = None,
        traces: Traces | None = None,
    ) -> None:
        self._apis = tuple(apis)
        self._access = access
        self._worker = worker
        self._body_memory = body_memory
        self._compressor = Compressor(compute) if compresses else None
        self.metrics = metrics
        self._figures = None if metrics is None else metrics.requests
        self._traces = traces
        super().__init__(lifespan=_running(worker, compute, traces))

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Respond to a request, or start and stop."""
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        began_s = perf_counter()
        request = Request(scope, receive, self._body_memory)
        span = self._begin(request)
        sent = _Sent()
        try:
            response = await self._respond(request)
            if self._compressor is not None:
                await self._compressor.compress(response, request)
            response.raw_headers.append((REQUEST_ID_HEADER, request.request_id.encode()))
            sent.status = CLIENT_CLOSED if request.is_disconnected else response.status_code
            if isinstance(response, RawResponse):
                await response(scope, receive, send)
                sent.size, sent.is_complete = len(response.body), True
            else:
                await response(scope, receive, sent.counting(send))
        except asyncio.CancelledError:
            # A stop has waited long enough for the client to read. The connection is closed.
            return
        except Exception:
            sent.status = 500  # the server logs the error
            raise
        finally:
            request.close()
            self._end(request, sent, span, perf_counter() - began_s)

    def _begin(self, request: Request) -> RequestSpan | None:
        """Count a request that begins; return its span, if it is to have one."""
        if self._figures is not None:
            self._figures.in_flight += 1
        if request.path.removesuffix(b"/") in _PROBES:
            return None
        self._worker.mark_active()
        return None if self._traces is None else self._traces.begin(request)

    def _end(
        self, request: Request, sent: "_Sent", span: RequestSpan | None, duration_s: float
    ) -> None:
        """Count and log a request that has ended."""
        if self._figures is not None:
            self._figures.in_flight -= 1
            self._figures.add(request.method, request.route, sent.status, duration_s)
        if span is not None:
            span.end(request.method, request.route, sent.status)
        _log(request, sent, duration_s * 1000)

    async def _respond(self, request: Request) -> Response:
        api = self._api_of(request.path)
        try:
            await self._admit(request, api)
            response = await api.respond(request)
        except UserkeepError as error:
            request.route = request.route or api.route_of(request.path)
            response = api.error_response(error, request)
        except asyncio.CancelledError:
            # Only a stop cancels a request: one that still runs when its time is over.
            response = api.error_response(Unavailable(_STOPPING), request)
        except Exception:
            request.route = request.route or api.route_of(request.path)
            logger.exception("a request failed", extra=request.log_fields())
            response = api.error_response(UserkeepError(FAULT), request)
        if self._access.is_open:
            response.raw_headers.append(_OPEN)
        return response

    def _api_of(self, path: bytes) -> API:
        for api in self._apis:
            if api.serves(path):
                break
        return api

    async def _admit(self, request: Request, api: API) -> None:
        """Give a request its scope, unless its path needs none."""
        if api.admits_itself:
            self._access.check_source(request)
            return
        scope = self._access.scope_of(request)
        if scope is None and clean_page_path(request.path) not in PUBLIC_PATHS:
            scope = await self._access.authenticate(request)
        if scope is not None:
            request.scope = scope


class _Sent:
    """What of a response was sent."""

    __slots__ = ("is_complete", "size", "status")

    def __init__(self) -> None:
        self.status = 500
        self.size = 0
        self.is_complete = False

    def counting(self, send: Send) -> Send:
        """Return a `send` that counts the bytes of a response in pieces, and sees its end."""

        async def counting(message: Message) -> None:
            await send(message)
            if message["type"] == "http.response.body":
                self.size += len(message.get("body", b""))
                self.is_complete = not message.get("more_body", False)

        return counting


def _log(request: Request, sent: _Sent, duration_ms: float) -> None:
    """Log a request, if it is slow, failed, or all are logged."""
    is_usual = duration_ms < SLOW_MS and sent.status < 500
    if is_usual and not is_logged():
        return
    fields = RequestFields(
        request.method,
        request.route,
        sent.status,
        round(duration_ms, 2),
        0 if request.method == "HEAD" else sent.size,
        request.request_id,
        request.key_id,
        not sent.is_complete,
    )
    if is_usual:
        log_usual_request(fields)
    else:
        log_request(fields)


class CrossOriginApplication(Application):
    """An application that web pages of some other origins may call (CORS).

    Args:
        origins: these origins.
        given, named: the arguments of Application.
    """

    def __init__(self, origins: AllowedOrigins, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._origins = origins

    async def _respond(self, request: Request) -> Response:
        if self._origins.is_preflight(request):
            response = self._preflight(request)
        else:
            response = await super()._respond(request)
        response.raw_headers += self._origins.headers(request.headers.items())
        return response

    def _preflight(self, request: Request) -> Response:
        request.route = self._api_of(request.path).route_of(request.path)
        # It carries no credential, and its response has no data.
        try:
            self._access.check_source(request)
        except UserkeepError as error:
            return problem_response(error, request.request_id)
        return preflight_response()


PUBLIC_PATHS = frozenset((b"/healthz", b"/readyz", b"/favicon.ico")) | DOCS_PATHS
"""They need no key: what asks whether a server works often has none, and a browser sends none with
the address of a page. `/docs` is the same for every server; it asks for a key to show the API."""

_PROBES = frozenset((b"/healthz", b"/readyz", b"/metrics"))
"""A server that gets no other requests is idle: they come at fixed intervals, day and night."""

_OPEN = (b"userkeep-authentication", b"none")
"""In every response of a server without keys."""

_STOPPING = "The server is stopping. Whether the request was performed is unknown."


def _running(
    worker: Worker, compute: ComputeThreads, traces: Traces | None
) -> Callable[[Any], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_application: Any) -> AsyncIterator[None]:
        await worker.start()
        yield
        await worker.stop()
        compute.close()
        if traces is not None:
            await traces.close()

    return lifespan
