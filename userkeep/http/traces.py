"""OpenTelemetry traces: a span for each request, for its transactions, and for jobs.

They have no ids of users, sessions and messages, no paths, no queries and no content. The standard
variables of OpenTelemetry (`OTEL_…`) say where they are sent. This module needs the extra `otel`.
"""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import Token
from urllib.parse import urlsplit

from opentelemetry.context import Context, attach, detach
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from requests import Session

from userkeep.domain.values.addresses import is_this_machine
from userkeep.http.metrics.requests import KNOWN_METHODS
from userkeep.http.requests import Request
from userkeep.http.traced_engine import TracedEngine
from userkeep.storage.engine import Engine
from userkeep.version import __version__
from userkeep.worker.threads import run_in_daemon_thread

_STOP_S = 3.0

_OTHER_METHOD = "_OTHER"  # as the conventions of OpenTelemetry call it


def _session() -> Session | None:
    """Return a session without a proxy for a receiver on this machine; else the exporter's own."""
    receiver = (
        os.environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
        or os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
        or "http://localhost:4318"
    )
    try:
        host = urlsplit(receiver).hostname or ""
    except ValueError:  # the exporter reports it
        return None
    if not is_this_machine(host):
        return None
    session = Session()
    session.trust_env = False
    return session


class OpenTelemetryTraces:
    """Records spans and sends them by OTLP over HTTP."""

    def __init__(self) -> None:
        service = {"service.name": "userkeep", "service.version": __version__}
        resource = Resource.create(service).merge(OTELResourceDetector().detect())
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(session=_session())))
        self._tracer = self._provider.get_tracer("userkeep", __version__)
        self._propagator = TraceContextTextMapPropagator()

    def engine(self, engine: Engine) -> TracedEngine:
        """Return an engine whose transactions are spans."""
        return TracedEngine(engine, self._tracer)

    def begin(self, request: Request) -> "RequestSpan":
        """Begin the span of a request; it is the current one until it ends."""
        parent = self._propagator.extract(_carrier(request))
        is_known = request.method in KNOWN_METHODS
        span = self._tracer.start_span(
            request.method if is_known else "HTTP",
            parent,
            SpanKind.SERVER,
            attributes={
                "http.request.method": request.method if is_known else _OTHER_METHOD,
                "url.scheme": request.scheme,
                "userkeep.request_id": request.request_id,
            },
        )
        return RequestSpan(span, attach(set_span_in_context(span)))

    @contextmanager
    def job(self, kind: str) -> Iterator[None]:
        """Record a run of a job."""
        with self._tracer.start_as_current_span(
            f"job {kind}", record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield
            except Exception as error:
                span.set_attribute("error.type", type(error).__name__)
                span.set_status(Status(StatusCode.ERROR))
                raise

    async def close(self) -> None:
        """Send what is left, for a few seconds at most."""
        with suppress(TimeoutError):
            closing = run_in_daemon_thread(self._provider.shutdown, "userkeep-traces")
            await asyncio.wait_for(closing, _STOP_S)


class RequestSpan:
    """The span of a request that is running."""

    __slots__ = ("_span", "_token")

    def __init__(self, span: Span, token: Token[Context]) -> None:
        self._span = span
        self._token = token

    def end(self, method: str, route: str, status: int) -> None:
        """End the span.

        Args:
            route: the template of the path; empty if it is unknown.
        """
        span = self._span
        if route and method in KNOWN_METHODS:
            span.update_name(f"{method} {route}")
            span.set_attribute("http.route", route)
        span.set_attribute("http.response.status_code", status)
        if status >= 500:
            span.set_attribute("error.type", str(status))
            span.set_status(Status(StatusCode.ERROR))
        detach(self._token)
        span.end()


def _carrier(request: Request) -> dict[str, str]:
    """Return the headers that say which trace a request belongs to (W3C Trace Context)."""
    headers = {name: request.header(name.encode()) for name in ("traceparent", "tracestate")}
    return {name: value for name, value in headers.items() if value is not None}
