"""Messages to systemd, for units with `Type=notify`: the server is ready, or is stopping."""

import logging
import os
import socket

logger = logging.getLogger(__name__)

READY = "READY=1"
STOPPING = "STOPPING=1"


def notify(state: str) -> None:
    """Send a state to the service manager; do nothing without one (`NOTIFY_SOCKET`)."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        return
    address = f"\0{path[1:]}" if path.startswith("@") else path  # an abstract socket
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sending:
        sending.setblocking(False)
        try:
            sending.sendto(state.encode(), address)
        except OSError as error:
            logger.warning("the service manager did not get %s: %s", state, error.strerror)
