"""Documents and collections, and the requests about them."""

from datetime import datetime
from typing import Any

from userkeep.zep.model import Model


class Document(Model):
    """A document.

    Attributes:
        uuid: assigned by the server.
        created_at, updated_at: the server's times.
        document_id: your id of the document, of up to 100 characters of ASCII.
        content: the text.
        metadata: a JSON object of up to 64 KiB.
        is_embedded: whether it has an embedding.
        embedding: the embedding; of a collection that is embedded automatically, the server makes
            it.
        score: of a document that was found: from 0 to 1.
    """

    uuid: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    document_id: str | None = None
    content: str
    metadata: dict[str, Any] | None = None
    is_embedded: bool | None = None
    embedding: list[float] | None = None
    score: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields by name."""
        return self.dict()


class DocumentCollectionModel(Model):
    """A collection, as the server returns it.

    Attributes:
        uuid: assigned by the server.
        created_at, updated_at: the server's times.
        name: 3 to 40 letters and digits.
        description: up to 1,000 characters.
        metadata: a JSON object of up to 64 KiB.
        embedding_dimensions: the length of the embeddings.
        is_auto_embedded: whether the server makes them.
        is_indexed: always True: a search needs no index.
        document_count, document_embedded_count: how many documents there are, and how many of them
            have an embedding.
        is_normalized: always False.
    """

    uuid: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    name: str
    description: str | None = None
    metadata: dict[str, Any] | None = None
    embedding_dimensions: int | None = None
    is_auto_embedded: bool | None = True
    is_indexed: bool | None = None
    document_count: int | None = None
    document_embedded_count: int | None = None
    is_normalized: bool | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields by name."""
        return self.dict()
