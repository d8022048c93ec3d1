"""Quotas: how much each user of a project can have."""

from typing import NamedTuple

import msgspec

from userkeep.domain.values.times import Instant


class Quota(msgspec.Struct, frozen=True):
    """The quotas of a project; None for no limit.

    Attributes:
        max_messages: the most messages that a user can have.
        max_bytes: the most bytes of UTF-8 that the content and data of a user's messages can have.
        set_at: when the project was changed last: a count of an earlier time is made again.
    """

    max_messages: int | None
    max_bytes: int | None
    set_at: Instant

    @property
    def is_limited(self) -> bool:
        """Whether there is a limit."""
        return self.max_messages is not None or self.max_bytes is not None


class Usage(msgspec.Struct):
    """How much a user had when it was counted.

    Attributes:
        message_count: the number of messages; if it is another one now, the count is not valid.
        byte_count: the bytes of their content and data.
        quota_set_at: of the quota for which it was counted.
    """

    message_count: int
    byte_count: int
    quota_set_at: Instant


class Use(NamedTuple):
    """How much of a quota is used.

    Attributes:
        messages: the number of messages.
        size_bytes: the bytes of their content and data; None where they were not counted.
    """

    messages: int
    size_bytes: int | None
