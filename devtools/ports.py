"""Free ports, for programs that run at the same time."""

import fcntl
import os
import random
import socket
import tempfile
from pathlib import Path

# Below the ports that systems give to clients and to those who ask for any port: between the choice
# of a port and its use, one of them could get it.
_PORTS = range(20_000, 32_000)
_used: set[int] = set()
_locks = os.open(
    Path(tempfile.gettempdir(), f"userkeep-test-ports-{os.getuid()}"), os.O_RDWR | os.O_CREAT, 0o600
)


def free_port() -> int:
    """Return a port of 127.0.0.1 on which nothing listens.

    It is reserved for this process until it ends.
    """
    for port in random.sample(_PORTS, len(_PORTS)):
        if port not in _used and _is_reserved(port) and _is_free(port):
            return port
    raise OSError("no port is free")


def _is_reserved(port: int) -> bool:
    """Reserve a port by a lock on a byte of a common file; return whether it was possible."""
    try:
        fcntl.lockf(_locks, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError:
        return False
    _used.add(port)
    return True


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
