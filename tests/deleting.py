"""Erasures batch by batch, as a server carries them out."""

from userkeep.domain.erasure import Erasure
from userkeep.domain.scope import Scope
from userkeep.domain.transaction import scoped
from userkeep.services import erasures
from userkeep.storage.engine import Engine


def advanced(engine: Engine, scope: Scope, erasure: Erasure) -> Erasure:
    """The erasure after one more batch."""
    return engine.write(
        scoped(scope, erasures.advance, erasure.uuid, held_until_at=erasure.lease_expires_at)
    )
