"""The rows of requests a second: what is asked, and how good it should be, on each engine.

On SQLite the goals are those of the budgets. On PostgreSQL a native row should reach 0.60 of its
floor, and a row of the Zep v1 door what Zep 0.27.2 itself (Go, PostgreSQL) reached in that way.
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from bench import traffic
from bench.traffic import Traffic

_GOAL_OF_NATIVE_ON_POSTGRES = 0.60


class Rate(NamedTuple):
    """A row of requests a second: its share of the floor should be at least `goal`."""

    name: str
    traffic: Traffic
    goal: float
    status: int = 200
    zep: float | None = None


class Rates(NamedTuple):
    """All such rows of a run. What reads is apart, because it is measured first."""

    native_reads: Sequence[Rate]
    native_writes: Sequence[Rate]
    zep_reads: Sequence[Rate]
    zep_writes: Sequence[Rate]

    @property
    def native(self) -> Sequence[Rate]:
        """Those of the native door."""
        return [*self.native_reads, *self.native_writes]

    @property
    def zep(self) -> Sequence[Rate]:
        """Those of the Zep v1 door."""
        return [*self.zep_reads, *self.zep_writes]


_MESSAGE = {"role": "user", "role_type": "user"}
_ZEP_MESSAGE = {"role": "user"}
_append = partial(traffic.appends, "/v1/sessions/{}/messages", _MESSAGE)
_zep_append = partial(traffic.appends, "/api/v1/sessions/{}/memory", _ZEP_MESSAGE)

APPEND = _append(1)

ON_SQLITE = Rates(
    native_reads=(
        Rate("get user", traffic.users("/v1/users"), 0.60),
        Rate("get memory (12 messages)", traffic.memories("/v1/sessions"), 0.60),
    ),
    native_writes=(
        Rate("post user", traffic.new_users("/v1/users", "native-user"), 0.70, 201),
        Rate("post 1 message", APPEND, 0.70, 201),
        Rate("post 10 messages", _append(10), 0.70, 201),
    ),
    zep_reads=(
        Rate("zep get user", traffic.users("/api/v1/user"), 0.55, zep=0.48),
        Rate("zep get memory (12 messages)", traffic.memories("/api/v1/sessions"), 0.35, zep=0.17),
        Rate("zep list 50 users", traffic.one("/api/v1/user?limit=50"), 0.17, zep=0.09),
    ),
    zep_writes=(
        Rate("zep post user", traffic.new_users("/api/v1/user", "zep-user"), 0.27, 201, 0.26),
        Rate(
            "zep post session of a user",
            traffic.new_sessions("/api/v1/sessions", "zep-session"),
            0.25,
            201,
            0.21,
        ),
        Rate("zep post 1 message", _zep_append(1), 0.20, zep=0.03),
        Rate("zep post 10 messages", _zep_append(10), 0.06, zep=0.03),
    ),
)


def _on_postgres(rates: Sequence[Rate]) -> Sequence[Rate]:
    return [rate._replace(goal=rate.zep or _GOAL_OF_NATIVE_ON_POSTGRES) for rate in rates]


ON_POSTGRES = Rates(*map(_on_postgres, ON_SQLITE))
NATIVE = ON_SQLITE.native
"""What the native door is asked, on any engine."""
