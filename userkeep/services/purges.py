"""Purges in the database: what waits for one, which erasures it covers, how it ended.

What a purge does to the files is in jobs.purge and in the engines. A purge covers what was deleted
before it began, and records that only at its end: if it is interrupted, the next one starts over.
"""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from userkeep.domain.erasure import Erasure
from userkeep.domain.project import Project
from userkeep.domain.purge import PurgeStatus, SkippedStep
from userkeep.domain.transaction import Transaction
from userkeep.domain.values.metadata import encode_json
from userkeep.domain.values.times import Instant
from userkeep.services import instance


class PendingPurge(msgspec.Struct):
    """What waits for a purge.

    Attributes:
        since_at: when the oldest of it was deleted or edited.
        is_requested: whether a client requested the purge.
    """

    since_at: Instant
    is_requested: bool


class _ProjectPurges(NamedTuple):
    deleted_at: Instant | None
    requested_at: Instant | None


def pending(tx: Transaction) -> PendingPurge | None:
    """Return what waits for a purge, in all projects; None if nothing does."""
    tx.see_all_projects()
    found: list[Instant] = []
    is_requested = False
    for project_id in instance.unpurged_project_ids(tx):
        requested_at = tx.fetch_one("first_purge_request", _instant, project_id=project_id)
        deleted_at = tx.fetch_one("oldest_unpurged", _instant, project_id=project_id)
        edited_at = tx.fetch_one("oldest_edit", _instant, project_id=project_id)
        found += [at for at in (requested_at, deleted_at, edited_at) if at is not None]
        is_requested = is_requested or requested_at is not None
    of_projects = tx.fetch_one("pending_project_purges", _ProjectPurges)
    if of_projects is not None and of_projects.deleted_at is not None:
        found.append(of_projects.deleted_at)
        is_requested = is_requested or of_projects.requested_at is not None
    return PendingPurge(min(found), is_requested) if found else None


def database_bytes(tx: Transaction) -> int:
    """Return the size of the database in bytes."""
    return tx.fetch_one("database_bytes", int) or 0


def request(tx: Transaction, erasure: Erasure) -> Erasure:
    """Request the purge of an erasure, for as soon as it is deleted."""
    requested = tx.fetch_one("request_purge", Erasure, uuid=erasure.uuid, now_at=tx.now)
    if requested is None:
        return erasure
    requested.part = erasure.part
    return requested


def request_of_project(tx: Transaction, project: Project) -> Project:
    """Request the purge of a project that is being deleted, for as soon as it is deleted."""
    uuid = project.uuid
    return tx.fetch_one("request_purge_of_project", Project, uuid=uuid, now_at=tx.now) or project


def begin(tx: Transaction) -> PurgeStatus:
    """Begin a purge, which covers everything that was deleted or edited before."""
    tx.see_all_projects()
    status = PurgeStatus(tx.new_uuid(), "merging the index of words")
    project_ids = instance.unpurged_project_ids(tx)
    # First, because a cluster rejects changes of a table on every node after those of many shards.
    tx.defer("assign_projects_to_purge", purge_uuid=status.purge_uuid)
    set_status(tx, status)
    for project_id in project_ids:
        of_purge = {"project_id": project_id, "purge_uuid": status.purge_uuid}
        tx.defer("assign_erasures_to_purge", **of_purge)
        tx.defer("assign_edits_to_purge", **of_purge)
    return status


def set_status(tx: Transaction, status: PurgeStatus) -> None:
    """Record the progress of the running purge."""
    tx.defer("set_purge_status", value=encode_json(status).decode())


def end(tx: Transaction, purge_uuid: str, skipped: Sequence[SkippedStep]) -> None:
    """End a purge: the erasures that it covers are purged, unless a step was skipped.

    Args:
        skipped: the steps that could not be done. If there are any, the erasures stay `deleted`,
            and no purge is scheduled for them alone.
    """
    tx.see_all_projects()
    result = {
        "purged_at": None if skipped else tx.now,
        "skipped_steps": encode_json(list(skipped)).decode() if skipped else None,
    }
    project_ids = instance.unpurged_project_ids(tx)
    # First, as in `begin`.
    tx.defer("set_projects_purged", purge_uuid=purge_uuid, **result)
    clear_status(tx)
    for project_id in project_ids:
        of_purge = {"project_id": project_id, "purge_uuid": purge_uuid}
        tx.defer("set_purged", **result, **of_purge)
        tx.defer("delete_purged_edits", **of_purge)


def status(tx: Transaction) -> PurgeStatus | None:
    """Return the progress of the running purge; None if none runs."""
    found = tx.fetch_one("get_purge_status", str)
    return msgspec.json.decode(found, type=PurgeStatus) if found else None


def clear_status(tx: Transaction) -> None:
    """Record that no purge runs: one that is recorded belongs to a process that has ended."""
    tx.defer("delete_purge_status")


def _instant(value: Instant | None) -> Instant | None:
    return value
