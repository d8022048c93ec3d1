"""`userkeep users …`."""

from typing import Any, Literal

import click

from userkeep.api.erasures import MAX_COUNTED
from userkeep.cli.changes import change_options, changed_fields, do_not_embed_option, without_none
from userkeep.cli.clients import with_client
from userkeep.cli.deletions import (
    confirm,
    confirmation_option,
    describe_sessions_without_user,
    purge_option,
    run_deletion,
)
from userkeep.cli.groups import OrderedGroup
from userkeep.cli.options import (
    count_option,
    join_conditions,
    json_option,
    list_filter_options,
    merged_metadata_option,
    metadata_option,
    order_option,
    paging_options,
    words_option,
)
from userkeep.cli.output.tables import print_list, print_user, users_table
from userkeep.cli.pages import selected_pages
from userkeep.client import Userkeep
from userkeep.domain.values.counts import pluralize
from userkeep.domain.values.paging import MAX_LIMIT


@click.group(cls=OrderedGroup)
def users() -> None:
    """Add, list, show, update and delete users.

    \b
    userkeep users add jane --email jane@example.com
    userkeep users list
    """


@users.command()
@click.argument("user_id")
@click.option("--email", metavar="TEXT", help="The email address, up to 512 characters.")
@click.option("--first-name", metavar="TEXT", help="The first name, up to 512 characters.")
@click.option("--last-name", metavar="TEXT", help="The last name, up to 512 characters.")
@metadata_option
@do_not_embed_option
@json_option
@with_client("create")
def add(client: Userkeep, *, user_id: str, as_json: bool, **fields: Any) -> None:
    """Add a user.

    \b
    userkeep users add jane --email jane@example.com
    userkeep users add jane --first-name Jane --metadata '{"plan": "pro"}'
    """
    given = without_none(fields, "do_not_embed")
    print_user(client.user.add(user_id=user_id, **given), as_json=as_json)


@users.command("list")
@click.option("--email", metavar="TEXT", help="Only those with this address, in any case.")
@words_option("the user_id, the email address or a name")
@list_filter_options
@paging_options
@order_option
@count_option
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
    """List users in the order of their creation.

    \b
    userkeep users list
    userkeep users list --q "jane sm" --count
    userkeep users list --order=-created --limit 10
    userkeep users list --metadata plan=pro --created-after 2026-01-01 --all --json
    """
    pages = selected_pages(client.user.list, limit, cursor, join_conditions(filters), is_all=is_all)
    print_list(pages, users_table, "No users.", as_json=as_json)


@users.command()
@click.argument("user_id")
@json_option
@with_client("read")
def show(client: Userkeep, *, user_id: str, as_json: bool) -> None:
    """Show a user.

    \b
    userkeep users show jane
    """
    print_user(client.user.get(user_id), as_json=as_json)


@users.command()
@click.argument("user_id")
@click.option("--email", metavar="TEXT", help="The new email address.")
@click.option("--first-name", metavar="TEXT", help="The new first name.")
@click.option("--last-name", metavar="TEXT", help="The new last name.")
@merged_metadata_option
@do_not_embed_option
@change_options("email", "first_name", "last_name", "metadata")
@json_option
@with_client("write")
def update(
    client: Userkeep,
    *,
    user_id: str,
    removed: tuple[str, ...],
    if_revision: int | None,
    as_json: bool,
    **fields: Any,
) -> None:
    """Update a user; fields that are not given stay as they are.

    \b
    userkeep users update jane --email jane@example.org
    userkeep users update jane --metadata '{"plan": "free", "trial_ends": null}'
    userkeep users update jane --remove last_name
    """
    change = changed_fields(fields, removed)
    updated = client.user.update(user_id=user_id, if_revision=if_revision, **change)
    print_user(updated, as_json=as_json)


@users.command()
@click.argument("user_id")
@purge_option
@json_option
@confirmation_option
@with_client("write")
def delete(
    client: Userkeep,
    *,
    user_id: str,
    purge: Literal["now"] | None,
    is_confirmed: bool,
    as_json: bool,
) -> None:
    """Delete a user with all sessions and messages.

    The command asks for confirmation. When it ends, the data can no longer be read. Sessions
    without a user are not deleted; they are counted, because they may have data of the user too.

    \b
    userkeep users delete jane
    userkeep users delete jane --yes --purge now --json
    """
    name = f"user {user_id!r}"
    if not is_confirmed:
        others = _others(client)
        confirm(f"{others}Delete {name} with {_contents(client, user_id)}? This cannot be undone.")
    run_deletion(client, name, lambda: client.user.delete(user_id, purge=purge), as_json=as_json)


def _others(client: Userkeep) -> str:
    """Return a sentence about the sessions without a user, if there are any."""
    count = len(client.session.list(MAX_COUNTED, owned=False))
    return f"{describe_sessions_without_user(count)}\n" if count else ""


def _contents(client: Userkeep, user_id: str) -> str:
    sessions = client.user.get_sessions(user_id, MAX_LIMIT)
    messages = pluralize(sum(each.message_count for each in sessions), "message")
    if sessions.next:
        return f"more than {pluralize(len(sessions), 'session')} and {messages}"
    return f"{pluralize(len(sessions), 'session')} and {messages}"
