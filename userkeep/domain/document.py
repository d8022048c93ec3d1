"""A document: a text of a collection, with an embedding by which a search finds it."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import UNSET, Meta, UnsetType

from userkeep.domain.errors import InvalidField
from userkeep.domain.values.ids import check_id
from userkeep.domain.values.metadata import Metadata, encode_metadata
from userkeep.domain.values.text import check_content, utf8_bytes
from userkeep.domain.values.times import Instant
from userkeep.domain.vectors.encoding import (
    decode_base64_embedding,
    encode_embedding,
    quantize_embedding,
)

MAX_BATCH = 1_000
"""How many documents can be added at once."""


class EmbeddingState(StrEnum):
    """Whether a document has an embedding.

    A document that is `rejected` is one whose text the model does not take.
    """

    EMBEDDED = "embedded"
    WAITING = "waiting"
    REJECTED = "rejected"


class Document(msgspec.Struct):
    """A document as stored.

    Attributes:
        seq: the order in its collection: 1, 2, 3 …
        uuid: of version 7.
        document_id: the app's id, unique in the collection; None without one.
        user_id: the user whom it belongs to; None if it belongs to the project.
        embedding_state: see EmbeddingState.
        revision: counts updates, from 1.
        metadata: a JSON object as text.
        content: the text; it may be empty.
        embedding: float32, where it was asked for; None without one.
    """

    seq: int
    uuid: str
    document_id: str | None
    user_id: str | None
    embedding_state: str
    revision: int
    created_at: Instant
    updated_at: Instant
    metadata: str | None
    content: str
    embedding: bytes | None = None

    @property
    def size_bytes(self) -> int:
        """The bytes of its long texts, and of its embedding as JSON."""
        return utf8_bytes(self.content) + len(self.metadata or "") + 3 * len(self.embedding or b"")

    @property
    def is_embedded(self) -> bool:
        """Whether it has an embedding."""
        return self.embedding_state == EmbeddingState.EMBEDDED


_NUMBERS: dict[str, Any] = {"items": {"type": "number"}}
_BASE64: dict[str, Any] = {"contentEncoding": "base64"}

# Numbers are checked all at once, when they are encoded.
GivenEmbedding = Annotated[
    Annotated[Sequence[Any], Meta(extra_json_schema=_NUMBERS)]
    | Annotated[str, Meta(extra_json_schema=_BASE64)],
    Meta(
        description="As many numbers as the collection has dimensions; or, several times as fast, "
        "these as float32, little-endian, in base64."
    ),
]

Content = Annotated[str, Meta(description="The text, up to 1 MiB. Empty only with an embedding.")]


class NewDocument(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A document to add."""

    content: Content = ""
    document_id: Annotated[
        str | None,
        Meta(
            description="Your id, unique in the collection: any text of up to 512 characters. By "
            "default the server's uuid."
        ),
    ] = None
    user_id: Annotated[
        str | None,
        Meta(
            description="The user whom it belongs to: it is found in their searches, and is "
            "deleted with them."
        ),
    ] = None
    metadata: Metadata | None = None
    embedding: Annotated[
        GivenEmbedding | None,
        Meta(description="Required, unless the model makes it."),
    ] = None


class DocumentChange(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """An update of a document: absent fields stay.

    Of a collection that the model embeds, a new content is embedded again.
    """

    content: Content | UnsetType = UNSET
    document_id: (
        Annotated[str | None, Meta(description="Your new id; null for the server's uuid.")]
        | UnsetType
    ) = UNSET
    metadata: Metadata | None | UnsetType = UNSET
    embedding: GivenEmbedding | UnsetType = UNSET


class PreparedDocument(NamedTuple):
    """A document to add: checked, with its embedding as it is stored.

    Attributes:
        embedding: float32; None if the model makes it.
        vector: what a search reads; None without an embedding.
    """

    content: str
    document_id: str | None
    user_id: str | None
    metadata: str | None
    embedding: bytes | None
    vector: bytes | None


class PreparedChange(NamedTuple):
    """A checked update of a document: only what changes, in `fields`, as it is stored.

    Attributes:
        metadata: as it was given, to be merged.
    """

    fields: dict[str, Any]
    embedding: bytes | None
    vector: bytes | None
    metadata: Metadata | None | UnsetType = UNSET


def prepare_document(new: NewDocument, path: str) -> PreparedDocument:
    """Check a document to add, before the transaction, in which other writers would wait.

    Args:
        path: of the document in the request, for errors: `documents[3]`.

    Raises:
        InvalidField: naming the field.
    """
    if not new.content and new.embedding is None:
        raise InvalidField(f"{path} needs content, an embedding or both.", f"{path}.content")
    embedding = _encoded(new.embedding, f"{path}.embedding")
    return PreparedDocument(
        check_content(new.content, f"{path}.content"),
        _checked_id(new.document_id, f"{path}.document_id"),
        _checked_id(new.user_id, f"{path}.user_id"),
        encode_metadata(new.metadata, f"{path}.metadata"),
        embedding,
        None if embedding is None else quantize_embedding(embedding),
    )


def prepare_change(change: DocumentChange) -> PreparedChange:
    """Check an update of a document.

    Raises:
        InvalidField: naming the field.
    """
    fields: dict[str, Any] = {}
    embedding = None
    if not isinstance(change.content, UnsetType):
        fields["content"] = check_content(change.content, "content")
    if not isinstance(change.document_id, UnsetType):
        fields["document_id"] = _checked_id(change.document_id, "document_id")
    if not isinstance(change.metadata, UnsetType):
        fields["metadata"] = encode_metadata(change.metadata)
    if not isinstance(change.embedding, UnsetType):
        embedding = _encoded(change.embedding, "embedding")
    vector = None if embedding is None else quantize_embedding(embedding)
    return PreparedChange(fields, embedding, vector, change.metadata)


def _checked_id(value: str | None, field: str) -> str | None:
    return None if value is None else check_id(value, field)


def encode_given(values: Sequence[Any] | str, field: str) -> bytes:
    """Return an embedding, which is given as numbers or in base64, as float32.

    Raises:
        InvalidField: naming `field`.
    """
    if not values:
        raise InvalidField(f"{field} is empty.", field)
    numbers = decode_base64_embedding(values, field) if isinstance(values, str) else values
    return encode_embedding(numbers, field)


def _encoded(values: Sequence[Any] | str | None, field: str) -> bytes | None:
    return None if values is None else encode_given(values, field)
