"""`userkeep serve`: one process, one event loop, until a signal stops it."""

import errno
import logging
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

import click
import uvicorn

from userkeep.cli.options import settings_options
from userkeep.cli.output.escaping import SafeFormatter, echo
from userkeep.config import SettingError, Settings, load_settings
from userkeep.http.access import is_loopback
from userkeep.http.app import Application
from userkeep.http.coalescing import CoalescingProtocol
from userkeep.instance import open_instance
from userkeep.server import make_application, tune_interpreter
from userkeep.version import __version__

logger = logging.getLogger(__name__)

_SHUTDOWN_TIMEOUT_S = 10
_LOG_INTERVAL_S = 5.0
_BACKLOG = 2048
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@click.command()
@settings_options()
def serve(**given: Any) -> None:
    """Serve the HTTP APIs until stopped.

    \b
    userkeep serve
    userkeep serve --database sqlite:////var/lib/userkeep/userkeep.db --port 9000
    """
    run_server(load_settings(given))


def run_server(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; then finish running requests (up to 10 s) and queued writes.

    Raises:
        SettingError: the address cannot be used, or needs authentication, which there is not yet.
        StorageError: the database cannot be opened.
    """
    _check_is_private(settings)
    _configure_logging(settings.log_level)
    with _listen(settings) as listener:
        port = listener.getsockname()[1]
        url = url_of(settings.host, port)
        local_url = url_of(_local_host(settings.host), port)
        instance = open_instance(settings, url=local_url, progress=_IndexLog().add)
        try:
            server = _Server(_uvicorn(make_application(instance, settings)))
            server.banner = _banner(settings, url, instance.engine.describe())
            tune_interpreter()
            server.run(sockets=[listener])
        finally:
            instance.close()


def _local_host(host: str) -> str:
    """Return the address at which this machine reaches a server that listens on all addresses."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - not listened on


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
            logger.warning("building the search index: %s messages so far", f"{self._messages:,}")


def _uvicorn(application: Application) -> uvicorn.Config:
    return uvicorn.Config(
        application,
        loop="uvloop",
        http=CoalescingProtocol,
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_SHUTDOWN_TIMEOUT_S,
    )


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=_BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise SettingError(
                f"Port {settings.port} on {settings.host} is already in use. Use --port to choose "
                "another."
            ) from error
        where = url_of(settings.host, settings.port)
        raise SettingError(f"Cannot listen on {where}: {error.strerror}.") from error


def _configure_logging(level: str) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(SafeFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler])
    if level == "info":
        # The banner replaces the four lines that uvicorn logs at this level.
        logging.getLogger("uvicorn").setLevel(logging.WARNING)


def url_of(host: str, port: int) -> str:
    """Return the URL of a server on this machine."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _Server(uvicorn.Server):
    """A server that prints a banner when it is ready, and returns when a signal stops it.

    Uvicorn's own raises the signal again after its end, which would end the process before the
    database is closed.
    """

    banner = ""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        previous = {each: signal.signal(each, self.handle_exit) for each in _STOP_SIGNALS}
        try:
            yield
        finally:
            for each, handler in previous.items():
                signal.signal(each, handler)

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        await super().startup(sockets)  # type: ignore[arg-type]
        if self.started:
            echo(self.banner)


def _check_is_private(settings: Settings) -> None:
    if is_loopback(settings.host) or settings.insecure_no_auth:
        return
    raise SettingError(
        f"Other machines can reach {settings.host}, and Userkeep has no authentication yet. Serve "
        "on 127.0.0.1 (the default), or pass --insecure-no-auth if a reverse proxy authenticates "
        "requests."
    )


def _banner(settings: Settings, url: str, engine: str) -> str:
    if is_loopback(settings.host):
        auth = "off: every program on this machine has access, web pages do not"
    else:
        auth = "OFF (--insecure-no-auth): everyone who can reach this address has access"
    return (
        f"Userkeep {__version__} listens on {url}\n"
        f"  database  {engine}\n"
        f"  auth      {auth}\n"
        f"  docs      {url}/docs"
    )
