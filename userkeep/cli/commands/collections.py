"""`userkeep collections …`."""

from typing import Any

import click

from userkeep.cli.clients import with_client
from userkeep.cli.deletions import confirm, confirmation_option
from userkeep.cli.groups import OrderedGroup
from userkeep.cli.options import json_option, metadata_option, order_option, paging_options
from userkeep.cli.output.documents import (
    collections_table,
    print_collection,
    print_collection_deletion,
)
from userkeep.cli.output.tables import print_list
from userkeep.cli.pages import selected_pages
from userkeep.client import Userkeep
from userkeep.domain.collection import MAX_DIMENSIONS, MIN_DIMENSIONS
from userkeep.domain.values.counts import pluralize


@click.group(cls=OrderedGroup)
def collections() -> None:
    """Add, list, show and delete collections of documents.

    \b
    userkeep collections add articles --dimensions 384
    userkeep collections list
    """


@collections.command()
@click.argument("name")
@click.option(
    "--dimensions",
    type=click.IntRange(MIN_DIMENSIONS, MAX_DIMENSIONS),
    help="The length of its embeddings.  [that of the model]",
)
@click.option(
    "--embedded-by",
    type=click.Choice(["caller", "model"]),
    default="caller",
    show_default=True,
    help="Who makes the embeddings: the caller, or the configured embedding model.",
)
@click.option("--description", metavar="TEXT", help="What it is for.")
@metadata_option
@json_option
@with_client("create")
def add(client: Userkeep, *, as_json: bool, **fields: Any) -> None:
    """Add a collection.

    \b
    userkeep collections add articles --dimensions 384 --description 'The help center'
    """
    print_collection(client.collection.add(**fields), as_json=as_json)


@collections.command("list")
@paging_options
@order_option
@json_option
@with_client("read")
def list_(
    client: Userkeep,
    *,
    limit: int,
    cursor: str | None,
    is_all: bool,
    as_json: bool,
    **filters: Any,
) -> None:
    """List collections in the order of their creation.

    \b
    userkeep collections list
    """
    pages = selected_pages(client.collection.list, limit, cursor, filters, is_all=is_all)
    print_list(pages, collections_table, "No collections.", as_json=as_json)


@collections.command()
@click.argument("name")
@json_option
@with_client("read")
def show(client: Userkeep, *, name: str, as_json: bool) -> None:
    """Show a collection.

    \b
    userkeep collections show articles
    """
    print_collection(client.collection.get(name), as_json=as_json)


@collections.command()
@click.argument("name")
@json_option
@confirmation_option
@with_client("write")
def delete(client: Userkeep, *, name: str, is_confirmed: bool, as_json: bool) -> None:
    """Delete a collection with all its documents.

    The command asks for confirmation. When it ends, the documents can no longer be read.

    \b
    userkeep collections delete articles
    userkeep collections delete articles --yes --json
    """
    if not is_confirmed:
        count = client.collection.get(name).document_count
        documents = pluralize(count, "document")
        confirm(f"Delete collection {name!r} with {documents}? This cannot be undone.")
    print_collection_deletion(client.collection.delete(name), as_json=as_json)
