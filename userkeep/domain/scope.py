"""For whom an operation runs, and under which rules of the instance."""

import msgspec

from userkeep.domain.purge import Schedule
from userkeep.domain.search.analyzer import Analyzer
from userkeep.domain.secret import KeyedHash
from userkeep.domain.values.times import HOUR


class Rules(msgspec.Struct, frozen=True):
    """What an instance has settled, as far as operations depend on it.

    Attributes:
        id_hash: the keyed hash of ids of what was deleted.
        request_hash: the keyed hash of requests that carry an Idempotency-Key.
        analyzer: turns texts into terms, in the instance's language.
        memory_window: how many messages a memory holds when nobody says how many.
        tombstone_ttl_us: how long, in microseconds, a deleted id refuses to come back by itself.
        idempotency_ttl_us: how long, in microseconds, an Idempotency-Key is remembered.
        purges: when what was deleted is purged from the files.
    """

    id_hash: KeyedHash
    request_hash: KeyedHash
    analyzer: Analyzer
    purges: Schedule
    memory_window: int = 12
    tombstone_ttl_us: int = 24 * HOUR
    idempotency_ttl_us: int = 24 * HOUR


class Scope(msgspec.Struct, frozen=True):
    """The project in which an operation runs, and the rules it obeys."""

    project_id: int
    rules: Rules
