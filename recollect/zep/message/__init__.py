"""Messages: `from recollect.zep.message import Message`."""

from recollect.zep.message.models import Message

__all__ = ["Message"]
