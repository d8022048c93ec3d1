"""`userkeep keys …`."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import click

from userkeep.api.keys import Key, KeyWithText
from userkeep.cli.clients import with_client
from userkeep.cli.deletions import confirm, confirmation_option
from userkeep.cli.files import DASH, open_output
from userkeep.cli.groups import OrderedGroup
from userkeep.cli.options import (
    F,
    json_option,
    order_option,
    paging_options,
    parse_duration,
    parse_time,
)
from userkeep.cli.output.escaping import print_error
from userkeep.cli.output.tables import is_valid_key, keys_table, print_key, print_list
from userkeep.cli.output.terminal import format_time, print_json, print_note
from userkeep.cli.pages import selected_pages
from userkeep.client import Userkeep
from userkeep.config import SettingError
from userkeep.domain.key import DEFAULT_OVERLAP_HOURS, MAX_OVERLAP_HOURS, Permission, id_of_key

_output_option = click.option(
    "--output",
    "place",
    metavar="FILE",
    default=DASH,
    help="Write the key to this file, which only its owner can read, instead of stdout. An"
    " existing file is replaced.",
)


def _id_of(_: click.Context, __: click.Parameter, value: str) -> str:
    """Return the id of a key; warn if the argument is the text of a key, which is a secret."""
    id_ = id_of_key(value.encode("utf-8", "replace"))
    if id_ is None:
        return value
    print_error(
        "warning: every user of this machine can read the key in the list of processes. Give its "
        f"id instead: {id_}."
    )
    return id_


_id_argument = click.argument("id", metavar="ID", callback=_id_of)


def _project_option(command: F) -> F:
    return click.option(
        "--project",
        metavar="NAME",
        help="The project of the key. By default it is the one of your own key.",
    )(command)


@click.group(cls=OrderedGroup)
def keys() -> None:
    """Create, list, show, rotate and revoke API keys.

    From the first key on, every server of the database asks each request for a key.

    \b
    userkeep keys create --scope admin --name operator --output admin.key
    userkeep keys list --api-key-file admin.key
    """


@keys.command()
@click.option("--name", metavar="TEXT", help="What the key is for, up to 512 characters.")
@click.option(
    "--scope",
    type=click.Choice(get_args(Permission)),
    default="write",
    show_default=True,
    help="What the key permits; each includes the ones before it. The first key must have admin.",
)
@click.option(
    "--user-id",
    metavar="USER_ID",
    help="Bind the key to this user: only the user and their sessions exist for it.",
)
@click.option(
    "--expires-at",
    type=parse_time,
    metavar="TIME",
    help="When the key ends (UTC if the time has no zone). The default is never.",
)
@click.option(
    "--expires-in",
    type=parse_duration,
    metavar="DURATION",
    help="After how long the key ends: days or hours, such as 30d or 12h.",
)
@_project_option
@_output_option
@json_option
@with_client("create", in_project=False)
def create(
    client: Userkeep,
    *,
    expires_at: datetime | None,
    expires_in: timedelta | None,
    place: str,
    as_json: bool,
    **fields: Any,
) -> None:
    """Create a key, and print its text, which is shown only once.

    stdout has the text alone, so that it can be redirected; notes are on stderr.

    \b
    userkeep keys create --scope admin --output admin.key
    userkeep keys create --name web --expires-in 90d
    userkeep keys create --name 'phone of Jane' --user-id jane --scope read --json
    """
    if expires_at is not None and expires_in is not None:
        raise SettingError("Use --expires-at or --expires-in, not both.")
    if expires_in is not None:
        expires_at = datetime.now(UTC) + expires_in
    is_first = not client.key.list(limit=1)
    created = _print_text(
        lambda: client.key.add(expires_at=expires_at, **fields), place, as_json=as_json
    )
    if not as_json:
        print_note(f"Key {created.id} is created. Its text is not shown again: keep it secret.")
    if is_first:
        print_note(
            "This is the first key: from now on, every server of this database asks each request "
            "for a key. Commands that call a server send the key in USERKEEP_API_KEY or "
            "--api-key-file."
        )


@keys.command("list")
@_project_option
@paging_options
@order_option
@json_option
@with_client("read", in_project=False)
def list_(
    client: Userkeep,
    *,
    limit: int,
    cursor: str | None,
    is_all: bool,
    as_json: bool,
    **filters: Any,
) -> None:
    """List keys in the order of their creation, without their texts.

    \b
    userkeep keys list
    userkeep keys list --order=-created --limit 10
    """
    pages = selected_pages(client.key.list, limit, cursor, filters, is_all=is_all)
    print_list(pages, keys_table, "No keys.", as_json=as_json)


@keys.command()
@_id_argument
@_project_option
@json_option
@with_client("read", in_project=False)
def show(client: Userkeep, *, id: str, project: str | None, as_json: bool) -> None:
    """Show a key, without its text. The ID is the part of the key between its underscores.

    \b
    userkeep keys show 0123456789abcdef
    """
    print_key(client.key.get(id, project=project), as_json=as_json)


@keys.command()
@_id_argument
@click.option(
    "--overlap-hours",
    type=click.IntRange(0, MAX_OVERLAP_HOURS),
    default=DEFAULT_OVERLAP_HOURS,
    show_default=True,
    help="For how long the former text stays valid.",
)
@_project_option
@_output_option
@json_option
@with_client("write", in_project=False)
def rotate(client: Userkeep, *, id: str, place: str, as_json: bool, **options: Any) -> None:
    """Give a key a new text, and print it; it is shown only once.

    The key keeps its id, name, scope and expiry. The former text stays valid for a while, so that
    clients can change to the new one.

    \b
    userkeep keys rotate 0123456789abcdef --output app.key
    userkeep keys rotate 0123456789abcdef --overlap-hours 0
    """
    rotated = _print_text(lambda: client.key.rotate(id, **options), place, as_json=as_json)
    if as_json:
        return
    end = format_time(rotated.former_expires_at)
    former = f"stays valid until {end}" if options["overlap_hours"] else "is not valid any more"
    print_note(f"Key {rotated.id} has a new text. The former one {former}.")


@keys.command()
@_id_argument
@_project_option
@json_option
@confirmation_option
@with_client("write", in_project=False)
def revoke(
    client: Userkeep, *, id: str, project: str | None, is_confirmed: bool, as_json: bool
) -> None:
    """Revoke a key for good. It stays in the list.

    The command asks for confirmation. Servers reject the key within 5 seconds.

    \b
    userkeep keys revoke 0123456789abcdef
    userkeep keys revoke 0123456789abcdef --yes --json
    """
    if not is_confirmed:
        key = client.key.get(id, project=project)
        question = f"Revoke {_described(key)}? This cannot be undone."
        if _is_last_admin(client, key, project):
            question = f"This is the last valid admin key. {question}"
        confirm(question, "Nothing was revoked.")
    print_key(client.key.revoke(id, project=project), as_json=as_json)


def _print_text(make: Callable[[], KeyWithText], place: str, *, as_json: bool) -> KeyWithText:
    """Make a key, and print its text, or write it to a file; return the key.

    The file is opened first, so that no key is made whose text would be lost.
    """
    with open_output(place) as file:
        made = make()
        if place != DASH or not as_json:
            file.write(f"{made.key}\n".encode())
            file.flush()
    if place == DASH and as_json:
        print_json(made)
    elif place != DASH:
        print_key(_without_text(made), as_json=as_json)
    return made


def _without_text(key: KeyWithText) -> Key:
    return Key(**{name: getattr(key, name) for name in Key.__struct_fields__})


def _described(key: Key) -> str:
    name = f" {key.name!r}" if key.name else ""
    user = f" of user {key.user_id!r}" if key.user_id else ""
    return f"the {key.scope} key {key.id}{name}{user}"


def _is_last_admin(client: Userkeep, key: Key, project: str | None) -> bool:
    """Return whether no other valid key of the project has the scope admin."""
    if key.scope != "admin" or not is_valid_key(key):
        return False
    others = client.key.list(project=project)
    return not any(
        each.scope == "admin" and is_valid_key(each) for each in others if each.id != key.id
    )
