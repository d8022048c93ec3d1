"""Quotas: how much each user of a project can have."""

from typing import NamedTuple

import msgspec

from userkeep.domain.values.times import Instant


class Quota(msgspec.Struct, frozen=True):
    """The quotas of a project; None for no limit.

    Attributes:
        max_messages: the most messages that a user can have.
        max_bytes: the most bytes of UTF-8 that the texts of a user can have: content and data of
            messages, and content of documents.
        max_documents: the most documents that a user can have.
        set_at: when the project was changed last: a count of an earlier time is made again.
    """

    max_messages: int | None
    max_bytes: int | None
    max_documents: int | None
    set_at: Instant

    @property
    def is_limited(self) -> bool:
        """Whether there is a limit."""
        return {self.max_messages, self.max_bytes, self.max_documents} != {None}


class Usage(msgspec.Struct):
    """How much a user had when it was counted.

    Attributes:
        message_count, document_count: their numbers; if one is another now, the count of bytes is
            not valid.
        byte_count: the bytes of their texts.
        quota_set_at: of the quota for which it was counted.
    """

    message_count: int
    document_count: int
    byte_count: int
    quota_set_at: Instant


class Use(NamedTuple):
    """How much of a quota is used.

    Attributes:
        messages, documents: their numbers; documents are 0 if the quota is about messages alone.
        size_bytes: the bytes of their texts; None where they were not counted.
    """

    messages: int
    documents: int
    size_bytes: int | None
