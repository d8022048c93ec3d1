"""The socket of a server: an address and a port, or a Unix socket."""

import errno
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from userkeep.config import SettingError, Settings
from userkeep.storage.private_files import kind_of

_BACKLOG = 2048
_FIRST_FREE_PORT = 1024
# `socket.create_server` raises an OSError with the number of a `gaierror`.
_UNKNOWN_HOST = {
    getattr(socket, name)
    for name in ("EAI_NONAME", "EAI_NODATA", "EAI_ADDRFAMILY", "EAI_AGAIN", "EAI_FAIL")
    if hasattr(socket, name)
}
_PRIVATE_UMASK = 0o177
_SOCKET_MODE = 0o660


class Listener(NamedTuple):
    """A socket that accepts connections.

    Attributes:
        url: where it listens.
        local_url: where programs of this machine reach it.
    """

    socket: socket.socket
    url: str
    local_url: str


@contextmanager
def listen(settings: Settings) -> Iterator[Listener]:
    """Listen where the settings say; at the end, close and remove the socket.

    Raises:
        SettingError: the address or the path cannot be used.
    """
    if settings.uds:
        with _listen_on_path(os.path.abspath(settings.uds)) as listening:  # noqa: PTH100
            yield listening
        return
    with _listen_on_port(settings.host, settings.port, "--port") as listening_socket:
        port = listening_socket.getsockname()[1]
        local_url = url_of(_local_host(settings.host), port)
        yield Listener(listening_socket, url_of(settings.host, port), local_url)


@contextmanager
def listen_for_metrics(settings: Settings) -> Iterator[Listener | None]:
    """Listen on the port for metrics; None if there is none.

    Raises:
        SettingError: the address cannot be used.
    """
    if not settings.metrics_port:
        yield None
        return
    host, port = settings.metrics_host, settings.metrics_port
    with _listen_on_port(host, port, "--metrics-port") as listening_socket:
        yield Listener(listening_socket, url_of(host, port), url_of(_local_host(host), port))


def url_of(host: str, port: int) -> str:
    """Return the URL of a server on this machine."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _local_host(host: str) -> str:
    """Return the address at which this machine reaches a server that listens on all addresses."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - not listened on


def _listen_on_port(host: str, port: int, flag: str) -> socket.socket:
    _check_host(host)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise SettingError(_reason(error, host, port, flag)) from error


def _reason(error: OSError, host: str, port: int, flag: str) -> str:
    """Return why a port cannot be listened on, and what to do.

    Args:
        flag: names the port; the flag of the host begins alike.
    """
    host_flag = flag.replace("port", "host")
    if error.errno in _UNKNOWN_HOST:
        return (
            f"The host {host!r} has no address that this machine knows. Use {host_flag} with an "
            "address of this machine, such as 127.0.0.1."
        )
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} on {host} is already in use. Use {flag} to choose another."
    if error.errno == errno.EACCES:
        return (
            f"This user may not listen on port {port}: ports below {_FIRST_FREE_PORT} need a "
            f"privilege. Use {flag} to choose another, such as 8000, behind a reverse proxy; or "
            "give the process the capability CAP_NET_BIND_SERVICE."
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return (
            f"{host} is not an address of this machine. Use {host_flag} to choose one of its "
            "addresses, such as 127.0.0.1; 0.0.0.0 means all of them."
        )
    return f"Cannot listen on {url_of(host, port)}: {error.strerror}."


def _check_host(host: str) -> None:
    """Check what `socket` cannot encode, before it leaves a socket open."""
    if not host:
        raise SettingError(
            "The host is empty. Use 127.0.0.1 for this machine alone, or 0.0.0.0 for every address."
        )
    try:
        host.encode("idna")
    except UnicodeError as error:
        raise SettingError(f"{host!r} is neither the name nor the address of a host.") from error


@contextmanager
def _listen_on_path(path: str) -> Iterator[Listener]:
    _remove_stale(path)
    with socket.socket(socket.AF_UNIX) as listening:
        try:
            _bind(listening, path)
            identity = _identity(path)
            listening.listen(_BACKLOG)
        except OSError as error:
            # A path that is too long has a sentence of Python's and no error number.
            reason = error.strerror or str(error)
            raise SettingError(f"Cannot listen on the Unix socket {path}: {reason}.") from error
        try:
            yield Listener(listening, f"unix:{path}", f"unix:{path}")
        finally:
            with suppress(OSError):
                if _identity(path) == identity:  # else another server has replaced it
                    Path(path).unlink()


def _bind(listening: socket.socket, path: str) -> None:
    """Create the socket file; it never has more permissions than in the end."""
    umask = os.umask(_PRIVATE_UMASK)
    try:
        listening.bind(path)  # fails if there is anything at the path
    finally:
        os.umask(umask)
    Path(path).chmod(_SOCKET_MODE)


def _remove_stale(path: str) -> None:
    """Remove the socket file of a server that has crashed.

    Raises:
        SettingError: a server listens on it, or it is not a socket.
    """
    try:
        status = Path(path).lstat()
    except OSError:
        return  # nothing is there, or else binding fails too
    if not stat.S_ISSOCK(status.st_mode):
        kind = kind_of(status) or "file"
        raise SettingError(f"{path} is a {kind}, not a Unix socket. Use --uds to choose another.")
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            with suppress(FileNotFoundError):
                Path(path).unlink()
            return
        except OSError as error:
            reason = error.strerror or str(error)
            raise SettingError(f"Cannot use the Unix socket {path}: {reason}.") from error
    raise SettingError(
        f"Another program listens on the Unix socket {path}. Use --uds to choose another."
    )


def _identity(path: str) -> tuple[int, int]:
    status = Path(path).lstat()
    return status.st_dev, status.st_ino
