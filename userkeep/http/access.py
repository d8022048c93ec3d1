"""Access control: which requests are admitted, and in which scope they run.

There are no keys yet. A server on loopback is open to every program of this machine, and a web
browser is one: any page it shows could write to the server. So a request is rejected if its Host is
not loopback (a name that a page's owner has pointed here), if it carries a foreign Origin, or if
the browser itself calls it cross-site.
"""

from ipaddress import ip_address

from userkeep.domain.errors import Forbidden
from userkeep.domain.scope import Scope
from userkeep.http.requests import Request


class AccessControl:
    """Admits requests, but for those that a web page sends.

    Args:
        scope: in which every admitted request runs.
        any_host: do not check the Host header (the server is open to others on purpose).
    """

    def __init__(self, scope: Scope, *, any_host: bool) -> None:
        self._scope = scope
        self._any_host = any_host
        self._loopback_hosts: set[bytes] = set()

    def admit(self, request: Request) -> Scope:
        """Return the scope in which a request runs.

        Raises:
            Forbidden: with a sentence that says why.
        """
        headers = request.headers
        host = headers.get(b"host", b"")
        if not self._any_host and not self._is_loopback(host):
            raise Forbidden(
                "This server is open to this machine alone and answers only to a loopback name "
                "such as 127.0.0.1 or localhost in the Host header."
            )
        if headers.get(b"sec-fetch-site") == b"cross-site":
            raise Forbidden("Requests from web pages of other sites are rejected.")
        origin = headers.get(b"origin")
        if origin is not None and (origin == b"null" or origin.partition(b"://")[2] != host):
            raise Forbidden("Requests from web pages of other origins are rejected.")
        return self._scope

    def _is_loopback(self, host: bytes) -> bool:
        if host in self._loopback_hosts:
            return True
        if not is_loopback(_without_port(host.decode("latin-1"))):
            return False
        if len(self._loopback_hosts) < 64:
            self._loopback_hosts.add(host)
        return True


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's loopback."""
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() else host
