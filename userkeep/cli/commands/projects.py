"""`userkeep projects …`."""

from collections.abc import Callable
from typing import Any, Literal, TypeVar

import click

from userkeep.cli.changes import changed_fields, do_not_embed_option
from userkeep.cli.clients import with_client
from userkeep.cli.deletions import (
    confirm,
    confirmation_option,
    purge_option,
    run_project_deletion,
)
from userkeep.cli.groups import OrderedGroup
from userkeep.cli.options import json_option, order_option, paging_options
from userkeep.cli.output.tables import print_list, print_project, projects_table
from userkeep.cli.pages import selected_pages
from userkeep.client import Userkeep
from userkeep.domain.project import QUOTAS

F = TypeVar("F", bound=Callable[..., Any])


@click.group(cls=OrderedGroup)
def projects() -> None:
    """Create, list, show, rename, update and delete projects.

    A project is a tenant: it has users, sessions and messages of its own.

    \b
    userkeep projects create shop
    userkeep users add jane --project shop
    """


def quota_options(command: F) -> F:
    """Add the options of the quotas."""
    options = (
        click.option(
            "--max-messages-per-user",
            type=click.IntRange(1),
            metavar="NUMBER",
            help="The most messages that a user can have.",
        ),
        click.option(
            "--max-bytes-per-user",
            type=click.IntRange(1),
            metavar="BYTES",
            help="The most bytes that the texts of a user can have.",
        ),
        click.option(
            "--max-documents-per-user",
            type=click.IntRange(1),
            metavar="NUMBER",
            help="The most documents that a user can have.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


@projects.command()
@click.argument("name")
@quota_options
@json_option
@with_client("create", in_project=False)
def create(client: Userkeep, *, name: str, as_json: bool, **quotas: Any) -> None:
    """Create a project.

    A name has up to 63 of a-z, 0-9, - and _, the first a letter or a digit.

    \b
    userkeep projects create shop
    userkeep projects create shop --max-messages-per-user 100000
    """
    print_project(client.project.add(name=name, **quotas), as_json=as_json)


@projects.command("list")
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
    """List projects in the order of their creation, without deleted ones.

    \b
    userkeep projects list
    """
    pages = selected_pages(client.project.list, limit, cursor, filters, is_all=is_all)
    print_list(pages, projects_table, "No projects.", as_json=as_json)


@projects.command()
@click.argument("project")
@json_option
@with_client("read", in_project=False)
def show(client: Userkeep, *, project: str, as_json: bool) -> None:
    """Show a project, by its name or its uuid.

    A deleted project is found by its uuid; it has the receipt of the deletion.

    \b
    userkeep projects show shop
    """
    print_project(client.project.get(project), as_json=as_json)


@projects.command()
@click.argument("project")
@click.argument("name")
@json_option
@with_client("write", in_project=False)
def rename(client: Userkeep, *, project: str, name: str, as_json: bool) -> None:
    """Rename a project.

    \b
    userkeep projects rename shop store
    """
    print_project(client.project.update(project=project, name=name), as_json=as_json)


@projects.command()
@click.argument("project")
@quota_options
@click.option(
    "--remove",
    "removed",
    type=click.Choice(QUOTAS),
    multiple=True,
    help="Remove a limit; can be repeated.",
)
@do_not_embed_option
@json_option
@with_client("write", in_project=False)
def update(
    client: Userkeep,
    *,
    project: str,
    removed: tuple[str, ...],
    as_json: bool,
    **fields: Any,
) -> None:
    """Change the limits of a project, and whether its texts are embedded.

    \b
    userkeep projects update shop --max-messages-per-user 100000
    userkeep projects update shop --remove max_messages_per_user
    userkeep projects update shop --do-not-embed
    """
    change = changed_fields(fields, removed)
    print_project(client.project.update(project=project, **change), as_json=as_json)


@projects.command()
@click.argument("project")
@purge_option
@json_option
@confirmation_option
@with_client("write", in_project=False)
def delete(
    client: Userkeep,
    *,
    project: str,
    purge: Literal["now"] | None,
    is_confirmed: bool,
    as_json: bool,
) -> None:
    """Delete a project with all users, sessions and messages.

    The command asks for confirmation. When it ends, the data can no longer be read.

    \b
    userkeep projects delete shop
    userkeep projects delete shop --yes --purge now --json
    """
    name = f"project {project!r}"
    if not is_confirmed:
        contents = "all of its users, sessions and messages"
        confirm(f"Delete {name} with {contents}? This cannot be undone.")

    run_project_deletion(
        client, name, lambda: client.project.delete(project, purge=purge), as_json=as_json
    )
