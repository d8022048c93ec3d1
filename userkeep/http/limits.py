"""The limits of connections: how many, how much, and how slow."""

from typing import NamedTuple

MAX_HEAD_BYTES = 64 * 1024
"""The request line and the headers of a request."""

MAX_HEADERS = 100

MAX_FRAMING_BYTES = 16 * 1024
"""What a chunked body may contain between two bytes of content: extensions, and trailers."""

MAX_BODY_BYTES = 5 * 1024 * 1024

LEAST_PROGRESS_BYTES = 32 * 1024
"""What a client must send or read, within its time, to get this time again."""


class Limits(NamedTuple):
    """The limits that an operator or a test sets.

    Attributes:
        connections: the maximum number of open connections.
        waiting_bytes: the memory for responses that clients have not read.
        keep_alive_s: a connection without a request is closed after this time.
        head_s: the time in which the head of a request must arrive.
        transfer_s: the time in which a client must send, or read, the next 32 KiB.
        linger_s: how long a rejected request is read on, so that its client gets the response.
        check_every_s: the time between two checks of all connections.
    """

    connections: int = 1000
    waiting_bytes: int = 128 * 1024 * 1024
    keep_alive_s: float = 75.0
    head_s: float = 10.0
    transfer_s: float = 30.0
    linger_s: float = 10.0
    check_every_s: float = 1.0
