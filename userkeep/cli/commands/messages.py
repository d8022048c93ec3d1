"""`userkeep messages …`."""

import sys
from functools import partial
from typing import Any, Literal

import click

from userkeep.cli.clients import with_client
from userkeep.cli.deletions import confirm, confirmation_option, purge_option, run_deletion
from userkeep.cli.files import DASH
from userkeep.cli.groups import OrderedGroup
from userkeep.cli.options import (
    created_options,
    filter_option,
    json_option,
    metadata_option,
    paging_options,
)
from userkeep.cli.output.tables import messages_table, print_list, print_message
from userkeep.cli.pages import selected_pages
from userkeep.client import Userkeep
from userkeep.config import SettingError
from userkeep.domain.errors import InvalidField
from userkeep.domain.message import GIVEN_ROLES, ROLES
from userkeep.domain.values.text import MAX_CONTENT_BYTES
from userkeep.sdk.requests import NewMessage


@click.group(cls=OrderedGroup)
def messages() -> None:
    """List, add and delete messages of a session.

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
@paging_options
@json_option
@with_client("read")
def list_(
    client: Userkeep,
    *,
    session_id: str,
    limit: int,
    cursor: str | None,
    is_all: bool,
    as_json: bool,
    **filters: Any,
) -> None:
    """List the messages of a session, oldest first.

    \b
    userkeep messages list chat-1
    userkeep messages list chat-1 --after-seq 40 --role user
    userkeep messages list chat-1 --all --json
    """
    filters["session_id"] = session_id
    pages = selected_pages(client.message.list, limit, cursor, filters, is_all=is_all)
    print_list(pages, messages_table, "No messages in this session.", as_json=as_json)


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
@purge_option
@json_option
@confirmation_option
@with_client("write")
def delete(
    client: Userkeep,
    *,
    session_id: str,
    id: str,
    purge: Literal["now"] | None,
    is_confirmed: bool,
    as_json: bool,
) -> None:
    """Delete a message.

    `userkeep messages list --json` shows its id. The command asks for confirmation. The sequence
    numbers of other messages do not change.

    \b
    userkeep messages delete chat-1 01a204d3-fd4f-7b04-a503-2bf951c2c06d
    userkeep messages delete chat-1 01a204d3-fd4f-7b04-a503-2bf951c2c06d --yes --purge now
    """
    message = client.message.get(session_id, id)
    name = f"message {message.seq} of session {session_id!r}"
    if not is_confirmed:
        confirm(f"Delete {name}? This cannot be undone.")
    start = partial(client.message.delete, session_id, id, purge=purge)
    run_deletion(client, name, start, as_json=as_json)


def _read_stdin() -> str:
    content = sys.stdin.buffer.read(MAX_CONTENT_BYTES + 2)
    if len(content.removesuffix(b"\n")) > MAX_CONTENT_BYTES:
        raise InvalidField("content is larger than 1 MiB.", "content")
    try:
        return content.decode().removesuffix("\n")
    except UnicodeDecodeError as error:
        raise SettingError("stdin is not UTF-8 text.") from error
