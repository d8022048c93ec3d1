"""`userkeep messages …`."""

import sys
from functools import partial
from typing import Any, Literal

import click

from userkeep.cli.changes import change_options, changed_fields
from userkeep.cli.clients import with_client
from userkeep.cli.deletions import confirm, confirmation_option, purge_option, run_deletion
from userkeep.cli.files import DASH
from userkeep.cli.groups import OrderedGroup
from userkeep.cli.options import (
    created_options,
    filter_option,
    json_option,
    merged_metadata_option,
    metadata_option,
    order_option,
    owner_option,
    paging_options,
    parse_json,
)
from userkeep.cli.output.tables import messages_table, print_list, print_message
from userkeep.cli.pages import selected_pages
from userkeep.client import Userkeep
from userkeep.config import SettingError
from userkeep.domain.errors import InvalidField
from userkeep.domain.message import GIVEN_ROLES, MAX_TOKEN_COUNT, ROLES
from userkeep.domain.values.counts import pluralize
from userkeep.domain.values.text import MAX_CONTENT_BYTES, decode_file, without_mark
from userkeep.sdk.requests import NewMessage

_MOST_AROUND_BYTES = 5
"""A byte order mark before a text on stdin, and the end of its last line."""


@click.group(cls=OrderedGroup)
def messages() -> None:
    """List, add, show, update and delete messages of a session.

    \b
    userkeep messages add chat-1 "Do you have these in blue?"
    userkeep messages list chat-1
    """


@messages.command("list")
@click.argument("session_id")
@click.option("--after-seq", type=click.IntRange(0), metavar="SEQ", help="Only those after this.")
@click.option("--before-seq", type=click.IntRange(0), metavar="SEQ", help="Only those before this.")
@created_options
@click.option("--role", type=click.Choice(ROLES), help="Only messages of this role.")
@filter_option
@owner_option
@paging_options
@order_option
@click.option("--ids", "has_ids", is_flag=True, help="Also show the id of each message.")
@json_option
@with_client("read")
def list_(
    client: Userkeep,
    *,
    session_id: str,
    limit: int,
    cursor: str | None,
    is_all: bool,
    has_ids: bool,
    as_json: bool,
    **filters: Any,
) -> None:
    """List the messages of a session, oldest first.

    The table has up to 500 characters of each content; --json and `messages show` have the whole.

    \b
    userkeep messages list chat-1 --ids
    userkeep messages list chat-1 --after-seq 40 --role user
    userkeep messages list chat-1 --all --json
    """
    filters["session_id"] = session_id
    pages = selected_pages(client.message.list, limit, cursor, filters, is_all=is_all)
    table = partial(messages_table, has_ids=has_ids)
    print_list(pages, table, "No messages in this session.", as_json=as_json)


@messages.command()
@click.argument("session_id")
@click.argument("text")
@click.option(
    "--role",
    type=click.Choice(GIVEN_ROLES),
    default="user",
    show_default=True,
    help="The role for a language model.",
)
@click.option("--name", metavar="TEXT", help="Who speaks, any text.")
@click.option(
    "--user-id",
    metavar="USER_ID",
    help="The owner of the session. If the session or the user does not exist, it is created.",
)
@metadata_option
@json_option
@with_client("create")
def add(
    client: Userkeep,
    *,
    session_id: str,
    text: str,
    user_id: str | None,
    as_json: bool,
    **fields: Any,
) -> None:
    """Append a message to a session.

    If TEXT is -, it is read from stdin, without the newline at the end.

    \b
    userkeep messages add chat-1 "Do you have these in blue?"
    userkeep messages add chat-1 - --user-id jane --name Jane < question.txt
    """
    message = NewMessage(content=_read_stdin() if text == DASH else text, **fields)
    [added] = client.message.add(session_id, message, user_id=user_id)
    print_message(added, as_json=as_json)


@messages.command()
@click.argument("session_id")
@click.argument("id")
@owner_option
@json_option
@with_client("read")
def show(client: Userkeep, *, session_id: str, id: str, user_id: str | None, as_json: bool) -> None:
    """Show a message.

    `userkeep messages list --ids` shows its id.

    \b
    userkeep messages show chat-1 01a204d3-fd4f-7b04-a503-2bf951c2c06d
    """
    print_message(client.message.get(session_id, id, user_id=user_id), as_json=as_json)


