"""Hosts, origins, path prefixes and networks, as an operator writes them in settings.

The parsers raise ValueError with a sentence that says what is wrong with a text.
"""

import re
import socket
from contextlib import suppress
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import NamedTuple

_LABEL = "[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_HOST = re.compile(r"(?P<name>\[[^\]]*\]|[^:]*)(:(?P<port>[0-9]{1,5}))?")
_ORIGIN = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<host>[^/?#@\s]+)")
_SEGMENT = re.compile(r"[A-Za-z0-9._~-]+")

_LONGEST_NAME = 253
_MOST_PORT = 65_535
_DEFAULT_PORTS = {"http": 80, "https": 443}
_PRIVATE_NAMES = (".localhost", ".local", ".internal", ".lan", ".home.arpa", ".test")
_FIRST_SEGMENTS = ("v1", "api", "docs", "openapi.json", "healthz", "readyz", "metrics")

UNIX_PEER = "unix"
"""The name of every client of a Unix socket, which has no address."""


class AllowedHost(NamedTuple):
    """A host that requests may name.

    Attributes:
        name: in lower case; with `is_suffix` it begins with a dot.
        port: the only port, or None for every port.
        is_suffix: whether it stands for every name that ends in it.
    """

    name: str
    port: int | None
    is_suffix: bool

    def admits(self, name: str, port: int | None) -> bool:
        """Return whether the name and the port of a Host header are of this host."""
        if self.port is not None and self.port != port:
            return False
        return name.endswith(self.name) if self.is_suffix else name == self.name


def parse_allowed_host(text: str) -> AllowedHost:
    """Parse a host such as `userkeep.example.com`, `*.example.com`, `10.0.0.1:8000` or `[::1]`."""
    if "://" in text or "/" in text:
        raise ValueError(f"{text!r} is not a host. Write it without a scheme and a path.")
    is_suffix = text.startswith("*.")
    found = split_host(text.removeprefix("*.").lower())
    if found is None:
        raise ValueError(f"{text!r} is not a host, such as userkeep.example.com or *.example.com.")
    name, port = found
    if is_suffix and ("." not in name or _is_address(name)):
        raise ValueError(f"{text!r} must name a domain with a dot, such as *.example.com.")
    return AllowedHost(f".{name}" if is_suffix else name, port, is_suffix)


def split_host(host: str) -> tuple[str, int | None] | None:
    """Split a Host header in lower case into name and port; None if it is not a valid one."""
    match = _HOST.fullmatch(host)
    if match is None:
        return None
    name, digits = match["name"], match["port"]
    port = int(digits) if digits else None
    if port is not None and not 0 < port <= _MOST_PORT:
        return None
    is_valid = len(name) <= _LONGEST_NAME and (_NAME.fullmatch(name) or _is_address(name))
    return (name, port) if is_valid else None


def _is_address(name: str) -> bool:
    try:
        address = ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return (address.version == 6) == name.startswith("[")


def parse_origin(text: str) -> str:
    """Parse an origin such as `https://app.example.com`; return it as browsers send it."""
    match = _ORIGIN.fullmatch(text.lower())
    found = split_host(match["host"]) if match else None
    if match is None or found is None:
        raise ValueError(
            f"{text!r} is not an origin: a scheme, a host and a port if it has one, such as "
            "https://app.example.com or http://localhost:3000."
        )
    if found[1] is not None and found[1] == _DEFAULT_PORTS.get(match["scheme"]):
        raise ValueError(f"{text!r} has the default port, which browsers leave out: leave it out.")
    return match[0]


def parse_root_path(text: str) -> str:
    """Parse the prefix of all paths, such as `/userkeep`."""
    segments = text.split("/")[1:]
    is_path = text.startswith("/") and all(_SEGMENT.fullmatch(each) for each in segments)
    if not is_path or {".", ".."} & set(segments):
        raise ValueError(
            f"{text!r} is not a path prefix, such as /userkeep: it begins with a slash, does not "
            "end with one, and has letters, digits, '-', '.', '_' and '~'."
        )
    if segments[0] in _FIRST_SEGMENTS:
        raise ValueError(
            f"{text!r} begins with a path of the server itself. Use another one, such as /userkeep."
        )
    return text


def parse_peer(text: str) -> IPv4Network | IPv6Network | None:
    """Parse the address or network of a proxy; None for `unix`, each client of a Unix socket."""
    if text == UNIX_PEER:
        return None
    try:
        return ip_network(text)
    except ValueError as error:
        raise ValueError(
            f"{text!r} is not an IP address, a network such as 10.0.0.0/8, or {UNIX_PEER}."
        ) from error


def is_this_machine(host: str) -> bool:
    """Return whether a host, without brackets, can only be this machine."""
    name = host.lower().removesuffix(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    address = parse_address(name)
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or address
    # To connect to the unspecified address is to connect to this machine.
    return address is not None and (address.is_loopback or address.is_unspecified)


def is_private_host(host: str) -> bool:
    """Return whether a host, without brackets, is probably in a network of its users' own.

    A name is if it has no dot, as those of containers, or ends as names do that no public server
    can have.
    """
    name = host.lower().removesuffix(".")
    address = parse_address(name)
    if address is not None:
        return address.is_private
    return "." not in name or name.endswith(_PRIVATE_NAMES)


def parse_address(host: str) -> IPv4Address | IPv6Address | None:
    """Parse an address as a resolver does; None for a name."""
    with suppress(ValueError):
        return ip_address(host)
    with suppress(OSError):  # the short forms that every resolver takes, such as 127.1
        return IPv4Address(socket.inet_aton(host))
    return None
