"""`userkeep sessions …`."""

from typing import Any, Literal

import click

from userkeep.cli.deleting import ask, confirmed, delete_one, purging
from userkeep.cli.lists import chunks_of
from userkeep.cli.options import as_json, dated, metadata_given, paged
from userkeep.cli.tables import print_list, print_session, sessions_table
from userkeep.cli.target import with_client, with_client_that_may_make
from userkeep.cli.terminal import counted
from userkeep.client import Userkeep


@click.command()
@click.argument("session_id", required=False)
@click.option("--user-id", metavar="USER_ID", help="The owner; without one, nobody's yet.")
@metadata_given
@as_json
@with_client_that_may_make
def add(client: Userkeep, *, as_json: bool, **fields: Any) -> None:
    """Open a session; without a SESSION_ID one is made.

    \b
    userkeep sessions add --user-id jane
    userkeep sessions add chat-1 --user-id jane --metadata '{"topic": "shoes"}'
    """
    print_session(client.session.add(**fields), as_json=as_json)


@click.command("list")
@click.option("--user-id", metavar="USER_ID", help="Of this user alone.")
@dated
@paged
@as_json
@with_client
def list_(
    client: Userkeep,
    *,
    limit: int,
    cursor: str | None,
    is_all: bool,
    as_json: bool,
    **filters: Any,
) -> None:
    """List sessions, in the order of their creation.

    \b
    userkeep sessions list --user-id jane
    userkeep sessions list --order=-created --limit 10 --json
    """
    chunks = chunks_of(client.session.list, limit, cursor, filters, is_all=is_all)
    print_list(chunks, sessions_table, "There are no sessions here.", as_json=as_json)


@click.command()
@click.argument("session_id")
@as_json
@with_client
def show(client: Userkeep, *, session_id: str, as_json: bool) -> None:
    """Show a session.

    \b
    userkeep sessions show chat-1
    """
    print_session(client.session.get(session_id), as_json=as_json)


@click.command()
@click.argument("session_id")
@as_json
@with_client
def end(client: Userkeep, *, session_id: str, as_json: bool) -> None:
    """End a session: nothing can be appended to it after.

    \b
    userkeep sessions end chat-1
    """
    print_session(client.session.end(session_id), as_json=as_json)


@click.command()
@click.argument("session_id")
@purging
@as_json
@confirmed
@with_client
def delete(
    client: Userkeep,
    *,
    session_id: str,
    purge: Literal["now"] | None,
    is_sure: bool,
    as_json: bool,
) -> None:
    """Delete a session with all its messages.

    It asks first. When it is done, nothing of the session can be read any more.

    \b
    userkeep sessions delete chat-1
    userkeep sessions delete chat-1 --yes --purge now --json
    """
    name = f"session {session_id!r}"
    if not is_sure:
        session = client.session.get(session_id)
        owner = f" of user {session.user_id!r}" if session.user_id else ""
        messages = counted(session.message_count, "message")
        ask(f"Delete {name}{owner} with {messages}? This cannot be undone.")
    delete_one(
        client, name, lambda: client.session.delete(session_id, purge=purge), as_json=as_json
    )


COMMANDS = (add, list_, show, end, delete)
