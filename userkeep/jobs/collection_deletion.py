"""Deletion of a collection, batch by batch.

The protocol is described in services.collections. Any process can continue it where another
stopped. Two may work on it at once: a batch that another has deleted is empty.
"""

from userkeep.domain.scope import Scope
from userkeep.domain.transaction import scoped
from userkeep.jobs.job import DeletionJob
from userkeep.jobs.steps import Record, Steps, Write
from userkeep.services import collections
from userkeep.services.collections import CollectionDeletion
from userkeep.services.ledger import deleted_collection


class CollectionDeletionJob(DeletionJob):
    """The job of the deletion of one collection.

    Attributes:
        is_finished: whether the last document is deleted.
        may_respond: whether it is in the deletion ledger.
    """

    def __init__(self, scope: Scope, deletion: CollectionDeletion) -> None:
        self._scope = scope
        self._deletion = deletion
        self._after = 0
        self.is_finished = False
        self.may_respond = False

    @property
    def key(self) -> str:
        """The collection's uuid."""
        return self._deletion.uuid

    def steps(self) -> Steps[None]:
        """Delete to the last document."""
        yield from self.delete()

    def delete(self) -> Steps[None]:
        """Delete to the last document."""
        if not self.may_respond:
            deletion = self._deletion
            yield Record([deleted_collection(deletion.uuid, deletion.started_at)])
            self.may_respond = True
        while not self.is_finished:
            advance = scoped(self._scope, collections.advance_deletion, self._deletion, self._after)
            batch = yield Write(advance)
            self.is_finished = batch.last is None
            self._after = batch.last or self._after
