"""Erasures: the types that travel, and the operations; how to delete, which is part of others."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from userkeep.api.common import ListQuery, Moment, Page
from userkeep.api.operation import Operation
from userkeep.domain.search_terms import (
    MAX_SEARCH_TERM_LENGTH,
    MAX_SEARCH_TERMS,
    MIN_SEARCH_TERM_BYTES,
)
from userkeep.domain.verification import MOST_RESIDUES


class DeletedCounts(msgspec.Struct, kw_only=True):
    """How many rows of each kind an erasure has deleted so far."""

    users: int
    sessions: int
    messages: int


class SkippedStep(msgspec.Struct, kw_only=True):
    """A step that a purge could not do."""

    step: str
    reason: str


class Purge(msgspec.Struct, kw_only=True):
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


class Erasure(msgspec.Struct, kw_only=True):
    """An erasure: the act of deleting a user, a session or a message.

    `subject_id` is there while it runs; what stays afterwards is the subject's uuid. When it is
    `deleted` no query finds anything of the subject; when it is `purged`, neither are its bytes in
    the database's files.
    """

    id: str
    subject: Literal["user", "session", "message"]
    subject_id: Annotated[str | None, Meta(description="While it runs; null afterwards.")]
    subject_uuid: str
    state: Literal["deleting", "deleted", "purged"]
    counts: DeletedCounts
    started_at: Moment
    deleted_at: Annotated[Moment | None, Meta(description="When the last row was gone.")]
    purged_at: Annotated[
        Moment | None, Meta(description="When nothing of it was in the files any more.")
    ]
    purge: Purge


class DeleteQuery(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How to delete."""

    purge: Annotated[
        Literal["now"] | None,
        Meta(description="Purge the files at once, and answer when it is done, or after 5 s."),
    ] = None


# Checked in domain.search_terms, which names the one at fault.
SearchTerm = Annotated[str, Meta(extra_json_schema={"maxLength": MAX_SEARCH_TERM_LENGTH})]

SearchTerms = Annotated[
    list[SearchTerm],
    Meta(
        description=(
            f"Texts of the subject to look for, such as an email address, a name or a sentence: "
            f"up to {MAX_SEARCH_TERMS}, each from {MIN_SEARCH_TERM_BYTES} bytes to "
            f"{MAX_SEARCH_TERM_LENGTH:,} characters. They are neither stored nor logged."
        ),
        extra_json_schema={"maxItems": MAX_SEARCH_TERMS},
    ),
]


class VerifyErasure(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What to look for, once somebody was deleted, beside the uuid that the erasure knows."""

    subject_id: Annotated[
        str | None,
        Meta(description="The id that the subject had; of a message, that of its session."),
    ] = None
    search_terms: SearchTerms = []


class Residue(msgspec.Struct, kw_only=True):
    """Something of the subject that is still there."""

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


class Scanned(msgspec.Struct, kw_only=True):
    """A table or file that was read from end to end."""

    name: Annotated[str, Meta(description="A table, a file, or the files in a folder.")]
    rows: Annotated[int | None, Meta(description="The number of rows of a table.")]
    size_bytes: Annotated[int | None, Meta(description="The size of files.")]


class Skipped(msgspec.Struct, kw_only=True):
    """What was not scanned, or could have proved nothing."""

    name: str
    reason: str


class Verification(msgspec.Struct, kw_only=True):
    """What came of looking again for somebody who was deleted."""

    erasure: Erasure
    found: Annotated[bool, Meta(description="Whether anything of the subject is still there.")]
    hits: Annotated[
        list[Residue], Meta(description=f"Where; no more than {MOST_RESIDUES:,} of them.")
    ]
    hit_count: Annotated[int, Meta(description="How many there are in all.")]
    id_reused: Annotated[
        bool,
        Meta(description="Whether somebody new bears the id; what is theirs is no hit."),
    ]
    scanned: list[Scanned]
    skipped: list[Skipped]


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="erasures.list",
        method="GET",
        path="/v1/erasures",
        summary="List erasures",
        description="In the order of their acceptance.",
        does="read",
        query=ListQuery,
        response=Page[Erasure],
    ),
    Operation(
        name="erasures.get",
        method="GET",
        path="/v1/erasures/{id}",
        summary="Read an erasure",
        does="read",
        response=Erasure,
    ),
    Operation(
        name="erasures.purge",
        method="POST",
        path="/v1/erasures/{id}/purge",
        summary="Purge an erasure now",
        description=(
            "Writes the files anew without what was deleted, at once, whatever the purge window; "
            "202 where that takes longer than 5 s. To ask again does no harm."
        ),
        does="job",
        response=Erasure,
    ),
    Operation(
        name="erasures.verify",
        method="POST",
        path="/v1/erasures/{id}/verify",
        summary="Verify an erasure",
        description=(
            "Looks again for what was deleted: in every row, and in the bytes of the database's "
            "files where they can be read. It changes nothing, and may take minutes: a second for "
            "every 50 MiB or so. 409 while the erasure goes on. Until it is `purged`, its texts "
            "are found in the files."
        ),
        does="verify",
        body=VerifyErasure,
        response=Verification,
    ),
)
