"""`userkeep messages …`."""

import sys
from functools import partial
from typing import Any, Literal

import click

from userkeep.cli.deleting import ask, confirmed, delete_one, purging
from userkeep.cli.lists import chunks_of
from userkeep.cli.options import as_json, filtered, metadata_given, paged
from userkeep.cli.tables import messages_table, print_list, print_message
from userkeep.cli.target import with_client, with_client_that_may_make
from userkeep.client import Userkeep
from userkeep.config import SettingError
from userkeep.domain.errors import InvalidField
from userkeep.domain.message import ROLE_TYPES
from userkeep.domain.values.text import MAX_CONTENT_BYTES
from userkeep.sdk.requests import NewMessage


@click.command("list")
@click.argument("session_id")
@filtered
@paged
@as_json
@with_client
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
    """List the messages of a session, in their order.

    \b
    userkeep messages list chat-1
    userkeep messages list chat-1 --all --json
    """
    filters["session_id"] = session_id
    chunks = chunks_of(client.message.list, limit, cursor, filters, is_all=is_all)
    print_list(chunks, messages_table, "There are no messages in this session.", as_json=as_json)


@click.command()
@click.argument("session_id")
@click.argument("text")
@click.option("--role", metavar="TEXT", default="", help="Who says it, in your own words.")
@click.option(
    "--role-type",
    type=click.Choice(ROLE_TYPES),
    default="norole",
    show_default=True,
    help="What the role means to a model.",
)
@click.option(
    "--user-id",
    metavar="USER_ID",
    help="Whose session it is: an unknown session is opened for them, an unknown user added.",
)
@metadata_given
@as_json
@with_client_that_may_make
def add(
    client: Userkeep,
    *,
    session_id: str,
    text: str,
    user_id: str | None,
    as_json: bool,
    **fields: Any,
) -> None:
    """Append a message to a session; where TEXT is -, it is read from stdin.

    Of what is read, one newline at the end is left out.

    \b
    userkeep messages add chat-1 "Do you have these in blue?" --role-type user
    userkeep messages add chat-1 - --user-id jane --role jane < question.txt
    """
    message = NewMessage(content=_read() if text == "-" else text, **fields)
    [added] = client.message.add(session_id, message, user_id=user_id)
    print_message(added, as_json=as_json)


@click.command()
@click.argument("session_id")
@click.argument("uuid")
@purging
@as_json
@confirmed
@with_client
def delete(
    client: Userkeep,
    *,
    session_id: str,
    uuid: str,
    purge: Literal["now"] | None,
    is_sure: bool,
    as_json: bool,
) -> None:
    """Delete one message; `userkeep messages list --json` shows its UUID.

    It asks first. The numbers of the others stay.

    \b
    userkeep messages delete chat-1 01a204d3-fd4f-7b04-a503-2bf951c2c06d
    userkeep messages delete chat-1 01a204d3-fd4f-7b04-a503-2bf951c2c06d --yes --purge now
    """
    message = client.message.get(session_id, uuid)
    name = f"message {message.seq} of session {session_id!r}"
    if not is_sure:
        ask(f"Delete {name}? This cannot be undone.")
    delete_it = partial(client.message.delete, session_id, uuid, purge=purge)
    delete_one(client, name, delete_it, as_json=as_json)


def _read() -> str:
    content = sys.stdin.buffer.read(MAX_CONTENT_BYTES + 2)
    if len(content.removesuffix(b"\n")) > MAX_CONTENT_BYTES:
        raise InvalidField("content is larger than 1 MiB.", "content")
    try:
        return content.decode().removesuffix("\n")
    except UnicodeDecodeError as error:
        raise SettingError("What came on stdin is not text in UTF-8.") from error


COMMANDS = (list_, add, delete)
