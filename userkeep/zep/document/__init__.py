"""Collections and documents: `from userkeep.zep.document import Document, DocumentCollection`."""

from userkeep.zep.document.collections import DocumentCollection
from userkeep.zep.document.models import Document

__all__ = ["Document", "DocumentCollection"]
