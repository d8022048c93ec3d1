# Printed by scripts/print_sync.py from _async/users.py: change it there.
"""`client.user`: the people an app talks to."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Literal, overload

from msgspec import UNSET, UnsetType

from userkeep.api.erasures import Erasure
from userkeep.api.sessions import Session
from userkeep.api.users import User
from userkeep.domain.values.paging import Order
from userkeep.sdk._sync.callers import Caller
from userkeep.sdk._sync.lists import Pages, Rows, read_page
from userkeep.sdk.calls import make_call
from userkeep.sdk.pages import Page
from userkeep.sdk.requests import CreateUserRequest, UpdateUserRequest, body_of, only_request

_AT_ONCE = 100


class UserClient:
    """Users: added, read, changed, listed, and deleted with everything that is theirs."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    @overload
    def add(
        self, request: CreateUserRequest, /, *, idempotency_key: str | None = None
    ) -> User: ...

    @overload
    def add(
        self,
        /,
        *,
        user_id: str,
        email: str | None = None,
        first_name: str | None = None,
        last_name: str | None = None,
        metadata: dict[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> User: ...

    def add(
        self,
        request: CreateUserRequest | None = None,
        /,
        *,
        idempotency_key: str | None = None,
        **fields: Any,
    ) -> User:
        """Add a user: `add(CreateUserRequest(user_id="jane"))` or `add(user_id="jane")`.

        Args:
            user_id: yours; any text of up to 512 characters.
            email, first_name, last_name: up to 512 characters each.
            metadata: a JSON object of up to 64 KiB.
            idempotency_key: yours, where you want to repeat the call yourself for up to 24 h; one
                is made otherwise.

        Raises:
            AlreadyExists: there is a user with this `user_id`.
            InvalidField: naming the field.
            Gone: one with this `user_id` is being deleted now.
        """
        user = only_request(request, fields, CreateUserRequest)
        body = body_of(user)
        call = make_call("users.add", body=body, idempotency_key=idempotency_key)
        added: User = self._caller.call(call)
        return added

    def get(self, user_id: str) -> User:
        """Read a user.

        Raises:
            NotFound: there is none with this `user_id`.
        """
        user: User = self._caller.call(make_call("users.get", {"user_id": user_id}))
        return user

    @overload
    def put(
        self, request: CreateUserRequest, /, *, if_revision: int | None = None
    ) -> User: ...

    @overload
    def put(
        self,
        /,
        *,
        user_id: str,
        email: str | None = None,
        first_name: str | None = None,
        last_name: str | None = None,
        metadata: dict[str, Any] | None = None,
        if_revision: int | None = None,
    ) -> User: ...

    def put(
        self,
        request: CreateUserRequest | None = None,
        /,
        *,
        if_revision: int | None = None,
        **fields: Any,
    ) -> User:
        """Add a user, or replace all that was said of the one who is there.

        Args:
            user_id, email, first_name, last_name, metadata: as for `add`; absent means none.
            if_revision: replace only the user whose `revision` this is.

        Raises:
            RevisionMismatch: the user has changed since, or is not there.
            InvalidField: naming the field.
            Gone: the user is being deleted.
        """
        user = only_request(request, fields, CreateUserRequest)
        body = body_of(user, "user_id")
        ids = {"user_id": user.user_id}
        call = make_call("users.put", ids, body=body, if_revision=if_revision)
        put: User = self._caller.call(call)
        return put

    @overload
    def update(
        self, request: UpdateUserRequest, /, *, if_revision: int | None = None
    ) -> User: ...

    @overload
    def update(
        self,
        /,
        *,
        user_id: str,
        email: str | None | UnsetType = UNSET,
        first_name: str | None | UnsetType = UNSET,
        last_name: str | None | UnsetType = UNSET,
        metadata: dict[str, Any] | None | UnsetType = UNSET,
        if_revision: int | None = None,
    ) -> User: ...

    def update(
        self,
        request: UpdateUserRequest | None = None,
        /,
        *,
        if_revision: int | None = None,
        **fields: Any,
    ) -> User:
        """Change a user: what is absent stays, None removes, metadata merges (RFC 7396).

        Args:
            user_id: whose.
            email, first_name, last_name: up to 512 characters each.
            metadata: merged into what is there; a None in it removes that key.
            if_revision: change only the user whose `revision` this is.

        Raises:
            NotFound: there is no such user.
            RevisionMismatch: the user has changed since.
            InvalidField: naming the field.
            Gone: the user is being deleted.
        """
        change = only_request(request, fields, UpdateUserRequest)
        body = body_of(change, "user_id")
        ids = {"user_id": change.user_id}
        call = make_call("users.update", ids, body=body, if_revision=if_revision)
        changed: User = self._caller.call(call)
        return changed

    def delete(self, user_id: str, *, purge: Literal["now"] | None = None) -> Erasure:
        """Delete a user, with every session and message that is theirs.

        When this returns, nothing of the user can be read any more. What takes a server longer
        than 5 seconds goes on there; `client.erasure.get(erasure.id)` tells how far it is.

        Args:
            purge: "now" also has the database's files written anew at once, so that nothing of the
                user is in them; a server does that by itself later.

        Returns:
            The erasure, `deleted`, or `deleting` while it goes on; `purged` if that was asked for
            and is done.

        Raises:
            NotFound: there is no such user.
        """
        call = make_call("users.delete", {"user_id": user_id}, query={"purge": purge})
        erasure: Erasure = self._caller.call(call)
        return erasure

    def list(
        self,
        limit: int = 50,
        cursor: str | int | None = None,
        *,
        order: Order = "created",
        email: str | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        metadata: dict[str, Any] | None = None,
        filter: dict[str, Any] | None = None,
    ) -> Page[User]:
        """One page of the users, in the order of their creation.

        Args:
            limit: how many at most, from 1 to 1,000.
            cursor: the `next` of the page before; None or 0 is the start.
            order: `created`, or `-created` for the newest first.
            email: whose address this is, in any case.
            created_after, created_before: exclusive; without a zone they are UTC.
            metadata: conditions by path, such as `{"address.city": "Paris"}`.
            filter: a tree of conditions on metadata, such as
                `{"field": "metadata.age", "op": "gte", "value": 18}`.

        Raises:
            BadRequest: the cursor is no one's, or belongs to a list with other filters.
            InvalidField: naming the argument.
        """
        query = {
            "limit": limit,
            "cursor": cursor,
            "order": order,
            "email": email,
            "created_after": created_after,
            "created_before": created_before,
            "metadata": metadata,
            "filter": filter,
        }
        return read_page(self._caller, "users.list", {}, query)

    def list_chunked(
        self,
        chunk_size: int = 100,
        *,
        order: Order = "created",
        email: str | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        metadata: dict[str, Any] | None = None,
        filter: dict[str, Any] | None = None,
    ) -> Iterator[Page[User]]:
        """All users, page by page: `list` says what the filters mean.

        Who is added or deleted meanwhile makes nobody else be missed or come twice.
        """
        query = {
            "limit": chunk_size,
            "order": order,
            "email": email,
            "created_after": created_after,
            "created_before": created_before,
            "metadata": metadata,
            "filter": filter,
        }
        return Pages(self._caller, "users.list", {}, query)

    def list_all(
        self,
        *,
        order: Order = "created",
        email: str | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        metadata: dict[str, Any] | None = None,
        filter: dict[str, Any] | None = None,
    ) -> Iterator[User]:
        """All users, one by one: `list` says what the filters mean."""
        pages = self.list_chunked(
            _AT_ONCE,
            order=order,
            email=email,
            created_after=created_after,
            created_before=created_before,
            metadata=metadata,
            filter=filter,
        )
        return Rows(pages)

    def get_sessions(
        self,
        user_id: str,
        limit: int = 50,
        cursor: str | int | None = None,
        *,
        order: Order = "created",
        filter: dict[str, Any] | None = None,
    ) -> Page[Session]:
        """One page of a user's sessions; for all of them, `client.session.list_all(user_id=…)`.

        Args:
            user_id: whose.
            limit, cursor, order, filter: as for `list`.

        Raises:
            NotFound: there is no such user.
        """
        query = {"limit": limit, "cursor": cursor, "order": order, "filter": filter}
        return read_page(self._caller, "users.sessions", {"user_id": user_id}, query)
