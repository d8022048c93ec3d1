"""Run erasures batch by batch, as a server does."""

from userkeep.domain.erasure import Erasure
from userkeep.domain.scope import Scope
from userkeep.domain.transaction import scoped
from userkeep.services import erasures
from userkeep.storage.engine import Engine


def advanced(engine: Engine, scope: Scope, erasure: Erasure) -> Erasure:
    """Delete one more batch and return the erasure."""
    return engine.write(
        scoped(scope, erasures.advance, erasure.uuid, held_until_at=erasure.lease_expires_at)
    )
