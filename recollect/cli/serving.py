"""`recollect serve`: one process, one event loop, until it is told to stop."""

import click
import uvicorn

from recollect import __version__
from recollect.config import SettingError, Settings
from recollect.http.guard import is_loopback
from recollect.main import make_application, open_recollect

_FINISH_REQUESTS_S = 10


def run_server(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT: then finish requests (10 s), the queue, and the log.

    Raises:
        SettingError: others could reach the server, and it has no authentication.
        StorageError: the database cannot be opened.
    """
    _refuse_open_doors(settings)
    recollect = open_recollect(settings, url=url_of(settings))
    try:
        server = _Server(
            uvicorn.Config(
                make_application(recollect, settings),
                host=settings.host,
                port=settings.port,
                loop="uvloop",
                http="httptools",
                ws="none",
                lifespan="on",
                access_log=False,
                log_level=settings.log_level,
                log_config=None,
                server_header=False,
                date_header=False,
                proxy_headers=False,
                backlog=2048,
                timeout_graceful_shutdown=_FINISH_REQUESTS_S,
            )
        )
        server.banner = _banner(settings, recollect.engine.describe())
        server.run()
    finally:
        recollect.close()
    if not server.started:
        raise SettingError(
            f"Nothing could listen on {url_of(settings)}; is another server there already?"
        )


def url_of(settings: Settings) -> str:
    """Where the server is reached from this machine."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"http://{host}:{settings.port}"


class _Server(uvicorn.Server):
    banner = ""

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


def _banner(settings: Settings, engine: str) -> str:
    if is_loopback(settings.host):
        auth = "off: open to programs of this machine, closed to web pages"
    else:
        auth = "OFF by --insecure-no-auth: open to everybody who can reach it"
    return (
        f"Recollect {__version__} listens on {url_of(settings)}\n"
        f"  database  {engine}\n"
        f"  auth      {auth}\n"
        f"  docs      {url_of(settings)}/docs"
    )
