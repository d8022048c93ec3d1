"""Tables of collections and documents."""

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from userkeep.api.collections import Collection, CollectionDeletion
from userkeep.api.documents import DeletedDocuments, Document, DocumentHit, DocumentHits
from userkeep.cli.output.tables import cut_content, json_text, plain_table, print_one
from userkeep.cli.output.terminal import (
    format_time,
    humanize,
    one_line,
    print_json,
    print_note,
    stdout_console,
)
from userkeep.domain.values.counts import pluralize


def print_collection(collection: Collection, *, as_json: bool) -> None:
    """Print a collection."""
    print_one(
        collection,
        [
            ("name", collection.name),
            ("description", collection.description),
            ("documents", f"{collection.document_count:,}"),
            ("embedded", f"{collection.embedded_count:,}"),
            ("waiting", f"{collection.waiting_count:,}"),
            ("dimensions", f"{collection.dimensions:,}"),
            ("embedded by", collection.embedded_by),
            ("metadata", json_text(collection.metadata)),
            ("created", format_time(collection.created_at)),
            ("updated", format_time(collection.updated_at)),
            ("revision", str(collection.revision)),
            ("uuid", collection.uuid),
        ],
        as_json=as_json,
    )


def print_collection_deletion(deletion: CollectionDeletion, *, as_json: bool) -> None:
    """Print the deletion of a collection."""
    lines = [("name", deletion.name), ("state", deletion.state), ("uuid", deletion.uuid)]
    print_one(deletion, lines, as_json=as_json)


def collections_table(collections: Sequence[Collection]) -> Table:
    """Return a table of collections, a line each."""
    table = plain_table()
    table.add_column("name", overflow="fold", min_width=8)
    table.add_column("documents", justify="right", no_wrap=True)
    table.add_column("waiting", justify="right", no_wrap=True)
    table.add_column("dimensions", justify="right", no_wrap=True)
    table.add_column("embedded by", no_wrap=True)
    table.add_column("description", overflow="fold", min_width=8)
    for each in collections:
        table.add_row(
            one_line(each.name),
            f"{each.document_count:,}",
            f"{each.waiting_count:,}",
            f"{each.dimensions:,}",
            each.embedded_by,
            one_line(each.description),
        )
    return table


def print_document(document: Document, *, as_json: bool) -> None:
    """Print a document."""
    print_one(
        document,
        [
            ("document_id", document.document_id),
            ("user_id", document.user_id or "none"),
            ("content", document.content),
            ("embedding", document.embedding_state),
            ("metadata", json_text(document.metadata)),
            ("created", format_time(document.created_at)),
            ("updated", format_time(document.updated_at)),
            ("revision", str(document.revision)),
            ("uuid", document.uuid),
        ],
        as_json=as_json,
    )


def documents_table(documents: Sequence[Document]) -> Table:
    """Return a table of documents, a line each, with the beginnings of their contents."""
    table = plain_table()
    table.add_column("document_id", overflow="fold", min_width=11)
    table.add_column("user_id", overflow="fold", min_width=7)
    table.add_column("content", overflow="fold", min_width=10)
    table.add_column("embedding", no_wrap=True)
    table.add_column("created", style="dim", no_wrap=True)
    for each in documents:
        table.add_row(
            one_line(each.document_id),
            one_line(each.user_id) if each.user_id else Text("none", style="dim"),
            one_line(cut_content(each.content)),
            each.embedding_state,
            humanize(each.created_at),
        )
    return table


def print_document_hits(hits: Sequence[DocumentHit], *, as_json: bool) -> None:
    """Print what a search found, nearest first."""
    if as_json:
        print_json(DocumentHits(items=list(hits)))
    elif not hits:
        print_note("No documents found.")
    else:
        stdout_console().print(_hits_table(hits))


def _hits_table(hits: Sequence[DocumentHit]) -> Table:
    is_ranked = any(hit.score is not None for hit in hits)
    table = plain_table()
    if is_ranked:
        table.add_column("score", justify="right", style="dim", no_wrap=True)
    table.add_column("document_id", overflow="fold", min_width=11)
    table.add_column("content", overflow="fold", min_width=10)
    for hit in hits:
        table.add_row(
            *([f"{hit.score:.3f}"] if hit.score is not None else []),
            one_line(hit.document.document_id),
            one_line(cut_content(hit.document.content)),
        )
    return table


def print_deleted_documents(deleted: DeletedDocuments, *, as_json: bool) -> None:
    """Print how many documents were deleted."""
    if as_json:
        print_json(deleted)
    else:
        count = pluralize(deleted.deleted_count, "document")
        stdout_console().print(f"Deleted {count}.")
