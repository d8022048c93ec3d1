"""`client.erasure`: records of deletions."""

from collections.abc import Sequence

from userkeep.api.erasures import Erasure, Verification
from userkeep.domain.errors import Unavailable
from userkeep.domain.values.paging import Order
from userkeep.sdk._async.lists import AsyncPage, read_list
from userkeep.sdk._async.transport import AsyncTransport
from userkeep.sdk.boundary import raises_at_its_caller
from userkeep.sdk.calls import make_call
from userkeep.sdk.requests import encode_verification

_FIRST_POLL_S = 0.5
_LAST_POLL_S = 5.0


@raises_at_its_caller
class AsyncErasureClient:
    """Erasures: the records of deletions."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def get(self, id: str) -> Erasure:
        """Return an erasure.

        Raises:
            NotFound: it does not exist.
        """
        erasure: Erasure = await self._transport.send(make_call("erasures.get", {"id": id}))
        return erasure

    async def purge(self, id: str) -> Erasure:
        """Purge now: rewrite the database files, so that they contain nothing that was deleted.

        A server purges automatically on its schedule. An embedded database is purged only by this
        call, or by a deletion with `purge="now"`.

        Returns:
            The erasure, with the state `purged`. The state is `deleted` if a server continues the
            purge after 5 seconds, if something blocks it (`purge.problem`), or if steps could not
            be done (`purge.skipped_steps`).

        Raises:
            NotFound: the erasure does not exist.
        """
        erasure: Erasure = await self._transport.send(make_call("erasures.purge", {"id": id}))
        return erasure

    async def verify(
        self,
        id: str,
        *,
        subject_id: str | None = None,
        search_terms: Sequence[str] = (),
    ) -> Verification:
        """Search for data of a deleted user, session or message in all rows and in the files.

        It takes about one second per 50 MiB of files; the call waits for the end. Until the erasure
        is `purged`, deleted data is found in the files.

        Args:
            subject_id: the deleted id, to search for it too. For a message, the id of its session.
                The erasure contains only its hash, and the uuid.
            search_terms: texts of the deleted user, such as an email address or a sentence: up to
                100, each from 6 bytes to 1,024 characters. They are neither stored nor logged.

        Returns:
            Whether data was `found`, where (`hits`), and what was `scanned` and `skipped`.

        Raises:
            NotFound: the erasure does not exist.
            Conflict: the deletion is still running.
            InvalidField: a search term would be found by chance, or `subject_id` does not match.
            Unavailable: the verification failed.
        """
        body = encode_verification(subject_id, search_terms)
        call = make_call("erasures.verify", {"id": id}, body=body)
        verification: Verification = await self._transport.send(call)
        delay_s = _FIRST_POLL_S
        while verification.state == "running":
            await self._transport.sleep(delay_s)
            delay_s = min(delay_s * 1.5, _LAST_POLL_S)
            verification = await self.get_verification(verification.id)
        if verification.state == "failed":
            raise Unavailable(verification.problem or "The verification failed.")
        return verification

    async def get_verification(self, id: str) -> Verification:
        """Return a verification, which may still be running.

        Raises:
            NotFound: it does not exist.
        """
        call = make_call("verifications.get", {"id": id})
        verification: Verification = await self._transport.send(call)
        return verification

    async def list(
        self, limit: int | None = None, cursor: str | int | None = None, *, order: Order = "created"
    ) -> AsyncPage[Erasure]:
        """Return the erasures: iterate over them, or read a page with `limit`.

        Args:
            limit: the maximum number of items, from 1 to 1,000. Without it, iteration reads all.
            cursor: the `next` of the previous page. None or 0 is the first page.
            order: `created` for oldest first, `-created` for newest first.

        Raises:
            BadRequest: the cursor is invalid, or belongs to another order.
        """
        query = {"limit": limit, "cursor": cursor, "order": order}
        return await read_list(AsyncPage, self._transport, "erasures.list", {}, query)
