"""Erasures: wire types and operations; and the parameters of every deletion."""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from userkeep.api.common import ListQuery, Moment, Page, SessionQuery
from userkeep.api.encoding import Encodable
from userkeep.api.operation import APIOperation
from userkeep.domain.errors import Conflict
from userkeep.domain.search_terms import (
    MAX_SEARCH_TERM_LENGTH,
    MAX_SEARCH_TERMS,
    MAX_SEARCH_TERMS_LENGTH,
    MIN_SEARCH_TERM_BYTES,
)
from userkeep.domain.verification import MAX_RESIDUES

MAX_COUNTED = 1000
"""Up to how many sessions without a user are counted."""


class DeletedCounts(Encodable, msgspec.Struct, kw_only=True):
    """The number of rows deleted so far, by kind."""

    users: int
    sessions: int
    messages: int
    documents: int


class SkippedStep(Encodable, msgspec.Struct, kw_only=True):
    """A step that a purge could not do."""

    step: str
    reason: str


class Purge(Encodable, msgspec.Struct, kw_only=True):
    """The progress of the purge, which rewrites the database files without the deleted data."""

    requested_at: Annotated[
        Moment | None,
        Meta(description="When a client requested the purge; null when it has finished."),
    ]
    phase: Annotated[str | None, Meta(description="What the purge does now; null if none runs.")]
    problem: Annotated[
        str | None, Meta(description="What blocks the purge. It is retried automatically.")
    ]
    skipped_steps: Annotated[
        list[SkippedStep],
        Meta(
            description="Steps that could not be done, for example for lack of a privilege. The "
            "state then stays `deleted` until a later purge does them: one that you request, or "
            "one that is due for other erasures."
        ),
    ]


class Erasure(Encodable, msgspec.Struct, kw_only=True):
    """The record of the deletion of a user, a session or a message.

    In the state `deleting`, rows are being deleted and nothing of the subject can be read. In the
    state `deleted`, all rows are deleted. In the state `purged`, the database files do not contain
    the data any more. Only the uuid of the subject stays in the record.
    """

    id: str
    subject: Literal["user", "session", "message"]
    subject_id: Annotated[
        str | None, Meta(description="The id of the subject; null after the deletion.")
    ]
    subject_uuid: str
    state: Literal["deleting", "deleted", "purged"]
    counts: DeletedCounts
    started_at: Moment
    deleted_at: Annotated[Moment | None, Meta(description="When the last row was deleted.")]
    purged_at: Annotated[
        Moment | None, Meta(description="When the database files were free of the data.")
    ]
    purge: Purge
    sessions_without_user: Annotated[
        int | UnsetType,
        Meta(
            description="In the response to the deletion of a user: how many sessions belong to no "
            f"user, counted up to {MAX_COUNTED:,}. They were not deleted, and may have data of the "
            "user too."
        ),
    ] = UNSET


PurgeNow = Annotated[
    Literal["now"] | None,
    Meta(description="Also purge the files now. The response waits for it, up to 5 seconds."),
]


