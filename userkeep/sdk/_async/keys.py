"""`client.key`."""

from datetime import datetime

from userkeep.api.keys import Key, KeyWithText
from userkeep.domain.key import DEFAULT_OVERLAP_HOURS, Permission
from userkeep.domain.values.paging import Order
from userkeep.sdk._async.lists import AsyncPage, read_list
from userkeep.sdk._async.transport import AsyncTransport
from userkeep.sdk.boundary import raises_at_its_caller
from userkeep.sdk.calls import make_call
from userkeep.sdk.requests import encode_fields


@raises_at_its_caller
class AsyncKeyClient:
    """API keys. All calls need a key with the scope `admin`."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def add(
        self,
        *,
        name: str | None = None,
        scope: Permission = "write",
        user_id: str | None = None,
        expires_at: datetime | None = None,
        project: str | None = None,
    ) -> KeyWithText:
        """Create a key: `add(name="web", scope="write").key` is its text, which is shown once.

        The first key of an instance closes it: from then on, a server asks every request for a key.

        Args:
            name: what it is for, up to 512 characters.
            scope: what it permits: `read`, `write` (which includes `read`), or `admin` (all).
            user_id: bind it to this user: only the user and their sessions exist for it. The key is
                deleted with the user.
            expires_at: when it ends, with a time zone. The default is never.
            project: the project of the key. The default is your own; only an admin key of the
                project `default` can name another one.

        Raises:
            InvalidField: a field is invalid, or this is the first key and is no admin key.
            NotFound: the user or the project does not exist.
            Forbidden: your key has not the scope `admin`.
        """
        body = encode_fields(
            name=name, scope=scope, user_id=user_id, expires_at=expires_at, project=project
        )
        created: KeyWithText = await self._transport.send(make_call("keys.add", body=body))
        return created

    async def get(self, id: str, *, project: str | None = None) -> Key:
        """Return a key, without its text.

        Args:
            id: the part of the key between its underscores.
            project: as in `add`.

        Raises:
            NotFound: it does not exist.
        """
        query = {"project": project}
        key: Key = await self._transport.send(make_call("keys.get", {"id": id}, query=query))
        return key

    async def rotate(
        self,
        id: str,
        *,
        overlap_hours: int = DEFAULT_OVERLAP_HOURS,
        project: str | None = None,
    ) -> KeyWithText:
        """Give a key a new text, which is shown once.

        Args:
            id: the key.
            overlap_hours: for how long the former text stays valid, from 0 to 720 hours.
            project: as in `add`.

        Raises:
            NotFound: it does not exist. Conflict: it is revoked or has expired.
        """
        query = {"overlap_hours": overlap_hours, "project": project}
        call = make_call("keys.rotate", {"id": id}, query=query)
        rotated: KeyWithText = await self._transport.send(call)
        return rotated

    async def revoke(self, id: str, *, project: str | None = None) -> Key:
        """Revoke a key, for good. User tokens that were made with it end too.

        The server rejects it at once, other servers of the same database within 5 seconds.

        Args:
            id: the key.
            project: as in `add`.

        Raises:
            NotFound: it does not exist.
        """
        query = {"project": project}
        revoked: Key = await self._transport.send(make_call("keys.revoke", {"id": id}, query=query))
        return revoked

    async def list(
        self,
        limit: int | None = None,
        cursor: str | int | None = None,
        *,
        order: Order = "created",
        project: str | None = None,
    ) -> AsyncPage[Key]:
        """Return the keys, revoked ones included: iterate over them, or read a page with `limit`.

        Args:
            limit: the maximum number of items, from 1 to 1,000. Without it, iteration reads all.
            cursor: the `next` of the previous page. None or 0 is the first page.
            order: `created` for oldest first, `-created` for newest first.
            project: as in `add`.

        Raises:
            BadRequest: the cursor is invalid, or belongs to another order.
        """
        query = {"limit": limit, "cursor": cursor, "order": order, "project": project}
        return await read_list(AsyncPage, self._transport, "keys.list", {}, query)
