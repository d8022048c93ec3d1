"""`userkeep sessions …`."""

from typing import Any, Literal

import click

from userkeep.cli.clients import with_client
from userkeep.cli.deletions import confirm, confirmation_option, purge_option, run_deletion
from userkeep.cli.groups import OrderedGroup
from userkeep.cli.options import (
    json_option,
    list_filter_options,
    metadata_option,
    paging_options,
)
from userkeep.cli.output.tables import print_list, print_session, sessions_table
from userkeep.cli.output.terminal import pluralize
from userkeep.cli.pages import selected_pages
from userkeep.client import Userkeep


@click.group(cls=OrderedGroup)
def sessions() -> None:
    """Add, list, show, end and delete sessions.

    \b
    userkeep sessions add chat-1 --user-id jane
    userkeep sessions list --user-id jane
    """


@sessions.command()
@click.argument("session_id", required=False)
@click.option("--user-id", metavar="USER_ID", help="The user who owns the session.")
@click.option("--title", metavar="TITLE", help="What a list of sessions shows.")
@metadata_option
@json_option
@with_client("create")
def add(client: Userkeep, *, as_json: bool, **fields: Any) -> None:
    """Add a session; without SESSION_ID, an id is generated.

    \b
    userkeep sessions add --user-id jane
    userkeep sessions add chat-1 --user-id jane --title 'New shoes'
    """
    print_session(client.session.add(**fields), as_json=as_json)


@sessions.command("list")
@click.option("--user-id", metavar="USER_ID", help="Only those of this user.")
@list_filter_options
@paging_options
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
    """List sessions in the order of their creation.

    \b
    userkeep sessions list --user-id jane
    userkeep sessions list --order=-created --limit 10 --json
    """
    pages = selected_pages(client.session.list, limit, cursor, filters, is_all=is_all)
    print_list(pages, sessions_table, "No sessions.", as_json=as_json)


@sessions.command()
@click.argument("session_id")
@json_option
@with_client("read")
def show(client: Userkeep, *, session_id: str, as_json: bool) -> None:
    """Show a session.

    \b
    userkeep sessions show chat-1
    """
    print_session(client.session.get(session_id), as_json=as_json)


@sessions.command()
@click.argument("session_id")
@json_option
@with_client("write")
def end(client: Userkeep, *, session_id: str, as_json: bool) -> None:
    """End a session; no messages can be appended to it afterwards.

    \b
    userkeep sessions end chat-1
    """
    print_session(client.session.end(session_id), as_json=as_json)


@sessions.command()
@click.argument("session_id")
@json_option
@with_client("write")
def reopen(client: Userkeep, *, session_id: str, as_json: bool) -> None:
    """Undo the end of a session; messages can be appended to it again.

    \b
    userkeep sessions reopen chat-1
    """
    print_session(client.session.reopen(session_id), as_json=as_json)


@sessions.command()
@click.argument("session_id")
@purge_option
@json_option
@confirmation_option
@with_client("write")
def delete(
    client: Userkeep,
    *,
    session_id: str,
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
        session = client.session.get(session_id)
        owner = f" of user {session.user_id!r}" if session.user_id else ""
        messages = pluralize(session.message_count, "message")
        confirm(f"Delete {name}{owner} with {messages}? This cannot be undone.")
    run_deletion(
        client, name, lambda: client.session.delete(session_id, purge=purge), as_json=as_json
    )