class DeleteQuery(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Parameters of the deletion of a user."""

    purge: PurgeNow = None


class DeleteInSessionQuery(SessionQuery, kw_only=True):
    """Parameters of the deletion of a session, or of a message in it."""

    purge: PurgeNow = None


# Checked in domain.search_terms, which names the one at fault.
SearchTerm = Annotated[str, Meta(extra_json_schema={"maxLength": MAX_SEARCH_TERM_LENGTH})]

SearchTerms = Annotated[
    list[SearchTerm],
    Meta(
        description=(
            f"Texts of the subject to look for, such as an email address, a name or a sentence: "
            f"up to {MAX_SEARCH_TERMS}, each from {MIN_SEARCH_TERM_BYTES} bytes to "
            f"{MAX_SEARCH_TERM_LENGTH:,} characters, together up to {MAX_SEARCH_TERMS_LENGTH:,}. "
            "They are neither stored nor logged."
        ),
        extra_json_schema={"maxItems": MAX_SEARCH_TERMS},
    ),
]


class VerifyErasure(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What to look for in a verification, besides the uuid of the subject."""

    subject_id: Annotated[
        str | None,
        Meta(description="The id of the subject. For a message, the id of its session."),
    ] = None
    search_terms: SearchTerms = []


class Residue(Encodable, msgspec.Struct, kw_only=True):
    """A place where data of the subject still is."""

    where: Annotated[
        str,
        Meta(
            description="A column of a table, or an offset in a file.",
            examples=["table messages.content", "file userkeep.db at 12345"],
        ),
    ]
    search_term: Annotated[
        int | None,
        Meta(description="Index in `search_terms`; null: the subject's own id or uuid."),
    ]
    encoding: Annotated[
        str, Meta(description="How it is encoded there, such as `utf-8` or `base64`.")
    ]


class Scanned(Encodable, msgspec.Struct, kw_only=True):
    """A table or file that was read from end to end."""

    name: Annotated[str, Meta(description="A table, a file, or the files in a folder.")]
    rows: Annotated[int | None, Meta(description="The number of rows of a table.")]
    size_bytes: Annotated[int | None, Meta(description="The size of files.")]


class Skipped(Encodable, msgspec.Struct, kw_only=True):
    """What was not scanned, or could have proved nothing."""

    name: str
    reason: str
    is_gap: Annotated[
        bool,
        Meta(
            description="Whether deleted data may be there unseen. Then the result is "
            "`inconclusive`, unless something was found elsewhere."
        ),
    ]


class ShortWord(Encodable, msgspec.Struct, kw_only=True):
    """A word of a search term that was not looked for in the full-text index: it is too short."""

    search_term: Annotated[int, Meta(description="Index in `search_terms`.")]
    start: Annotated[int, Meta(description="In Unicode code points of the search term, from 0.")]
    end: Annotated[int, Meta(description="Exclusive.")]


class Verification(Encodable, msgspec.Struct, kw_only=True):
    """A verification: a search for deleted data. It runs as a job, which can be polled by `id`."""

    id: str
    state: Annotated[
        Literal["running", "finished", "failed"],
        Meta(description="`failed`: `problem` says why; start another one."),
    ]
    problem: str | None
    started_at: Moment
    finished_at: Moment | None
    erasure: Erasure
    found: Annotated[
        bool | None,
        Meta(description="Whether data of the subject was found; null until it is `finished`."),
    ]
    result: Annotated[
        Literal["found", "clear", "inconclusive"] | None,
        Meta(
            description="`clear`: nothing was found; `inconclusive`: nothing was found, but "
            "something of `skipped` is a gap. Null until it is `finished`."
        ),
    ]
    hits: Annotated[list[Residue], Meta(description=f"Where; at most {MAX_RESIDUES:,} of them.")]
    hit_count: Annotated[
        int,
        Meta(description="How many there are; of a text that is repeated often, at least so many."),
    ]
    id_reused: Annotated[
        bool,
        Meta(description="Whether the id is in use again; data of its new owner is no hit."),
    ]
    scanned: list[Scanned]
    skipped: list[Skipped]
    short_words: Annotated[
        list[ShortWord],
        Meta(
            description=f"Words of fewer than {MIN_SEARCH_TERM_BYTES} bytes, which were looked for "
            "only as a part of their search term, not by themselves in the full-text index."
        ),
    ]


OPERATIONS: tuple[APIOperation, ...] = (
    APIOperation(
        name="erasures.list",
        method="GET",
        path="/v1/erasures",
        summary="List erasures",
        description="Oldest first; newest first with order=-created.",
        does="read",
        scope="read",
        query=ListQuery,
        response=Page[Erasure],
    ),
    APIOperation(
        name="erasures.get",
        method="GET",
        path="/v1/erasures/{id}",
        summary="Get an erasure",
        does="read",
        scope="read",
        response=Erasure,
    ),
    APIOperation(
        name="erasures.purge",
        method="POST",
        path="/v1/erasures/{id}/purge",
        summary="Purge an erasure now",
        description=(
            "Rewrites the database files now, independent of the purge schedule, so that they "
            "contain nothing that was deleted. If it takes longer than 5 seconds, the response is "
            "202, and the purge continues. The request can be repeated."
        ),
        does="job",
        scope="write",
        response=Erasure,
    ),
    APIOperation(
        name="erasures.verify",
        method="POST",
        path="/v1/erasures/{id}/verify",
        summary="Verify an erasure",
        description=(
            "Searches for the deleted data in every row, and in the bytes of the database's files "
            "where they can be read. It takes about a second for every 50 MiB; 202 if it takes "
            "longer than 5 s, then poll the address in `Location`. 409 while the erasure is "
            "running. Until the erasure is `purged`, its data is found in the files."
        ),
        does="job",
        scope="write",
        body=VerifyErasure,
        response=Verification,
        errors=(Conflict,),
    ),
    APIOperation(
        name="verifications.get",
        method="GET",
        path="/v1/verifications/{id}",
        summary="Get a verification",
        does="read",
        scope="read",
        response=Verification,
    ),
)
