"""For whom an operation runs, and under which rules of the installation."""

import msgspec

from recollect.domain.scrub import Schedule
from recollect.domain.secret import KeyedHash
from recollect.domain.times import HOUR
from recollect.domain.words import Words


class Rules(msgspec.Struct, frozen=True):
    """What an installation has settled, as far as operations depend on it.

    Attributes:
        id_hash: the keyed hash of ids of what was erased.
        request_hash: the keyed hash of requests that carry an Idempotency-Key.
        words: what makes words of texts, in the installation's language.
        memory_window: how many messages a memory holds when nobody says how many.
        forgotten_for_us: how long, in microseconds, an erased id refuses to come back by itself.
        idempotent_for_us: how long, in microseconds, an Idempotency-Key is remembered.
        scrubs: when what was erased is scrubbed from the files.
    """

    id_hash: KeyedHash
    request_hash: KeyedHash
    words: Words
    scrubs: Schedule
    memory_window: int = 12
    forgotten_for_us: int = 24 * HOUR
    idempotent_for_us: int = 24 * HOUR


class Scope(msgspec.Struct, frozen=True):
    """The project in which an operation runs, and the rules it obeys."""

    project_id: int
    rules: Rules
