"""What an import adds, with what the server assigned where it was.

Where a field is absent, the server assigns it, as it does for what an app adds.
"""

from datetime import datetime
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec import Meta

from userkeep.domain.collection import Name, NewCollection
from userkeep.domain.document import MAX_BATCH as MAX_DOCUMENTS
from userkeep.domain.document import NewDocument, PreparedDocument
from userkeep.domain.message import MAX_BATCH, CheckedMessage, CreatedAt, NewMessage
from userkeep.domain.session import NewSession
from userkeep.domain.user import NewUser
from userkeep.domain.values.past import PastTime
from userkeep.domain.values.times import Instant

MAX_SEQ = 2**52
"""The greatest `seq` that an import gives. Many languages read numbers of JSON as 53 bits, so those
of messages that are appended later are exact too."""

GivenUuid = Annotated[
    str,
    Meta(
        description="The uuid that it had. No other one may have it.",
        extra_json_schema={"format": "uuid"},
    ),
]
GivenRevision = Annotated[int, Meta(ge=1, le=MAX_SEQ, description="The revision that it had.")]
GivenSeq = Annotated[
    int,
    Meta(
        ge=1,
        le=MAX_SEQ,
        description="The position that it had. Without it, the place is after the message before.",
    ),
]


class ImportedUser(NewUser, kw_only=True):
    """A user to import."""

    uuid: GivenUuid | None = None
    revision: GivenRevision | None = None
    updated_at: PastTime | None = None


class ImportedMessage(NewMessage, kw_only=True):
    """A message to import. By its `id` a second import recognizes it."""

    id: Annotated[str, Meta(description="Up to 128 characters.")]
    seq: GivenSeq | None = None
    revision: GivenRevision | None = None
    edited_at: CreatedAt | None = None


Messages = Annotated[list[ImportedMessage], Meta(max_length=MAX_BATCH)]


class ImportedSession(NewSession, kw_only=True):
    """A session to import, with messages of it: all, or those that follow `after_seq`.

    A session of the user with this `user_id`, or without a user.
    """

    session_id: str
    uuid: GivenUuid | None = None
    revision: GivenRevision | None = None
    active_at: PastTime | None = None
    updated_at: PastTime | None = None
    has_end: Annotated[
        bool, Meta(description="Whether `ended_at` is known; if not, an end is no difference.")
    ] = True
    messages: Messages
    after_seq: Annotated[
        int,
        Meta(ge=0, le=MAX_SEQ, description="The `seq` of the message before the first of these."),
    ] = 0


ModelFingerprint = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=200,
        description="Of the model that made the embeddings, as `model` of the collection.",
    ),
]


class ImportedCollection(NewCollection, kw_only=True):
    """A collection to import, without its documents.

    With `model`, its documents keep the embeddings that this model made, until another one is
    configured.
    """

    uuid: GivenUuid | None = None
    model: ModelFingerprint | None = None
    revision: GivenRevision | None = None
    created_at: PastTime | None = None
    updated_at: PastTime | None = None


class ImportedDocument(NewDocument, kw_only=True):
    """A document to import. By its uuid or `document_id` a second import recognizes it."""

    uuid: GivenUuid | None = None
    embedding_state: Annotated[
        Literal["embedded", "waiting", "rejected"] | None,
        Meta(description="As it was: what the model rejected is not given to it again."),
    ] = None
    revision: GivenRevision | None = None
    created_at: PastTime | None = None
    updated_at: PastTime | None = None


class ImportedDocuments(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Documents to import into the collection with this name, which exists."""

    name: Name
    model: ModelFingerprint | None = None
    documents: Annotated[list[ImportedDocument], Meta(min_length=1, max_length=MAX_DOCUMENTS)]


class PreparedImportedDocument(NamedTuple):
    """A document to import, checked.

    Attributes:
        document: what an app can give too; its `document_id` is None if it is the uuid.
        is_rejected: whether the model does not take its text.
        revision, created_at, updated_at: as it had them; None where they are not known.
    """

    document: PreparedDocument
    uuid: str | None
    is_rejected: bool
    revision: int | None
    created_at: datetime | None
    updated_at: datetime | None


class Version(NamedTuple):
    """What the server assigns to a user or session, unless an import knows it.

    Attributes:
        uuid: None for a new one.
        revision: counts updates.
        updated_at: None for now.
    """

    uuid: str | None = None
    revision: int = 1
    updated_at: Instant | None = None


NEW = Version()


class CheckedImport(NamedTuple):
    """A message to import, with the values to store.

    Attributes:
        message: what a client can give too.
        seq: its position; None for the one after the message before.
        revision, edited_at: as it had them; None where they are not known.
    """

    message: CheckedMessage
    seq: int | None
    revision: int | None
    edited_at: Instant | None

    @property
    def known(self) -> dict[str, Any]:
        """The values that are known, by their names in a stored message."""
        fields = msgspec.structs.asdict(self.message)
        given = {"seq": self.seq, "revision": self.revision, "created_at": fields["created_at"]}
        fields |= given
        absent = {name for name, value in given.items() if value is None}
        if self.revision is not None:
            fields["edited_at"] = self.edited_at
        return {name: value for name, value in fields.items() if name not in absent}
