"""The server's wiring: an open instance, and the APIs to it."""

import gc
import sys
from typing import TYPE_CHECKING, Any

from starlette.types import ASGIApp

from userkeep.backups import schedule_of
from userkeep.config import MIB, SettingError, Settings, shown_settings
from userkeep.domain.scope import Scope
from userkeep.domain.values.addresses import parse_allowed_host, parse_origin
from userkeep.http.access import AccessControl, is_loopback
from userkeep.http.app import API, Application, CrossOriginApplication
from userkeep.http.authentication import Authenticator
from userkeep.http.compat.zep_v1 import ZepV1API
from userkeep.http.compute import ComputeThreads
from userkeep.http.connections import Connections
from userkeep.http.console import About, Console, Operations
from userkeep.http.cors import AllowedOrigins
from userkeep.http.health import ReadinessChecks
from userkeep.http.limits import Limits
from userkeep.http.metrics import Metrics, MetricsApplication, RequestFigures, Sources
from userkeep.http.native import NativeAPI
from userkeep.http.pages import Pages
from userkeep.http.proxies import ForwardedHeaders, RootPath
from userkeep.http.requests import BodyMemory
from userkeep.instance import Instance
from userkeep.storage.engine import Engine
from userkeep.worker.timers import SERVER_TIMERS, Timers
from userkeep.worker.traces import JobTraces, NoTraces
from userkeep.worker.worker import Worker

if TYPE_CHECKING:
    from userkeep.http.traces import OpenTelemetryTraces

_SWITCH_INTERVAL_S = 0.0005
_GARBAGE_THRESHOLD = 10_000


def make_application(
    instance: Instance,
    settings: Settings,
    timers: Timers = SERVER_TIMERS,
    connections: Connections | None = None,
) -> Application:
    """Return the ASGI application of an open instance.

    Without keys, a server on loopback checks the Host header; one that was opened to others on
    purpose (`insecure_no_auth`) can do so only if it knows its hosts (`allowed_host`).

    Args:
        timers: how long background work waits; a test passes shorter times.
        connections: those of the server, if it has a socket; they are in its metrics.

    Raises:
        SettingError, StorageError: the settings of backups; see `backups.schedule_of`.
    """
    engine, scope = instance.engine, instance.scope
    traces = _open_traces(settings)
    if traces is not None:
        engine = traces.engine(engine)
    authenticator = _authenticator_of(settings, engine, scope)
    given_traces = traces or NoTraces()
    worker = _worker_of(settings, instance, engine, timers, authenticator, given_traces)
    compute = ComputeThreads()
    embedding = worker.embedding if worker.embedding.is_configured else None
    readiness = ReadinessChecks(
        engine, instance.ledger, settings.min_free_mib * MIB, embedding=embedding
    )
    sources = Sources(
        engine,
        worker,
        authenticator,
        RequestFigures(),
        instance.ledger.file,
        schedule=scope.rules.purges,
        wal_limit_bytes=settings.wal_limit_mib * MIB,
        connections=connections,
        embedder=instance.embedder,
    )
    metrics = Metrics(sources, readiness) if settings.metrics else None
    apis: list[API] = [
        ZepV1API(engine, worker, compute, instance.embedder),
        NativeAPI(engine, worker, compute, authenticator),
    ]
    if settings.console:
        operations = Operations(engine, worker, compute, authenticator)
        about = About(readiness, shown_settings(settings))
        apis.append(Console(operations, authenticator, scope.rules, about))
    apis.append(Pages(readiness, metrics, has_console=settings.console))
    origins = allowed_origins(settings)
    access = _access_of(settings, authenticator, origins)
    body_memory = BodyMemory(settings.body_memory_mib * MIB)
    given = apis, access, worker, compute, body_memory
    compresses = settings.compression != "none"
    named: dict[str, Any] = {"compresses": compresses, "metrics": metrics, "traces": traces}
    if origins is not None:
        return CrossOriginApplication(origins, *given, **named)
    return Application(*given, **named)


