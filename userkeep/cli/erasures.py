"""`userkeep erasures …`."""

import sys
from collections.abc import Iterator

import click

from userkeep.cli.deleting import delete_one
from userkeep.cli.exits import PROBLEMS
from userkeep.cli.lists import chunks_of
from userkeep.cli.options import as_json, paged
from userkeep.cli.tables import erasures_table, print_erasure, print_list
from userkeep.cli.target import with_client
from userkeep.cli.terminal import progress
from userkeep.cli.verification import print_verification
from userkeep.client import Userkeep
from userkeep.config import SettingError


@click.command("list")
@paged
@as_json
@with_client
def list_(
    client: Userkeep, *, limit: int, cursor: str | None, is_all: bool, order: str, as_json: bool
) -> None:
    """List erasures, in the order of their acceptance.

    \b
    userkeep erasures list
    userkeep erasures list --order=-created --limit 10
    """
    chunks = chunks_of(client.erasure.list, limit, cursor, {"order": order}, is_all=is_all)
    print_list(chunks, erasures_table, "Nothing was deleted here.", as_json=as_json)


@click.command()
@click.argument("id", metavar="ID")
@as_json
@with_client
def show(client: Userkeep, *, id: str, as_json: bool) -> None:  # noqa: A002 - its name everywhere
    """Show an erasure: how far it is, and its purge.

    \b
    userkeep erasures show 01a204d3-fd4f-7b04-a503-2bf951c2c06d
    """
    print_erasure(client.erasure.get(id), as_json=as_json)


@click.command()
@click.argument("id", metavar="ID")
@as_json
@with_client
def purge(client: Userkeep, *, id: str, as_json: bool) -> None:  # noqa: A002
    """Write the files anew at once, so that nothing that was deleted is in them.

    A server does so by itself, when it is due.

    \b
    userkeep erasures purge 01a204d3-fd4f-7b04-a503-2bf951c2c06d
    """
    delete_one(
        client,
        f"erasure {id}",
        lambda: client.erasure.purge(id),
        doing="Purging",
        as_json=as_json,
    )


@click.command()
@click.argument("id", metavar="ID")
@click.option(
    "--subject-id", metavar="ID", help="The id that was deleted; of a message, that of its session."
)
@click.option(
    "--search-term",
    "given",
    metavar="TEXT",
    multiple=True,
    help="A text to look for; may be repeated. Others on this machine see it in the list of "
    "processes: rather give a file.",
)
@click.option(
    "--search-terms-from",
    "place",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True),
    help="Texts to look for, a line each; - is stdin, and on a terminal asks for them.",
)
@as_json
@with_client
def verify(
    client: Userkeep,
    *,
    id: str,  # noqa: A002 - its name everywhere
    subject_id: str | None,
    given: tuple[str, ...],
    place: str | None,
    as_json: bool,
) -> None:
    """Look again for what was deleted: in every row, and in the bytes of the database's files.

    By itself it looks for the uuid that the erasure knows. Search terms are texts of whoever was
    deleted, of 6 bytes at least: an address, a name in full, a sentence. The output names
    them by their index: those of --search-term first, then the lines. They are neither kept nor
    logged. Until the erasure is purged, they are in the files.

    The exit code is 3 where something was found, 0 where nothing was. It takes a second for every
    50 MiB or so.

    \b
    userkeep erasures verify 01a204d3-fd4f-7b04-a503-2bf951c2c06d --subject-id jane
    userkeep erasures verify 01a204d3-fd4f-7b04-a503-2bf951c2c06d --search-terms-from jane.txt
    """
    search_terms = [*given, *(_lines(place) if place else ())]
    with progress().status("Looking for what was deleted …"):
        verification = client.erasure.verify(id, subject_id=subject_id, search_terms=search_terms)
    print_verification(verification, as_json=as_json)
    if verification.found:
        sys.exit(PROBLEMS)


def _lines(place: str) -> list[str]:
    """The search terms in a file, on stdin, or as somebody types them."""
    if place == "-" and sys.stdin.isatty():
        return list(_typed())
    with click.open_file(place, "rb") as file:
        text = file.read()
    try:
        # Not at whatever Python takes for the end of a line.
        lines = text.decode().split("\n")
    except UnicodeDecodeError as error:
        raise SettingError("The search terms are not text in UTF-8.") from error
    return [line.removesuffix("\r") for line in lines if line.strip()]


def _typed() -> Iterator[str]:
    while line := click.prompt(
        "A text to look for (nothing ends the list)", default="", show_default=False, err=True
    ):
        yield line


COMMANDS = (list_, show, purge, verify)
