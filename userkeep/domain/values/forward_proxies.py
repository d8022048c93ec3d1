"""Which forward proxy the requests to a server go through, as the environment says."""

from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import NamedTuple
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from userkeep.domain.values.addresses import is_this_machine, parse_address


class ForwardProxy(NamedTuple):
    """A proxy.

    Attributes:
        url: its URL, with a password if it has one.
        variable: the environment variable that names it.
    """

    url: str
    variable: str


def find_proxy(url: str) -> ForwardProxy | None:
    """Return the proxy for the requests to the server at a URL, if they go through one.

    Requests to this machine never do: a proxy would be handed conversations that need not leave it.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if is_this_machine(host):
        return None
    known = getproxies()
    variable = next((each for each in (parts.scheme, "all") if known.get(each)), None)
    if variable is None or _is_excepted(parts.scheme, host, parts.port, known.get("no", "")):
        return None
    proxy = known[variable]
    full = proxy if "://" in proxy else f"http://{proxy}"
    return ForwardProxy(full, f"{variable.upper()}_PROXY")


def _is_excepted(scheme: str, host: str, port: int | None, exceptions: str) -> bool:
    """Return whether NO_PROXY, or the system's own list, has the host."""
    netloc = host if port is None else f"{host}:{port}"
    if ":" not in host and proxy_bypass(netloc):
        return True
    entries = [_without_scheme(each.strip().lower(), scheme) for each in exceptions.split(",")]
    address = parse_address(host)
    return any(
        each == "*"
        or _has_name(each, host, netloc)
        or (address is not None and _has_address(each, address))
        for each in entries
    )


def _has_name(entry: str, host: str, netloc: str) -> bool:
    """Return whether an entry is the host, with or without its port, or a domain that it is in."""
    name = entry.removeprefix("*").lstrip(".")
    return bool(name) and (name in {host, netloc} or host.endswith(f".{name}"))


def _without_scheme(entry: str, scheme: str) -> str:
    of, separator, rest = entry.rpartition("://")
    return rest if not separator or of in {scheme, "all"} else ""


def _has_address(entry: str, address: IPv4Address | IPv6Address) -> bool:
    try:
        return address in ip_network(entry.replace("[", "").replace("]", ""), strict=False)
    except ValueError:
        return False
