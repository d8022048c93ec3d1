"""Erasures batch by batch, as a server carries them out."""

from functools import partial

from recollect.domain.erasure import Erasure
from recollect.domain.scope import Scope
from recollect.services import erasures
from recollect.storage.engine import Engine


def advanced(engine: Engine, scope: Scope, erasure: Erasure) -> Erasure:
    """The erasure after one more batch."""
    advance = partial(erasures.advance, scope=scope, uuid=erasure.uuid)
    return engine.write(partial(advance, held_until_at=erasure.claimed_until_at))
