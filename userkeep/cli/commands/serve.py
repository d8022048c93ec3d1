"""`userkeep serve`: one process, one event loop, until a signal stops it."""

import asyncio
import logging
import os
import resource
import socket
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any, Literal, NamedTuple

import click
import uvicorn
from starlette.types import ASGIApp

from userkeep.cli.exits import REJECTED, USAGE, code_of
from userkeep.cli.listener import Listener, listen, listen_for_metrics, url_of
from userkeep.cli.metrics_port import MetricsPort
from userkeep.cli.notify import READY, STOPPING, notify
from userkeep.cli.options import SettingsCommand, settings_options
from userkeep.cli.output.escaping import echo
from userkeep.cli.output.logs import configure_logging
from userkeep.cli.stopping import Stop
from userkeep.config import (
    SettingError,
    Settings,
    check_api_key,
    ignored_variables,
    is_postgres,
    load_server_settings,
    requested_log_format,
    sqlite_path,
)
from userkeep.domain.errors import UserkeepError
from userkeep.domain.values.counts import pluralize
from userkeep.embedders import describe_embedder
from userkeep.http.access import is_loopback
from userkeep.http.connections import Connections
from userkeep.http.metrics import Metrics
from userkeep.http.protocol import ServerProtocol
from userkeep.instance import Instance, open_instance
from userkeep.key_files import read_key_file
from userkeep.server import (
    allowed_origins,
    behind_proxies,
    check_traces,
    make_application,
    make_limits,
    make_metrics_application,
    tune_interpreter,
)
from userkeep.services import authentication
from userkeep.services.instance import MOST_COUNTED, count_contents
from userkeep.version import __version__

logger = logging.getLogger(__name__)

_FINISH_REQUESTS_S = 7
_LOG_INTERVAL_S = 5.0
_METRICS_CONNECTIONS = 16
_FILES_OF_DATABASE = 128


@click.command(cls=SettingsCommand)
@settings_options()
def serve(**given: Any) -> None:
    """Serve the HTTP APIs until stopped.

    \b
    userkeep serve
    userkeep serve --database /var/lib/userkeep/userkeep.db --port 9000

    It listens on the port in the environment variable PORT if none is set for it. SIGTERM, SIGINT,
    SIGHUP and SIGQUIT stop it: requests and writes are finished, in 10 s at most, and the exit code
    is 0. It is 1 if the database cannot be opened or used, and 2 for a wrong setting or an address
    that is in use.
    """
    with _failures_logged(requested_log_format(given)):
        run_server(load_server_settings(given))


@contextmanager
def _failures_logged(log_format: str) -> Iterator[None]:
    """In JSON, log what ends the server in place of printing it."""
    if log_format != "json":
        yield
        return
    configure_logging("info", log_format)
    try:
        yield
    except SettingError as error:
        logger.critical("%s", error)
        sys.exit(USAGE)
    except UserkeepError as error:
        logger.critical("%s", error.detail)
        sys.exit(code_of(error))
    except Exception:
        logger.critical("the server failed", exc_info=True)
        sys.exit(REJECTED)


def run_server(settings: Settings) -> None:
    """Serve until SIGTERM, SIGINT, SIGHUP or SIGQUIT; then finish running requests and writes.

    A stop takes at most 10 s, whatever runs; further signals change nothing. A signal before
    the server is ready ends the start.

    Raises:
        SettingError: the address cannot be used, or needs authentication, and there is no key.
        StorageError: the database cannot be opened.
    """
    settings = _with_api_key(settings)
    check_traces(settings)
    if not (_has_credential(settings) or _is_database_there(settings)):
        _check_is_private(settings)  # before a database is created
    _configure_logging(settings)
    _warn_of_ignored(ignored_variables())
    # For numpy, if it is loaded: its threads wait for each other actively, on cores that the server
    # needs, and one request's vectors are few.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    stop = Stop()
    with stop.on_signals(), ExitStack() as stack:
        listener = stack.enter_context(listen(settings))
        for_metrics = stack.enter_context(listen_for_metrics(settings))
        instance = open_instance(settings, url=listener.local_url, progress=_IndexLog().add)
        stack.callback(instance.close)
        if instance.embedder is not None:
            instance.embedder.start()
        has_keys = _has_credential(settings) or instance.engine.read(authentication.is_required)
        if not has_keys:
            _check_is_private(settings)
        limits = make_limits(settings)._replace(connections=_connections_that_fit(settings))
        connections = Connections(limits, origins=allowed_origins(settings))
        application = make_application(instance, settings, connections=connections)
        config = _uvicorn(behind_proxies(application, settings), connections)
        metrics_port = _metrics_port(application.metrics, for_metrics, settings)
        server = _Server(config, connections, stop, metrics_port)
        banner = _banner(settings, listener.url, instance, has_keys)
        server.announce = partial(_announce, banner, as_log=settings.log_format == "json")
        tune_interpreter()
        server.run(sockets=[listener.socket])


