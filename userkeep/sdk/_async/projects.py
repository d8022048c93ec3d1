"""`client.project`."""

from typing import Any, Literal, overload

from msgspec import UNSET, UnsetType

from userkeep.api.projects import Project
from userkeep.domain.values.paging import Order
from userkeep.sdk._async.lists import AsyncPage, read_list
from userkeep.sdk._async.transport import AsyncTransport
from userkeep.sdk.boundary import raises_at_its_caller
from userkeep.sdk.calls import make_call
from userkeep.sdk.requests import (
    CreateProjectRequest,
    UpdateProjectRequest,
    encode_request,
    request_from,
)


@raises_at_its_caller
class AsyncProjectClient:
    """The projects of the instance: tenants, each with users of its own."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    @overload
    async def add(
        self, request: CreateProjectRequest, /, *, idempotency_key: str | None = None
    ) -> Project: ...

    @overload
    async def add(
        self,
        /,
        *,
        name: str,
        max_messages_per_user: int | None = None,
        max_bytes_per_user: int | None = None,
        max_documents_per_user: int | None = None,
        idempotency_key: str | None = None,
    ) -> Project: ...

    async def add(
        self,
        request: CreateProjectRequest | None = None,
        /,
        *,
        idempotency_key: str | None = None,
        **fields: Any,
    ) -> Project:
        """Create a project: `add(name="shop")`.

        Args:
            name: up to 63 of a-z, 0-9, `-` and `_`, the first a letter or a digit. Not a uuid.
            max_messages_per_user: the most messages that a user can have. None: no limit.
            max_bytes_per_user: the most bytes that the texts of a user can have. None: no limit.
            max_documents_per_user: the most documents that a user can have. None: no limit.
            idempotency_key: your key, if you want to repeat the call yourself within 24 hours. By
                default the SDK generates one.

        Raises:
            AlreadyExists: a project with this name exists.
            InvalidField: a field is invalid.
            Gone: the project with this name is being deleted.
            Conflict: the instance cannot have more projects.
        """
        project = request_from(request, fields, CreateProjectRequest)
        body = encode_request(project)
        call = make_call("projects.add", body=body, idempotency_key=idempotency_key)
        created: Project = await self._transport.send(call)
        return created

    async def get(self, project: str) -> Project:
        """Return a project.

        Args:
            project: its name or its uuid. A deleted project is found by its uuid.

        Raises:
            NotFound: the project does not exist.
        """
        found: Project = await self._transport.send(make_call("projects.get", {"project": project}))
        return found

    @overload
    async def update(self, request: UpdateProjectRequest, /) -> Project: ...

    @overload
    async def update(
        self,
        /,
        *,
        project: str,
        name: str | UnsetType = UNSET,
        max_messages_per_user: int | None | UnsetType = UNSET,
        max_bytes_per_user: int | None | UnsetType = UNSET,
        max_documents_per_user: int | None | UnsetType = UNSET,
        do_not_embed: bool | UnsetType = UNSET,
    ) -> Project: ...

    async def update(
        self, request: UpdateProjectRequest | None = None, /, **fields: Any
    ) -> Project:
        """Update a project: absent fields stay, None removes a limit.

        Args:
            project: the name of the project, or its uuid.
            name: the new name. The project `default` cannot be renamed.
            max_messages_per_user, max_bytes_per_user, max_documents_per_user: as in `add`.
            do_not_embed: whether no embedding model is given any text of the project. If it is set,
                all embeddings of the project are deleted.

        Raises:
            NotFound: the project does not exist.
            AlreadyExists: a project with the new name exists.
            Conflict: the project is `default`, and the name another.
            InvalidField: a field is invalid.
            Gone: the project is being deleted.
        """
        change = request_from(request, fields, UpdateProjectRequest)
        body = encode_request(change, "project")
        call = make_call("projects.update", {"project": change.project}, body=body)
        updated: Project = await self._transport.send(call)
        return updated

    async def delete(self, project: str, *, purge: Literal["now"] | None = None) -> Project:
        """Delete a project with all users, sessions and messages.

        When this returns, nothing of the project can be read or written. If the deletion takes a
        server longer than 5 seconds, it continues there: `client.project.get(project.uuid)` returns
        its progress.

        Args:
            project: the name of the project, or its uuid.
            purge: "now" also purges the database files, so that they contain nothing of the
                project. A server does so later, on its schedule.

        Returns:
            The project, with the progress of its `deletion`, or the receipt.

        Raises:
            NotFound: the project does not exist.
            Conflict: the project is `default`.
        """
        call = make_call("projects.delete", {"project": project}, query={"purge": purge})
        deleted: Project = await self._transport.send(call)
        return deleted

    async def list(
        self, limit: int | None = None, cursor: str | int | None = None, *, order: Order = "created"
    ) -> AsyncPage[Project]:
        """Return the projects: iterate over them, or read a page with `limit`.

        Args:
            limit: the maximum number of items, from 1 to 1,000. Without it, iteration reads all.
            cursor: the `next` of the previous page. None or 0 is the first page.
            order: `created` for oldest first, `-created` for newest first.

        Raises:
            BadRequest: the cursor is invalid, or belongs to another order.
        """
        query = {"limit": limit, "cursor": cursor, "order": order}
        return await read_list(AsyncPage, self._transport, "projects.list", {}, query)
