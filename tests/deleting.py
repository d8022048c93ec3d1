"""Erasures batch by batch, as a server carries them out."""

from functools import partial

from userkeep.domain.erasure import Erasure
from userkeep.domain.scope import Scope
from userkeep.services import erasures
from userkeep.storage.engine import Engine


def advanced(engine: Engine, scope: Scope, erasure: Erasure) -> Erasure:
    """The erasure after one more batch."""
    advance = partial(erasures.advance, scope=scope, uuid=erasure.uuid)
    return engine.write(partial(advance, held_until_at=erasure.lease_expires_at))
