"""What export and import share: the instance that they call, and whom they report to."""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol, TypeVar

from userkeep.api.common import Page
from userkeep.jobs.jsonl import Counts

T = TypeVar("T")


class Instance(Protocol):
    """An instance, embedded or on a server, whose operations are called by name."""

    def call(
        self,
        operation: str,
        ids: Mapping[str, str],
        response: type[T],
        *,
        query: Mapping[str, Any] | None = None,
        body: bytes | None = None,
    ) -> T:
        """Call an operation of the native API.

        Args:
            operation: its name in the table of operations.
            ids: the ids in its path.
            response: the type to decode the response as. Fields of type `msgspec.Raw` stay the
                bytes that they are.

        Raises:
            UserkeepError: the operation failed.
        """
        ...


class Reporter(Protocol):
    """Receives the progress of an export or an import, in the thread of the job."""

    def progress(self, counts: Counts, read_bytes: int | None = None) -> None:
        """Report how much is done, and how much of the file is read.

        It is called often, so it should return quickly.
        """
        ...

    def warn(self, sentence: str) -> None:
        """Report something that the caller should know, and that does not end the job."""
        ...


class NoReporter:
    """Ignores all reports."""

    def progress(self, counts: Counts, read_bytes: int | None = None) -> None:
        """Ignore it."""

    def warn(self, sentence: str) -> None:
        """Ignore it."""


def list_pages(
    instance: Instance, operation: str, ids: Mapping[str, str], row: type[T], **query: Any
) -> Iterator[Page[T]]:
    """Iterate over the pages of a list, decoding each row as the given type."""
    cursor: str | None = None
    while True:
        page = instance.call(operation, ids, Page[row], query={**query, "cursor": cursor})  # type: ignore[valid-type]
        yield page
        cursor = page.next
        if cursor is None:
            return
