"""Projects: wire types and operations."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from userkeep.api.common import ListQuery, Moment, Page
from userkeep.api.encoding import Encodable
from userkeep.api.erasures import DeletedCounts, DeleteQuery, Purge
from userkeep.api.operation import APIOperation
from userkeep.domain.errors import AlreadyExists, Conflict
from userkeep.domain.project import NewProject, ProjectChange


class ProjectDeletion(Encodable, msgspec.Struct, kw_only=True):
    """The progress of the deletion of a project, and its receipt."""

    counts: DeletedCounts
    started_at: Moment
    deleted_at: Annotated[Moment | None, Meta(description="When the last row was deleted.")]
    purged_at: Annotated[
        Moment | None, Meta(description="When the database files were free of the data.")
    ]
    purge: Purge


class Project(Encodable, msgspec.Struct, kw_only=True):
    """A project: a tenant with users, sessions and messages of its own.

    In the state `deleting`, rows are being deleted and nothing of the project can be read or
    written. In the state `deleted`, all rows are deleted.
    """

    name: Annotated[str | None, Meta(description="Unique; null once the project is deleted.")]
    uuid: Annotated[str, Meta(description="Assigned by the server.")]
    state: Literal["active", "deleting", "deleted"]
    max_messages_per_user: Annotated[
        int | None, Meta(description="The most messages that a user can have. Null: no limit.")
    ]
    max_bytes_per_user: Annotated[
        int | None,
        Meta(description="The most bytes that the texts of a user can have. Null: no limit."),
    ]
    max_documents_per_user: Annotated[
        int | None, Meta(description="The most documents that a user can have. Null: no limit.")
    ]
    do_not_embed: Annotated[
        bool, Meta(description="Whether no embedding model is given any text of the project.")
    ] = False
    created_at: Moment
    updated_at: Moment
    deletion: Annotated[
        ProjectDeletion | None, Meta(description="Null unless the deletion was requested.")
    ]


_KEY = "`{project}` is the name of the project or its uuid."

OPERATIONS: tuple[APIOperation, ...] = (
    APIOperation(
        name="projects.add",
        method="POST",
        path="/v1/projects",
        summary="Create a project",
        description="Returns 409 if a project with this name exists.",
        does="write",
        scope="admin",
        is_about_instance=True,
        body=NewProject,
        response=Project,
        status=201,
        errors=(AlreadyExists, Conflict),
    ),
    APIOperation(
        name="projects.list",
        method="GET",
        path="/v1/projects",
        summary="List projects",
        description=(
            "Oldest first; newest first with order=-created. Without those that are deleted."
        ),
        does="read",
        scope="admin",
        is_about_instance=True,
        query=ListQuery,
        response=Page[Project],
    ),
    APIOperation(
        name="projects.get",
        method="GET",
        path="/v1/projects/{project}",
        summary="Get a project",
        description=f"{_KEY} A deleted project is found by its uuid.",
        does="read",
        scope="admin",
        is_about_instance=True,
        response=Project,
    ),
    APIOperation(
        name="projects.update",
        method="PATCH",
        path="/v1/projects/{project}",
        summary="Update a project",
        description=(
            f"{_KEY} Absent fields keep their value, and null removes a limit. The project "
            "`default` cannot be renamed."
        ),
        does="write",
        scope="admin",
        is_about_instance=True,
        body=ProjectChange,
        response=Project,
        errors=(AlreadyExists, Conflict),
    ),
    APIOperation(
        name="projects.delete",
        method="DELETE",
        path="/v1/projects/{project}",
        summary="Delete a project",
        description=(
            f"{_KEY} All users, sessions and messages of the project are deleted too. They are "
            "unreachable as soon as the response is sent. If the deletion takes longer than 5 "
            "seconds, the response is 202, and the deletion continues. The project `default` "
            "cannot be deleted. The request can be repeated."
        ),
        does="job",
        scope="admin",
        is_about_instance=True,
        query=DeleteQuery,
        response=Project,
        errors=(Conflict,),
    ),
)
