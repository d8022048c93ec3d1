"""Access control: which requests are admitted, and in which scope they run.

A server without keys is open to every program of this machine, and a web browser is one: any page
it shows could write to the server. So a request is rejected if its Host is not loopback (DNS
rebinding: the page's own host name resolves to this machine), if it has the Origin of another site,
or if the browser marks it as cross-site. A request that repeats one of these headers is rejected
too. Settings allow other hosts, and the pages of other origins.

A server with keys asks every request for one, but for those that ask whether it works. No page can
send one that it does not have, so any Host is allowed unless the settings name those that are.
"""

from collections.abc import Container, Sequence
from ipaddress import ip_address

from userkeep.domain.errors import Forbidden
from userkeep.domain.scope import Scope
from userkeep.domain.values.addresses import AllowedHost, split_host
from userkeep.http.authentication import Authenticator
from userkeep.http.requests import Request


class AccessControl:
    """Admit requests, except those that web pages of other origins send.

    Args:
        authenticator: finds the scope of a request.
        any_host: do not check the Host header (the server is open to other machines on purpose).
        hosts: hosts that the Host header may name besides loopback.
        origins: other origins whose web pages are admitted.
    """

    def __init__(
        self,
        authenticator: Authenticator,
        *,
        any_host: bool,
        hosts: Sequence[AllowedHost] = (),
        origins: Container[bytes] = (),
    ) -> None:
        self._authenticator = authenticator
        self._any_host = any_host
        self._hosts = tuple(hosts)
        self._origins = origins
        self._loopback_hosts: set[bytes] = set()

    @property
    def is_open(self) -> bool:
        """Whether requests need no key."""
        return self._authenticator.is_open

    def scope_of(self, request: Request) -> Scope | None:
        """Return the scope in which a request runs; None if `authenticate` must find it.

        Raises:
            Forbidden: the request comes from a web page, or names another host.
            BadRequest: a header is repeated.
        """
        self.check_source(request)
        return self._authenticator.known(request)

    async def authenticate(self, request: Request) -> Scope:
        """Return the scope in which a request runs, which needs a trip to the database.

        Raises:
            Unauthenticated: it has no valid credential.
        """
        return await self._authenticator.authenticate(request)

    def check_source(self, request: Request) -> None:
        """Check that a request names this server, and comes from no other web page.

        Raises:
            Forbidden: the request comes from a web page, or names another host.
            BadRequest: a header is repeated.
        """
        request.check_headers()
        headers = request.headers
        host = headers.get(b"host", b"")
        if not (self._is_any_host or self._is_loopback(host) or self._is_allowed(host)):
            raise Forbidden(_OTHER_HOST_THAN_ALLOWED if self._hosts else _OTHER_HOST)
        origin = headers.get(b"origin")
        if origin is not None and origin in self._origins:
            return
        site = headers.get(b"sec-fetch-site")
        if site is not None and site.lower() == b"cross-site":
            raise Forbidden("Requests from web pages of other sites are rejected.")
        if origin is not None and not self._is_own_origin(origin.lower(), host, request):
            raise Forbidden("Requests from web pages of other origins are rejected.")

    @property
    def _is_any_host(self) -> bool:
        return self._any_host or not (self._authenticator.is_open or self._hosts)

    def _is_own_origin(self, origin: bytes, host: bytes, request: Request) -> bool:
        scheme, _, origin_host = origin.partition(b"://")
        default_port = b":443" if scheme == b"https" else b":80"
        own_hosts = {host.lower(), host.lower().removesuffix(default_port)}
        if origin_host not in own_hosts or not origin_host:
            return False
        if scheme == request.scheme.encode():
            return True
        # Behind a reverse proxy that ends TLS, pages have https and their requests arrive as http.
        return scheme == b"https" and (self._is_any_host or not self._is_loopback(host))

    def _is_loopback(self, host: bytes) -> bool:
        if host in self._loopback_hosts:
            return True
        if not is_loopback_host(host):
            return False
        if len(self._loopback_hosts) < _MAX_KNOWN_HOSTS:
            self._loopback_hosts.add(host)
        return True

    def _is_allowed(self, host: bytes) -> bool:
        if not self._hosts:
            return False
        found = split_host(host.decode("latin-1").lower())
        return found is not None and any(each.admits(*found) for each in self._hosts)


_MAX_KNOWN_HOSTS = 64

_OTHER_HOST = (
    "The Host header must be a loopback name or address, such as localhost or 127.0.0.1: this "
    "server accepts requests from its own machine only. Use --allowed-host to allow another host."
)
_OTHER_HOST_THAN_ALLOWED = (
    "The Host header must be a loopback name or address, or a host that --allowed-host names."
)


def is_loopback(host: str) -> bool:
    """Return whether a host name or address is the loopback of this machine."""
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def is_loopback_host(host: bytes) -> bool:
    """Return whether a Host header names the loopback of this machine, with or without a port."""
    return is_loopback(_without_port(host.decode("latin-1")))


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() else host
