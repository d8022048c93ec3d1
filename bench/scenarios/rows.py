"""The rows of requests per second: what is sent, and the goals, on each engine alike.

A native row is compared with a bare ASGI application that runs the same statements, a row of the
Zep v1 API with one that responds with a constant.
"""

from functools import partial
from typing import NamedTuple

from bench.harness import requests
from bench.harness.requests import Requests


class Row(NamedTuple):
    """A row of requests per second.

    Attributes:
        goal: the least ratio to the baseline.
        status: of each response.
        beside_zep: requests per second of this product and of Zep 0.27.2 (Go, PostgreSQL,
            extractors off), measured alone on one machine in one sitting, in November 2026.
    """

    name: str
    requests: Requests
    goal: float
    status: int = 200
    beside_zep: tuple[int, int] | None = None


_append = partial(requests.appends, "/v1/sessions/{}/messages", {"role": "user"})
_zep_append = partial(requests.appends, "/api/v1/sessions/{}/memory", {"role": "user"})

APPEND = _append(1)

NATIVE_READS = (
    Row("get user", requests.users("/v1/users/{}"), 0.60),
    Row("get memory (12 messages)", requests.sessions("/v1/sessions/{}/memory"), 0.60),
    Row("list 50 users", requests.same("/v1/users?limit=50"), 0.60),
)
NATIVE_WRITES = (
    Row("post user", requests.new_users("/v1/users", "native-user"), 0.70, 201),
    Row("post 1 message", APPEND, 0.70, 201),
    Row("post 10 messages", _append(10), 0.70, 201),
)
ZEP_READS = (
    Row("zep get user", requests.users("/api/v1/user/{}"), 0.60, 200, (9_759, 3_424)),
    Row(
        "zep get memory (12 messages)",
        requests.sessions("/api/v1/sessions/{}/memory"),
        0.35,
        200,
        (4_086, 1_103),
    ),
    Row("zep list 50 users", requests.same("/api/v1/user?limit=50"), 0.15, 200, (1_616, 901)),
    Row(
        "zep list 20 sessions of a user",
        requests.users_with_sessions("/api/v1/user/{}/sessions"),
        0.35,
        200,
        (3_946, 1_717),
    ),
)
ZEP_WRITES = (
    Row("zep post user", requests.new_users("/api/v1/user", "zep-user"), 0.22, 201, (2_710, 1_585)),
    Row(
        "zep post session of a user",
        requests.new_sessions("/api/v1/sessions", "zep-session"),
        0.20,
        201,
        (2_405, 1_472),
    ),
    Row("zep post 1 message", _zep_append(1), 0.14, 200, (1_781, 178)),
    Row("zep post 10 messages", _zep_append(10), 0.06, 200, (686, 147)),
)

NATIVE = (*NATIVE_READS, *NATIVE_WRITES)
ZEP = (*ZEP_READS, *ZEP_WRITES)
ALL = (*NATIVE_READS, *ZEP_READS, *NATIVE_WRITES, *ZEP_WRITES)
"""Reads come first, so that they meet the seeded rows alone."""
