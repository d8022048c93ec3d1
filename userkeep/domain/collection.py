"""A collection: documents with embeddings of one length, which a search compares."""

import re
from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from userkeep.domain.errors import InvalidField
from userkeep.domain.values.ids import is_uuid
from userkeep.domain.values.metadata import MAX_METADATA_BYTES, Metadata
from userkeep.domain.values.text import check_characters
from userkeep.domain.values.times import Instant

MIN_DIMENSIONS = 8
MAX_DIMENSIONS = 2000
MAX_DESCRIPTION_LENGTH = 1000

EmbeddedBy = Literal["caller", "model"]
"""Who makes the embeddings of a collection: the caller, or the configured embedding model."""

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")

Name = Annotated[
    str,
    Meta(
        description="Up to 63 of a-z, 0-9, `-` and `_`, the first a letter or a digit; not a uuid. "
        "Upper case counts as lower case.",
    ),
]


class Collection(msgspec.Struct):
    """A collection as stored.

    Attributes:
        number: the order of creation, and the key of its documents; never reused.
        name: unique in the project, in lower case.
        uuid: of version 7.
        description: what it is for.
        metadata: a JSON object as text.
        dimensions: the length of all its embeddings.
        embedded_by: see EmbeddedBy.
        model: the fingerprint of the model that makes its embeddings; None if callers do.
        revision: counts updates, from 1.
        document_count: the number of documents.
        embedded_count: how many of them have an embedding.
        waiting_count: how many of them wait for the model.
        last_seq: the greatest `seq` that was assigned.
        reviewed_seq: up to which document it was reviewed again which are to be embedded; None:
            all of them.
    """

    max_size_bytes: ClassVar = MAX_METADATA_BYTES + 4 * MAX_DESCRIPTION_LENGTH

    number: int
    name: str
    uuid: str
    description: str | None
    metadata: str | None
    dimensions: int
    embedded_by: EmbeddedBy
    model: str | None
    revision: int
    document_count: int
    embedded_count: int
    waiting_count: int
    last_seq: int
    created_at: Instant
    updated_at: Instant
    reviewed_seq: int | None

    @property
    def size_bytes(self) -> int:
        """The bytes of its long texts."""
        return len(self.metadata or "")

    @property
    def is_embedded_by_model(self) -> bool:
        """Whether the configured model makes its embeddings."""
        return self.embedded_by == "model"


Description = Annotated[
    str | None, Meta(description=f"What it is for, up to {MAX_DESCRIPTION_LENGTH:,} characters.")
]


class NewCollection(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A collection to create.

    Attributes:
        dimensions: the length of its embeddings. None: that of the model.
    """

    name: Name
    description: Description = None
    metadata: Metadata | None = None
    dimensions: Annotated[
        int | None,
        Meta(
            description=f"The length of its embeddings, from {MIN_DIMENSIONS} to "
            f"{MAX_DIMENSIONS:,}. It cannot be changed. If the model makes them, the default is "
            "the model's."
        ),
    ] = None
    embedded_by: Annotated[
        EmbeddedBy,
        Meta(
            description="`caller`: you send the embedding of each document. `model`: the "
            "configured embedding model makes them."
        ),
    ] = "caller"

    def check(self) -> None:
        """Check the fields.

        Raises:
            InvalidField: naming the field.
        """
        check_collection_name(self.name)
        check_description(self.description)
        if self.dimensions is None and self.embedded_by == "caller":
            raise InvalidField("dimensions is missing: the length of the embeddings.", "dimensions")
        if self.dimensions is not None:
            check_dimension_count(self.dimensions, "dimensions")


class CollectionChange(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """An update of a collection: absent fields stay."""

    description: Description | UnsetType = UNSET
    metadata: Metadata | None | UnsetType = UNSET


def fold_collection_name(name: str) -> str:
    """Return the name as it is compared."""
    return name.lower()


def check_collection_name(name: str) -> None:
    """Check the name of a collection, in any case.

    Raises:
        InvalidField: with the name.
    """
    if not _NAME.fullmatch(fold_collection_name(name)):
        raise InvalidField(
            "name must have 1 to 63 of a-z, 0-9, - and _, the first a letter or a digit; "
            f"got {name!r}.",
            "name",
        )
    if is_uuid(name):
        raise InvalidField(f"name cannot be a uuid; got {name!r}.", "name")


def check_dimension_count(dimensions: int, field: str) -> None:
    """Check how long the embeddings of a collection are.

    Raises:
        InvalidField: naming `field`.
    """
    if not MIN_DIMENSIONS <= dimensions <= MAX_DIMENSIONS:
        raise InvalidField(
            f"{field} must be an integer from {MIN_DIMENSIONS} to {MAX_DIMENSIONS}; "
            f"got {dimensions}.",
            field,
        )


def check_description(description: str | None) -> None:
    """Check a description: up to 1,000 characters.

    Raises:
        InvalidField: it is longer.
    """
    if description is None:
        return
    check_characters(description, "description")
    if len(description) > MAX_DESCRIPTION_LENGTH:
        raise InvalidField(
            f"description is longer than {MAX_DESCRIPTION_LENGTH:,} characters.", "description"
        )
