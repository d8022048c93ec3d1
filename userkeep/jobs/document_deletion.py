"""Deletion of single documents: they are deleted when the job begins, and are recorded here."""

from userkeep.jobs.job import DeletionJob
from userkeep.jobs.steps import Record, Steps
from userkeep.services.documents import DocumentDeletion
from userkeep.services.ledger import deleted_document


class DocumentDeletionJob(DeletionJob):
    """The job of a deletion of documents: it adds them to the deletion ledger.

    Where it is not run, the ledger is completed from the database.

    Attributes:
        is_finished: whether they are in the ledger.
    """

    def __init__(self, deletion: DocumentDeletion) -> None:
        self._deletion = deletion
        self.is_finished = not deletion.document_uuids

    @property
    def key(self) -> str:
        """The uuid of the deletion."""
        return self._deletion.uuid

    @property
    def may_respond(self) -> bool:
        """Whether they are in the ledger."""
        return self.is_finished

    def steps(self) -> Steps[None]:
        """Record the documents."""
        if self.is_finished:
            return
        deletion = self._deletion
        yield Record(
            [
                deleted_document(deletion.collection_uuid, uuid, deletion.started_at)
                for uuid in deletion.document_uuids
            ]
        )
        self.is_finished = True