def _worker_of(
    settings: Settings,
    instance: Instance,
    engine: Engine,
    timers: Timers,
    authenticator: Authenticator,
    traces: JobTraces,
) -> Worker:
    return Worker(
        engine,
        instance.scope.rules,
        instance.ledger,
        timers,
        authenticator,
        traces=traces,
        backup_schedule=schedule_of(settings),
        embedder=instance.embedder,
        hnsw_min_documents=settings.hnsw_min_documents,
    )


def _authenticator_of(settings: Settings, engine: Engine, scope: Scope) -> Authenticator:
    return Authenticator(
        engine,
        scope,
        static_key=settings.api_key,
        zep_secret=settings.zep_auth_secret,
        requests_per_minute=settings.rate_limit,
    )


def _access_of(
    settings: Settings, authenticator: Authenticator, origins: AllowedOrigins | None
) -> AccessControl:
    return AccessControl(
        authenticator,
        any_host=_is_any_host_allowed(settings),
        hosts=[parse_allowed_host(each) for each in settings.allowed_host],
        origins=origins or (),
    )


def check_traces(settings: Settings) -> None:
    """Check that traces can be recorded, if the settings want any.

    Raises:
        SettingError: OpenTelemetry is not installed.
    """
    if settings.traces:
        _traces_type()


def _open_traces(settings: Settings) -> "OpenTelemetryTraces | None":
    return _traces_type()() if settings.traces else None


def _traces_type() -> "type[OpenTelemetryTraces]":
    # Imported only if it is used: it is an extra, and costs memory and time.
    try:
        from userkeep.http.traces import OpenTelemetryTraces
    except ImportError as error:
        raise SettingError(
            "USERKEEP_TRACES is true, but OpenTelemetry is not installed. Install Userkeep with "
            "the extra `otel` (`pip install '.[otel]'` in a checkout), or set USERKEEP_TRACES to "
            "false."
        ) from error
    return OpenTelemetryTraces


def _is_any_host_allowed(settings: Settings) -> bool:
    is_open = settings.insecure_no_auth and not (settings.uds or is_loopback(settings.host))
    return is_open and not settings.allowed_host


def allowed_origins(settings: Settings) -> AllowedOrigins | None:
    """Return the origins whose web pages may call the server; None if there are none."""
    if not settings.cors_origin:
        return None
    return AllowedOrigins(parse_origin(each) for each in settings.cors_origin)


def behind_proxies(application: ASGIApp, settings: Settings) -> ASGIApp:
    """Wrap an application for the reverse proxies that the settings name, if they name any."""
    if settings.root_path:
        application = RootPath(application, settings.root_path)
    if settings.forwarded_allow_ips:
        application = ForwardedHeaders(application, settings.forwarded_allow_ips)
    return application


def make_metrics_application(metrics: Metrics, settings: Settings) -> MetricsApplication:
    """Return the ASGI application of the port for metrics."""
    return MetricsApplication(metrics, any_host=not is_loopback(settings.metrics_host))


def make_limits(settings: Settings) -> Limits:
    """Return the limits of connections."""
    return Limits(
        connections=settings.max_connections,
        waiting_bytes=settings.body_memory_mib * MIB,
        keep_alive_s=settings.keep_alive_seconds,
        transfer_s=settings.transfer_limit_seconds,
    )


def tune_interpreter() -> None:
    """Tune the interpreter of a process that does nothing but serve.

    A thread that waits for the interpreter gets it after the switch interval at the latest; with
    the default of 5 ms, a statement of the writer thread can wait that long for a busy event loop.

    It changes the whole process, so only the command that serves calls it, once everything is made.
    What was made at the start lives to the end, so the garbage collector skips it; and it runs less
    often, because a request makes hardly any cycles.
    """
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GARBAGE_THRESHOLD)
