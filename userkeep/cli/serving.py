"""`userkeep serve`: one process, one event loop, until it is told to stop."""

import logging
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

import click
import uvicorn

from userkeep.config import SettingError, Settings
from userkeep.http.access import is_loopback
from userkeep.http.app import Application
from userkeep.http.coalescing import CoalescingProtocol
from userkeep.instance import open_instance
from userkeep.server import make_application, tune_interpreter
from userkeep.version import __version__

logger = logging.getLogger(__name__)

_FINISH_REQUESTS_S = 10
_SAID_EVERY_S = 5.0
_BACKLOG = 2048
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def run_server(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT: then finish requests (10 s), the queue, and the log.

    Raises:
        SettingError: nothing can listen there; or others could reach the server, and it has no
            authentication.
        StorageError: the database cannot be opened.
    """
    _refuse_open_doors(settings)
    _log_at(settings.log_level)
    with _listen(settings) as listener:
        url = url_of(settings.host, listener.getsockname()[1])
        userkeep = open_instance(settings, url=url, progress=_IndexLog().tell)
        try:
            server = _Server(_uvicorn(make_application(userkeep, settings)))
            tune_interpreter()
            server.banner = _banner(settings, url, userkeep.engine.describe())
            server.run(sockets=[listener])
        finally:
            userkeep.close()


class _IndexLog:
    """Says now and then how far the index of words is, while it is made before serving begins."""

    def __init__(self) -> None:
        self._messages = 0
        self._said_at = 0.0

    def tell(self, messages: int) -> None:
        """So many messages more are in it."""
        self._messages += messages
        if messages and monotonic() > self._said_at + _SAID_EVERY_S:
            self._said_at = monotonic()
            logger.warning("making the index of words: %s messages so far", f"{self._messages:,}")


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
        timeout_graceful_shutdown=_FINISH_REQUESTS_S,
    )


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=_BACKLOG)
    except OSError as error:
        where = url_of(settings.host, settings.port)
        raise SettingError(
            f"Nothing could listen on {where}; is another server there already? ({error.strerror})"
        ) from error


def _log_at(level: str) -> None:
    logging.basicConfig(
        level=level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    if level == "info":
        # The banner says what uvicorn would say in four lines.
        logging.getLogger("uvicorn").setLevel(logging.WARNING)


def url_of(host: str, port: int) -> str:
    """Where the server is reached from this machine."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _Server(uvicorn.Server):
    """A server that says when it is ready, and returns when it is told to stop.

    Uvicorn's own would raise the signal again after its end, and the process would be gone before
    the database is closed.
    """

    banner = ""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        former = {each: signal.signal(each, self.handle_exit) for each in _STOP_SIGNALS}
        try:
            yield
        finally:
            for each, handler in former.items():
                signal.signal(each, handler)

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        await super().startup(sockets)  # type: ignore[arg-type]
        if self.started:
            click.echo(self.banner)


def _refuse_open_doors(settings: Settings) -> None:
    if is_loopback(settings.host) or settings.insecure_no_auth:
        return
    raise SettingError(
        f"Others can reach {settings.host}, and there is no key yet that they would need. Serve "
        "on 127.0.0.1 (the default), or say --insecure-no-auth if something else keeps the door."
    )


def _banner(settings: Settings, url: str, engine: str) -> str:
    if is_loopback(settings.host):
        auth = "off: open to programs of this machine, closed to web pages"
    else:
        auth = "OFF by --insecure-no-auth: open to everybody who can reach it"
    return (
        f"Userkeep {__version__} listens on {url}\n"
        f"  database  {engine}\n"
        f"  auth      {auth}\n"
        f"  docs      {url}/docs"
    )