@messages.command()
@click.argument("session_id")
@click.argument("id")
@click.option("--role", type=click.Choice(GIVEN_ROLES), help="The new role.")
@click.option("--name", metavar="TEXT", help="Who speaks.")
@click.option("--content", metavar="TEXT", help="The new text; - reads it from stdin.")
@click.option("--data", type=parse_json, metavar="JSON", help="In place of the existing data.")
@click.option(
    "--token-count",
    type=click.IntRange(0, MAX_TOKEN_COUNT),
    metavar="NUMBER",
    help="Your count of tokens.",
)
@merged_metadata_option
@change_options("name", "content", "data", "token_count", "metadata")
@owner_option
@json_option
@with_client("write")
def update(
    client: Userkeep,
    *,
    session_id: str,
    id: str,
    user_id: str | None,
    removed: tuple[str, ...],
    if_revision: int | None,
    as_json: bool,
    **fields: Any,
) -> None:
    """Update a message; fields that are not given stay as they are.

    `userkeep messages list --ids` shows its id. Content can only be removed if there is data.

    \b
    userkeep messages update chat-1 01a204d3-fd4f-7b04-a503-2bf951c2c06d --content "In green."
    userkeep messages update chat-1 greeting --role ai --if-revision 2
    userkeep messages update chat-1 greeting --remove name --token-count 12
    """
    change = changed_fields(fields, removed)
    if change.get("content") == DASH:
        change["content"] = _read_stdin()
    updated = client.message.update(
        session_id, id, user_id=user_id, if_revision=if_revision, **change
    )
    print_message(updated, as_json=as_json)


@messages.command()
@click.argument("session_id")
@click.argument("id", required=False)
@click.option(
    "--after",
    "after_seq",
    type=click.IntRange(0),
    metavar="SEQ",
    help="Delete all messages after this one, instead of one message.",
)
@owner_option
@purge_option
@json_option
@confirmation_option
@with_client("write")
def delete(
    client: Userkeep,
    *,
    session_id: str,
    id: str | None,
    after_seq: int | None,
    user_id: str | None,
    purge: Literal["now"] | None,
    is_confirmed: bool,
    as_json: bool,
) -> None:
    """Delete a message, or all messages after one.

    `userkeep messages list --ids` shows its id. The command asks for confirmation. The sequence
    numbers of other messages do not change.

    \b
    userkeep messages delete chat-1 01a204d3-fd4f-7b04-a503-2bf951c2c06d
    userkeep messages delete chat-1 01a204d3-fd4f-7b04-a503-2bf951c2c06d --yes --purge now
    userkeep messages delete chat-1 --after 12
    """
    if (id is None) == (after_seq is None):
        raise click.UsageError("Give either ID or --after SEQ.")
    if after_seq is None:
        message = client.message.get(session_id, id or "", user_id=user_id)
        name = f"message {message.seq} of session {session_id!r}"
        start = partial(client.message.delete, session_id, message.id)
    else:
        client.session.get(session_id, user_id=user_id)
        name = f"all messages after {after_seq} of session {session_id!r}"
        start = partial(client.message.delete_after, session_id, after_seq)
    if not is_confirmed:
        amount = "" if after_seq is None else f", {_amount_after(client, session_id, after_seq)}"
        confirm(f"Delete {name}{amount}? This cannot be undone.")
    run_deletion(client, name, partial(start, user_id=user_id, purge=purge), as_json=as_json)


@messages.command()
@click.argument("session_id")
@owner_option
@purge_option
@json_option
@confirmation_option
@with_client("write")
def clear(
    client: Userkeep,
    *,
    session_id: str,
    user_id: str | None,
    purge: Literal["now"] | None,
    is_confirmed: bool,
    as_json: bool,
) -> None:
    """Delete all messages of a session; the session stays.

    The command asks for confirmation.

    \b
    userkeep messages clear chat-1
    userkeep messages clear chat-1 --yes --purge now
    """
    name = f"all messages of session {session_id!r}"
    if not is_confirmed:
        session = client.session.get(session_id, user_id=user_id)
        count = pluralize(session.message_count, "message")
        confirm(f"Delete {name}, {count}? This cannot be undone.")
    start = partial(client.message.clear, session_id, user_id=user_id, purge=purge)
    run_deletion(client, name, start, as_json=as_json)


def _amount_after(client: Userkeep, session_id: str, after_seq: int) -> str:
    """Return how many messages come after one, as far as it is known without reading them."""
    count = client.session.get(session_id).message_count
    newest = client.message.list(session_id, limit=1, order="-created")
    later = max(newest[0].seq - after_seq, 0) if newest else 0
    if newest and newest[0].seq > count and later:  # some are deleted already, here or before
        return f"at most {pluralize(min(later, count), 'message')}"
    return pluralize(later, "message")


def _read_stdin() -> str:
    content = without_mark(sys.stdin.buffer.read(MAX_CONTENT_BYTES + _MOST_AROUND_BYTES + 1))
    content = content.removesuffix(b"\r\n" if content.endswith(b"\r\n") else b"\n")
    if len(content) > MAX_CONTENT_BYTES:
        raise InvalidField("content is larger than 1 MiB.", "content")
    try:
        return decode_file(content)
    except ValueError as error:
        raise SettingError(f"stdin cannot be read: {error}.") from error