def _metrics_port(
    metrics: Metrics | None, listener: Listener | None, settings: Settings
) -> MetricsPort | None:
    """Return the port for metrics, if the settings name one."""
    if metrics is None or listener is None:
        return None
    connections = Connections(make_limits(settings)._replace(connections=_METRICS_CONNECTIONS))
    application = make_metrics_application(metrics, settings)
    return MetricsPort(_uvicorn(application, connections, lifespan="off"), listener.socket)


def _warn_of_ignored(variables: list[str]) -> None:
    if variables:
        logger.warning(
            "ignored %s: Kubernetes sets them for a Service with the name userkeep. Set "
            "enableServiceLinks: false in the pod",
            ", ".join(variables),
        )


class _IndexLog:
    """Logs every few seconds how far the search index is, while it is built before serving."""

    def __init__(self) -> None:
        self._messages = 0
        self._logged_at = 0.0

    def add(self, messages: int) -> None:
        """Count messages that were indexed."""
        self._messages += messages
        if messages and monotonic() > self._logged_at + _LOG_INTERVAL_S:
            self._logged_at = monotonic()
            done = pluralize(self._messages, "message")
            logger.warning("building the search index: %s so far", done)


def _connections_that_fit(settings: Settings) -> int:
    """Allow as many open files as connections and database need; return how many connections fit.

    Without a descriptor for the database every request would fail, and not only one too many.
    """
    for_database = settings.postgres_pool_size + _FILES_OF_DATABASE
    if settings.metrics_port:
        for_database += _METRICS_CONNECTIONS
    needed = settings.max_connections + for_database
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return settings.max_connections
    allowed = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed == needed:
        return settings.max_connections
    fit = max(allowed - for_database, 1)
    logger.warning(
        "this process may open %s: there is room for %s. Raise the limit (ulimit -n), "
        "or lower USERKEEP_MAX_CONNECTIONS from %s",
        pluralize(hard, "file"),
        pluralize(fit, "connection"),
        f"{settings.max_connections:,}",
    )
    return fit


def _uvicorn(
    application: ASGIApp, connections: Connections, lifespan: Literal["on", "off"] = "on"
) -> uvicorn.Config:
    return uvicorn.Config(
        application,
        loop="uvloop",
        http=partial(ServerProtocol, connections),  # type: ignore[arg-type]
        ws="none",
        lifespan=lifespan,
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_FINISH_REQUESTS_S,
    )


def _configure_logging(settings: Settings) -> None:
    if settings.log_format == "json":  # is configured since before the settings were read
        logging.getLogger().setLevel(settings.log_level.upper())
    else:
        configure_logging(settings.log_level, settings.log_format)
    # The HTTP library logs each of its requests too, which are those for embeddings.
    for name in ("httpx2", "httpcore2"):
        logging.getLogger(name).setLevel(logging.WARNING)
    if settings.log_level == "info":
        # The banner replaces the four lines that uvicorn logs at this level.
        logging.getLogger("uvicorn").setLevel(logging.WARNING)


