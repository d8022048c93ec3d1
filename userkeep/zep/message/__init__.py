"""Messages: `from userkeep.zep.message import Message`."""

from userkeep.zep.message.models import Message

__all__ = ["Message"]
