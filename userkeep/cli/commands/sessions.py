"""`userkeep sessions …`."""

from functools import partial
from typing import Any, Literal

import click

from userkeep.cli.changes import change_options, changed_fields, do_not_embed_option, without_none
from userkeep.cli.clients import with_client
from userkeep.cli.deletions import confirm, confirmation_option, purge_option, run_deletion
from userkeep.cli.groups import OrderedGroup
from userkeep.cli.options import (
    active_options,
    count_option,
    join_conditions,
    json_option,
    list_filter_options,
    merged_metadata_option,
    metadata_option,
    owner_option,
    paging_options,
    session_order_option,
    words_option,
)
from userkeep.cli.output.tables import print_list, print_session, sessions_table
from userkeep.cli.pages import selected_pages
from userkeep.client import Userkeep
from userkeep.domain.values.counts import pluralize


@click.group(cls=OrderedGroup)
def sessions() -> None:
    """Add, list, show, update, end and delete sessions.

    \b
    userkeep sessions add chat-1 --user-id jane
    userkeep sessions list --user-id jane
    """


@sessions.command()
@click.argument("session_id", required=False)
@click.option("--user-id", metavar="USER_ID", help="The user who owns the session.")
@click.option("--title", metavar="TITLE", help="What a list of sessions shows.")
@metadata_option
@do_not_embed_option
@json_option
@with_client("create")
def add(client: Userkeep, *, as_json: bool, **fields: Any) -> None:
    """Add a session; without SESSION_ID, an id is generated.

    \b
    userkeep sessions add --user-id jane
    userkeep sessions add chat-1 --user-id jane --title 'New shoes'
    """
    given = without_none(fields, "do_not_embed")
    print_session(client.session.add(**given), as_json=as_json)


@sessions.command("list")
@click.option("--user-id", metavar="USER_ID", help="Only those of this user.")
@click.option(
    "--owned/--without-user",
    "owned",
    default=None,
    help="Only those that belong to a user, or to none.",
)
@words_option("the title")
@active_options
@list_filter_options
@paging_options
@session_order_option
@click.option(
    "--last-message",
    "has_last_message",
    is_flag=True,
    help="Also show the beginning of each session's last message.",
)
@count_option
@json_option
@with_client("read")
def list_(
    client: Userkeep,
    *,
    limit: int,
    cursor: str | None,
    is_all: bool,
    has_last_message: bool,
    as_json: bool,
    **filters: Any,
) -> None:
    """List sessions in the order of their creation, or of their activity.

    \b
    userkeep sessions list --user-id jane
    userkeep sessions list --user-id jane --order=-active --last-message
    userkeep sessions list --without-user --count
    userkeep sessions list --q shoes --active-after 2026-11-01 --count --json
    """
    filters["include"] = "last_message" if has_last_message else None
    pages = selected_pages(
        client.session.list, limit, cursor, join_conditions(filters), is_all=is_all
    )
    print_list(pages, sessions_table, "No sessions.", as_json=as_json)


@sessions.command()
@click.argument("session_id")
@owner_option
@json_option
@with_client("read")
def show(client: Userkeep, *, session_id: str, user_id: str | None, as_json: bool) -> None:
    """Show a session.

    \b
    userkeep sessions show chat-1
    """
    print_session(client.session.get(session_id, user_id=user_id), as_json=as_json)


@sessions.command()
@click.argument("session_id")
@click.option("--title", metavar="TITLE", help="The new title, up to 512 characters.")
@click.option(
    "--user-id",
    metavar="USER_ID",
    help="The owner, if the session has none; another user's session is not found.",
)
@merged_metadata_option
@do_not_embed_option
@change_options("title", "metadata")
@json_option
@with_client("write")
def update(
    client: Userkeep,
    *,
    session_id: str,
    removed: tuple[str, ...],
    if_revision: int | None,
    as_json: bool,
    **fields: Any,
) -> None:
    """Update a session; fields that are not given stay as they are.

    \b
    userkeep sessions update chat-1 --title 'Blue shoes'
    userkeep sessions update chat-1 --metadata '{"topic": "shoes"}' --if-revision 3
    userkeep sessions update chat-1 --remove title
    """
    change = changed_fields(fields, removed)
    updated = client.session.update(session_id=session_id, if_revision=if_revision, **change)
    print_session(updated, as_json=as_json)


@sessions.command()
@click.argument("session_id")
@owner_option
@json_option
@with_client("write")
def end(client: Userkeep, *, session_id: str, user_id: str | None, as_json: bool) -> None:
    """End a session; no messages can be appended to it afterwards.

    \b
    userkeep sessions end chat-1
    """
    print_session(client.session.end(session_id, user_id=user_id), as_json=as_json)


@sessions.command()
@click.argument("session_id")
@owner_option
@json_option
@with_client("write")
def reopen(client: Userkeep, *, session_id: str, user_id: str | None, as_json: bool) -> None:
    """Undo the end of a session; messages can be appended to it again.

    \b
    userkeep sessions reopen chat-1
    """
    print_session(client.session.reopen(session_id, user_id=user_id), as_json=as_json)


@sessions.command()
@click.argument("session_id")
@owner_option
@purge_option
@json_option
@confirmation_option
@with_client("write")
def delete(
    client: Userkeep,
    *,
    session_id: str,
    user_id: str | None,
    purge: Literal["now"] | None,
    is_confirmed: bool,
    as_json: bool,
) -> None:
    """Delete a session with all its messages.

    The command asks for confirmation. When it ends, the data can no longer be read.

    \b
    userkeep sessions delete chat-1
    userkeep sessions delete chat-1 --yes --purge now --json
    """
    name = f"session {session_id!r}"
    if not is_confirmed:
        session = client.session.get(session_id, user_id=user_id)
        owner = f" of user {session.user_id!r}" if session.user_id else ""
        messages = pluralize(session.message_count, "message")
        confirm(f"Delete {name}{owner} with {messages}? This cannot be undone.")
    start = partial(client.session.delete, session_id, user_id=user_id, purge=purge)
    run_deletion(client, name, start, as_json=as_json)
