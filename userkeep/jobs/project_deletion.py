"""Deletion of a project, batch by batch, and its purge if one was requested.

The protocol is described in services.project_deletions. Any process can continue where another
stopped; a lease says which one works on it.
"""

from userkeep.domain.ledger import Deleted, LedgerSubject
from userkeep.domain.project import Project
from userkeep.domain.purge import PurgeStatus
from userkeep.domain.scope import Rules, Scope
from userkeep.domain.transaction import Transaction, scoped
from userkeep.jobs.job import DeletionJob
from userkeep.jobs.steps import PurgeFiles, Read, Record, Sleep, Steps, Write
from userkeep.services import project_deletions, projects, purges
from userkeep.services.project_deletions import Progress

_OTHER_PROCESS_PAUSE_S = 0.1


class ProjectDeletion(DeletionJob):
    """The job of the deletion of a project.

    Attributes:
        project: as it is now.
        purge: what a purge does or did to it last; None if none was requested.
        may_respond: whether it is in the deletion ledger.
    """

    def __init__(self, rules: Rules, project: Project) -> None:
        self._scope = Scope(project.number, rules)
        self.project = project
        self.may_respond = project.is_finished
        self.purge: PurgeStatus | None = None

    @property
    def kind(self) -> str:
        """Its name."""
        return "project deletion"

    @property
    def key(self) -> str:
        """The project's uuid."""
        return self.project.uuid

    @property
    def is_finished(self) -> bool:
        """Whether the last row is deleted, and the files are purged if that was requested."""
        return self.project.is_finished and not self.project.waits_for_purge

    def steps(self) -> Steps[None]:
        """Delete to the last row, then purge once if a purge was requested."""
        yield from self.delete()
        if self.project.waits_for_purge:
            yield PurgeFiles()
            self.project, self.purge = yield Read(scoped(self._scope, _state, self.key))

    def delete(self) -> Steps[None]:
        """Delete to the last row."""
        self._scope.rules.forget_queries(self._scope.project_id)
        if not self.may_respond:
            # One entry for all that the project has.
            started_at = self.project.started_at or self.project.updated_at
            yield Record([Deleted(LedgerSubject.PROJECT, self.project.uuid, started_at)])
            self.may_respond = True
        if not self.project.is_finished:
            yield Write(scoped(self._scope, projects.wait_for_writes))
        progress = Progress(self.project)
        while not progress.project.is_finished:
            progress = yield Write(scoped(self._scope, project_deletions.advance, progress))
            self.project = progress.project
            if progress.is_waiting:
                yield Sleep(_OTHER_PROCESS_PAUSE_S)


def interrupted_project_deletions(rules: Rules) -> Steps[list[ProjectDeletion]]:
    """Return the deletions of projects that no process works on."""
    interrupted = yield Read(project_deletions.interrupted)
    return [ProjectDeletion(rules, project) for project in interrupted]


def _state(tx: Transaction, uuid: str) -> tuple[Project, PurgeStatus | None]:
    return projects.get(tx, uuid), purges.status(tx)
