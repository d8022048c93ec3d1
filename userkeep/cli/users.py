"""`userkeep users …`."""

from typing import Any, Literal

import click

from userkeep.cli.deleting import ask, confirmed, delete_one, purging
from userkeep.cli.lists import chunks_of
from userkeep.cli.options import as_json, dated, json_object, metadata_given, paged
from userkeep.cli.tables import print_list, print_user, users_table
from userkeep.cli.target import with_client, with_client_that_may_make
from userkeep.cli.terminal import counted
from userkeep.client import Userkeep
from userkeep.domain.user import UserFields
from userkeep.domain.values.paging import MAX_LIMIT


@click.command()
@click.argument("user_id")
@click.option("--email", metavar="TEXT", help="Up to 512 characters, as are the names.")
@click.option("--first-name", metavar="TEXT")
@click.option("--last-name", metavar="TEXT")
@metadata_given
@as_json
@with_client_that_may_make
def add(client: Userkeep, *, user_id: str, as_json: bool, **fields: Any) -> None:
    """Add a user.

    \b
    userkeep users add jane --email jane@example.com
    userkeep users add jane --first-name Jane --metadata '{"plan": "pro"}'
    """
    print_user(client.user.add(user_id=user_id, **fields), as_json=as_json)


@click.command("list")
@click.option("--email", metavar="TEXT", help="With this address, in any case.")
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
    """List users, in the order of their creation.

    \b
    userkeep users list
    userkeep users list --order=-created --limit 10
    userkeep users list --metadata plan=pro --created-after 2026-01-01 --all --json
    """
    chunks = chunks_of(client.user.list, limit, cursor, filters, is_all=is_all)
    print_list(chunks, users_table, "There are no users here.", as_json=as_json)


@click.command()
@click.argument("user_id")
@as_json
@with_client
def show(client: Userkeep, *, user_id: str, as_json: bool) -> None:
    """Show a user.

    \b
    userkeep users show jane
    """
    print_user(client.user.get(user_id), as_json=as_json)


@click.command()
@click.argument("user_id")
@click.option("--email", metavar="TEXT")
@click.option("--first-name", metavar="TEXT")
@click.option("--last-name", metavar="TEXT")
@click.option(
    "--metadata",
    type=json_object,
    metavar="JSON",
    help="Merged into what is there; a null in it removes that key.",
)
@click.option(
    "--remove",
    "removed",
    type=click.Choice(UserFields.__struct_fields__),
    multiple=True,
    help="Remove a field; may be repeated.",
)
@as_json
@with_client
def update(
    client: Userkeep, *, user_id: str, removed: tuple[str, ...], as_json: bool, **fields: Any
) -> None:
    """Change a user: what is not named stays.

    \b
    userkeep users update jane --email jane@example.org
    userkeep users update jane --metadata '{"plan": "free", "trial_ends": null}'
    userkeep users update jane --remove last_name
    """
    change = {name: value for name, value in fields.items() if value is not None}
    for name in removed:
        if name in change:
            raise click.UsageError(f"{name} is to be set and to be removed.")
        change[name] = None
    if not change:
        raise click.UsageError("There is nothing to change; name a field.")
    print_user(client.user.update(user_id=user_id, **change), as_json=as_json)


@click.command()
@click.argument("user_id")
@purging
@as_json
@confirmed
@with_client
def delete(
    client: Userkeep, *, user_id: str, purge: Literal["now"] | None, is_sure: bool, as_json: bool
) -> None:
    """Delete a user with every session and message that is theirs.

    It asks first. When it is done, nothing of the user can be read any more.

    \b
    userkeep users delete jane
    userkeep users delete jane --yes --purge now --json
    """
    name = f"user {user_id!r}"
    if not is_sure:
        ask(f"Delete {name} with {_belongings(client, user_id)}? This cannot be undone.")
    delete_one(client, name, lambda: client.user.delete(user_id, purge=purge), as_json=as_json)


def _belongings(client: Userkeep, user_id: str) -> str:
    sessions = client.user.get_sessions(user_id, MAX_LIMIT)
    messages = counted(sum(each.message_count for each in sessions), "message")
    if sessions.next:
        return f"more than {counted(len(sessions), 'session')} and {messages}"
    return f"{counted(len(sessions), 'session')} and {messages}"


COMMANDS = (add, list_, show, update, delete)
