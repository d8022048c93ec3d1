"""Projects: handlers, and what is sent of a project."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import msgspec

from userkeep.api import projects as wire
from userkeep.api.common import Page
from userkeep.api.erasures import DeletedCounts, DeleteQuery
from userkeep.domain.project import NewProject, Project
from userkeep.domain.purge import PurgeStatus
from userkeep.domain.scope import Scope
from userkeep.domain.transaction import Operation, Transaction
from userkeep.handlers.authorization import check_is_of_default_project
from userkeep.handlers.calls import Call, Handler, StartedJob
from userkeep.handlers.erasures import serialize_purge
from userkeep.handlers.idempotency import IdempotentHandler, gone
from userkeep.handlers.lists import page_request, serialize_page
from userkeep.handlers.values import optional_time, time_to_send
from userkeep.jobs.project_deletion import ProjectDeletion
from userkeep.services import project_deletions, projects, purges
from userkeep.services.idempotency import IdempotencyRecord

T = TypeVar("T")


def add(tx: Transaction, call: Call) -> wire.Project:
    """Create a project."""
    body: NewProject = call.body
    return serialize_project(projects.add(tx, body))


def list_(tx: Transaction, call: Call) -> Page[wire.Project]:
    """List projects."""
    request = page_request(call.query)
    return serialize_page(projects.page(tx, request), request, serialize_project)


def get(tx: Transaction, call: Call) -> wire.Project:
    """Return a project."""
    return serialize_project(projects.get(tx, call.ids["project"]), purges.status(tx))


def update(tx: Transaction, call: Call) -> wire.Project:
    """Update a project."""
    return serialize_project(projects.update(tx, call.ids["project"], call.body))


def delete(tx: Transaction, call: Call) -> StartedJob:
    """Delete a project."""
    query: DeleteQuery = call.query
    project = project_deletions.begin(tx, call.ids["project"])
    if query.purge:
        project = purges.request_of_project(tx, project)
    return StartedJob(
        ProjectDeletion(tx.scope.rules, project),
        location=f"/v1/projects/{project.uuid}",
        resource=lambda deletion: serialize_project(deletion.project, deletion.purge),
    )


def serialize_project(project: Project, status: PurgeStatus | None = None) -> wire.Project:
    """Return a project as it is sent.

    Args:
        status: the progress of the purge that is running, if one is.
    """
    return wire.Project(
        name=project.name,
        uuid=project.uuid,
        state=project.state,  # type: ignore[arg-type]
        max_messages_per_user=project.max_messages_per_user,
        max_bytes_per_user=project.max_bytes_per_user,
        max_documents_per_user=project.max_documents_per_user,
        do_not_embed=bool(project.do_not_embed),
        created_at=time_to_send(project.created_at),
        updated_at=time_to_send(project.updated_at),
        deletion=_deletion(project, status),
    )


def _deletion(project: Project, status: PurgeStatus | None) -> wire.ProjectDeletion | None:
    if project.started_at is None:
        return None
    return wire.ProjectDeletion(
        counts=DeletedCounts(
            users=project.user_count,
            sessions=project.session_count,
            messages=project.message_count,
            documents=project.document_count,
        ),
        started_at=time_to_send(project.started_at),
        deleted_at=optional_time(project.deleted_at),
        purged_at=optional_time(project.purged_at),
        purge=serialize_purge(project, status),
    )


def _record(project: wire.Project) -> IdempotencyRecord:
    return IdempotencyRecord(uuid=project.uuid)


def _replay(tx: Transaction, _: Call, record: IdempotencyRecord) -> wire.Project:
    project = projects.get(tx, record.uuid or "")
    if project.is_finished:
        raise gone()
    return serialize_project(project)


def _in_default_project(handle: Handler) -> Handler:
    """Return a handler that runs in the project default, and rejects callers of all others."""

    @wraps(handle)
    def handle_in_project(tx: Transaction, call: Call) -> Any:
        check_is_of_default_project(call.scope)
        tx.bind(call.scope)
        return handle(tx, call)

    return handle_in_project


def in_project(
    scope: Scope, key: str, service: Callable[..., T], *args: Any, **values: Any
) -> Operation[T]:
    """Return the operation that runs a service in a project that a caller of the instance names.

    Args:
        key: the name or the uuid of the project.

    Raises:
        Forbidden: the caller is not of the project default.
    """
    check_is_of_default_project(scope)

    def operation(tx: Transaction) -> T:
        number = projects.get(tx, key).number
        tx.bind(msgspec.structs.replace(scope, project_id=number))
        return service(tx, *args, **values)

    return operation


_HANDLERS: dict[str, Handler] = {
    "projects.add": IdempotentHandler(add, record=_record, replay=_replay),
    "projects.list": list_,
    "projects.get": get,
    "projects.update": update,
    "projects.delete": delete,
}

HANDLERS = {name: _in_default_project(handle) for name, handle in _HANDLERS.items()}
