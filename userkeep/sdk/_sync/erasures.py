# Printed by scripts/print_sync.py from _async/erasures.py: change it there.
"""`client.erasure`: what was deleted, and what still is being."""

from collections.abc import Iterator, Sequence

from userkeep.api.erasures import Erasure, Verification
from userkeep.domain.values.paging import Order
from userkeep.sdk._sync.callers import Caller
from userkeep.sdk._sync.lists import Pages, Rows, read_page
from userkeep.sdk.calls import make_call
from userkeep.sdk.pages import Page
from userkeep.sdk.requests import body_of_verification

_AT_ONCE = 100


class ErasureClient:
    """Erasures: looked up, listed, purged, verified."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def get(self, id: str) -> Erasure:  # noqa: A002 - its name everywhere
        """Read an erasure.

        Raises:
            NotFound: there is none with this id.
        """
        erasure: Erasure = self._caller.call(make_call("erasures.get", {"id": id}))
        return erasure

    def purge(self, id: str) -> Erasure:  # noqa: A002 - its name everywhere
        """Purge now: rewrite the database files, so that they contain nothing that was deleted.

        A server purges automatically on its schedule. An embedded database is purged only by this
        call, or by a deletion with `purge="now"`.

        Returns:
            The erasure, with the state `purged`. The state is `deleted` if a server continues the
            purge after 5 seconds, if something blocks it (`purge.problem`), or if steps could not
            be done (`purge.skipped_steps`).

        Raises:
            NotFound: there is none with this id.
        """
        erasure: Erasure = self._caller.call(make_call("erasures.purge", {"id": id}))
        return erasure

    def verify(
        self,
        id: str,  # noqa: A002 - its name everywhere
        *,
        subject_id: str | None = None,
        search_terms: Sequence[str] = (),
    ) -> Verification:
        """Look again for what was deleted: in every row, and in the bytes of the database's files.

        It takes about a second for every 50 MiB of files, and waits for that as long as it takes.
        Until the erasure is `purged`, its texts are found in the files.

        Args:
            subject_id: the id that was deleted (of a message, that of its session), to look for it
                too; the erasure itself knows a hash of it and the uuid.
            search_terms: texts of the deleted user, such as an email address or a sentence: up to
                100, each from 6 bytes to 1,024 characters. They are neither stored nor logged.

        Returns:
            Whether anything was `found`, where (`hits`), and how far it looked.

        Raises:
            NotFound: there is no erasure with this id.
            Conflict: it goes on still.
            InvalidField: a search term would be found by chance, or `subject_id` does not match.
        """
        body = body_of_verification(subject_id, search_terms)
        call = make_call("erasures.verify", {"id": id}, body=body)
        verification: Verification = self._caller.call(call)
        return verification

    def list(
        self, limit: int = 50, cursor: str | int | None = None, *, order: Order = "created"
    ) -> Page[Erasure]:
        """One page of the erasures, in the order of their acceptance.

        Args:
            limit: how many at most, from 1 to 1,000.
            cursor: the `next` of the page before; None or 0 is the start.
            order: `created`, or `-created` for the newest first.

        Raises:
            BadRequest: the cursor is no one's, or belongs to another order.
        """
        query = {"limit": limit, "cursor": cursor, "order": order}
        return read_page(self._caller, "erasures.list", {}, query)

    def list_chunked(
        self, chunk_size: int = 100, *, order: Order = "created"
    ) -> Iterator[Page[Erasure]]:
        """All erasures, page by page."""
        query = {"limit": chunk_size, "order": order}
        return Pages(self._caller, "erasures.list", {}, query)

    def list_all(self, *, order: Order = "created") -> Iterator[Erasure]:
        """All erasures, one by one."""
        return Rows(self.list_chunked(_AT_ONCE, order=order))