class _Server(uvicorn.Server):
    """A server that announces when it is ready, and returns when a signal stops it.

    Uvicorn's own raises the signal again after its end, which would end the process before the
    database is closed.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        connections: Connections,
        stop: Stop,
        metrics_port: MetricsPort | None,
    ) -> None:
        super().__init__(config)
        self.announce: Callable[[], None] | None = None
        self._metrics_port = metrics_port
        self._all_connections = connections
        stop.call(self._stop)

    def _stop(self) -> None:
        self.should_exit = True

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # they have handlers already

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        await super().startup(sockets)  # type: ignore[arg-type]
        if self.started and self._metrics_port is not None:
            await self._metrics_port.start()
        if self.started and self.announce is not None and not self.should_exit:
            self.announce()
            notify(READY)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        notify(STOPPING)
        loop = asyncio.get_running_loop()
        loop.call_later(_FINISH_REQUESTS_S - 1, self._all_connections.abort_unsent)
        if self._metrics_port is not None:
            await self._metrics_port.stop()
        await super().shutdown(sockets)
        # The loop waits for the threads of its executor when it ends. One that hangs must not keep
        # the database from being closed.
        loop.set_default_executor(ThreadPoolExecutor(1))


def _check_is_private(settings: Settings) -> None:
    if settings.uds or is_loopback(settings.host) or settings.insecure_no_auth:
        return
    raise SettingError(
        f"Other machines can reach {settings.host}, and there is no API key. Create one with "
        "`userkeep keys create --scope admin`, or set USERKEEP_API_KEY. Otherwise serve on "
        "127.0.0.1 (the default), or pass --insecure-no-auth if a reverse proxy authenticates "
        "requests."
    )


def _has_credential(settings: Settings) -> bool:
    return bool(settings.api_key or settings.zep_auth_secret)


def _is_database_there(settings: Settings) -> bool:
    if is_postgres(settings.database_url):
        return True
    return Path(sqlite_path(settings.database_url)).exists()


def _with_api_key(settings: Settings) -> Settings:
    """Return the settings with the key of the file, if one is named and no key is set."""
    if settings.api_key:
        return settings
    key = read_key_file(settings.api_key_file)
    check_api_key(key)
    return replace(settings, api_key=key)


def _describe(opened: Instance) -> str:
    """Describe a database: its engine, whether it was created now, and else what it has."""
    place = opened.engine.describe()
    if opened.is_new:
        return f"{place} (created)"
    users, sessions = opened.engine.read(count_contents)
    return f"{place} (opened: {_counted(users, 'user')}, {_counted(sessions, 'session')})"


def _counted(number: int, noun: str) -> str:
    if number >= MOST_COUNTED:
        return f"{MOST_COUNTED:,} or more {noun}s"
    return pluralize(number, noun)


class _Banner(NamedTuple):
    """What a server says when it is ready: a line, and some fields."""

    line: str
    fields: dict[str, str]


def _banner(settings: Settings, url: str, instance: Instance, has_keys: bool) -> _Banner:
    fields = {
        "database": _describe(instance),
        "auth": "API keys" if has_keys else _access(settings),
        "docs": _page_url(settings, url, "/docs"),
    }
    if settings.console:
        fields["console"] = _page_url(settings, url, "/console")
    if instance.embedder is not None:
        fields["model"] = describe_embedder(instance.embedder, settings)
    if settings.metrics_port:
        fields["metrics"] = f"{url_of(settings.metrics_host, settings.metrics_port)}/metrics"
    return _Banner(f"Userkeep {__version__} listens on {url}", fields)


def _announce(banner: _Banner, *, as_log: bool) -> None:
    """Print the banner, or log it."""
    if as_log:
        logger.info("%s", banner.line, extra={"fields": banner.fields})
        return
    echo("\n".join((banner.line, *(f"  {k:<10}{v}" for k, v in banner.fields.items()))))


def _access(settings: Settings) -> str:
    """Describe who has access."""
    if not settings.uds and not is_loopback(settings.host):
        return "OFF (--insecure-no-auth): everyone who can reach this address has access"
    if settings.allowed_host:
        return f"OFF: everyone who can reach {', '.join(settings.allowed_host)} has access"
    if settings.uds:
        return "off: every program that may open the socket has access, web pages do not"
    return "off: every program on this machine has access, web pages do not"


def _page_url(settings: Settings, url: str, path: str) -> str:
    return f"{settings.root_path}{path}" if settings.uds else f"{url}{path}"
