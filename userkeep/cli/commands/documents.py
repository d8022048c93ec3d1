"""`userkeep documents …`."""

from typing import Any

import click
import msgspec

from userkeep.cli.clients import with_client
from userkeep.cli.deletions import confirm, confirmation_option
from userkeep.cli.groups import OrderedGroup
from userkeep.cli.options import (
    filter_option,
    json_option,
    metadata_option,
    order_option,
    paging_options,
    parse_json,
)
from userkeep.cli.output.documents import (
    documents_table,
    print_deleted_documents,
    print_document,
    print_document_hits,
)
from userkeep.cli.output.tables import print_list
from userkeep.cli.pages import selected_pages
from userkeep.client import Userkeep
from userkeep.domain.values.counts import pluralize
from userkeep.domain.values.paging import MAX_LIMIT
from userkeep.sdk.requests import NewDocument


@click.group(cls=OrderedGroup)
def documents() -> None:
    """Add, list, show, search and delete documents of a collection.

    \b
    userkeep documents add articles "How to return shoes" --document-id returns
    userkeep documents list articles
    userkeep documents search articles "how do I return shoes?"
    """


def _user_option(command: Any) -> Any:
    return click.option("--user-id", metavar="USER_ID", help="Only those of this user.")(command)


_embedding_flag = click.option(
    "--embedding", "has_embedding", is_flag=True, help="With --json, also print the embedding."
)


@documents.command()
@click.argument("collection")
@click.argument("content")
@click.option("--document-id", metavar="ID", help="Your id of it.  [a uuid of the server]")
@click.option("--user-id", metavar="USER_ID", help="The user whom it belongs to.")
@click.option(
    "--embedding",
    type=parse_json,
    metavar="JSON",
    help="A list of numbers. Required, unless the model makes the embeddings.",
)
@metadata_option
@json_option
@with_client("write")
def add(client: Userkeep, *, collection: str, embedding: Any, as_json: bool, **fields: Any) -> None:
    """Add a document to a collection.

    \b
    userkeep documents add articles "How to return shoes" --document-id returns
    """
    fields["embedding"] = _decoded(embedding)
    [document] = client.document.add(collection, NewDocument(**fields))
    print_document(document, as_json=as_json)


def _decoded(embedding: Any) -> Any:
    return None if embedding is None else msgspec.json.decode(embedding)


@documents.command("list")
@click.argument("collection")
@_user_option
@filter_option
@_embedding_flag
@paging_options
@order_option
@json_option
@with_client("read")
def list_(
    client: Userkeep,
    *,
    collection: str,
    has_embedding: bool,
    limit: int,
    cursor: str | None,
    is_all: bool,
    as_json: bool,
    **filters: Any,
) -> None:
    """List documents in the order in which they were added.

    \b
    userkeep documents list articles --user-id jane
    userkeep documents list articles --all --embedding --json
    """
    filters |= {"collection": collection, "include": "embedding" if has_embedding else None}
    pages = selected_pages(client.document.list, limit, cursor, filters, is_all=is_all)
    print_list(pages, documents_table, "No documents.", as_json=as_json)


@documents.command()
@click.argument("collection")
@click.argument("document_id")
@_embedding_flag
@json_option
@with_client("read")
def show(
    client: Userkeep, *, collection: str, document_id: str, has_embedding: bool, as_json: bool
) -> None:
    """Show a document.

    \b
    userkeep documents show articles returns
    """
    include: Any = "embedding" if has_embedding else None
    print_document(client.document.get(collection, document_id, include=include), as_json=as_json)


@documents.command()
@click.argument("collection")
@click.argument("text", required=False)
@click.option(
    "--embedding",
    type=parse_json,
    metavar="JSON",
    help="What is looked for, instead of TEXT: a list of numbers.",
)
@_user_option
@filter_option
@click.option(
    "--limit",
    type=click.IntRange(1, MAX_LIMIT),
    default=10,
    show_default=True,
    help="Maximum number of documents.",
)
@click.option(
    "--min-score",
    type=click.FloatRange(-1, 1),
    metavar="SCORE",
    help="The lowest score of a document, from -1 to 1.",
)
@click.option(
    "--mmr-lambda",
    type=click.FloatRange(0, 1),
    metavar="NUMBER",
    help="Select by maximal marginal relevance: 1 the nearest, 0 the most different.",
)
@click.option(
    "--exact", is_flag=True, help="Compare all embeddings, also where there is an index (HNSW)."
)
@json_option
@with_client("read")
def search(
    client: Userkeep,
    *,
    collection: str,
    text: str | None,
    embedding: Any,
    as_json: bool,
    **fields: Any,
) -> None:
    """Search the documents of a collection, nearest first.

    TEXT needs a collection that the configured embedding model embeds. Without TEXT and
    --embedding, the newest documents are shown.

    \b
    userkeep documents search articles "how do I return shoes?"
    userkeep documents search articles --filter '{"field": "metadata.topic", "op": "exists"}'
    """
    hits = client.document.search(collection, text, embedding=_decoded(embedding), **fields)
    print_document_hits(hits, as_json=as_json)


@documents.command()
@click.argument("collection")
@click.argument("document_ids", nargs=-1, required=True)
@json_option
@confirmation_option
@with_client("write")
def delete(
    client: Userkeep,
    *,
    collection: str,
    document_ids: tuple[str, ...],
    is_confirmed: bool,
    as_json: bool,
) -> None:
    """Delete documents; those that are missing are ignored.

    The command asks for confirmation.

    \b
    userkeep documents delete articles returns hats
    userkeep documents delete articles returns --yes --json
    """
    if not is_confirmed:
        count = pluralize(len(document_ids), "document")
        confirm(f"Delete {count} of collection {collection!r}? This cannot be undone.")
    deleted = client.document.delete_many(collection, list(document_ids))
    print_deleted_documents(deleted, as_json=as_json)
