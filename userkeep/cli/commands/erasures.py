"""`userkeep erasures …`."""

import sys
from collections.abc import Iterator

import click

from userkeep.cli.clients import with_client
from userkeep.cli.deletions import run_deletion
from userkeep.cli.exits import INCONCLUSIVE, PROBLEMS
from userkeep.cli.files import DASH, open_input
from userkeep.cli.groups import OrderedGroup
from userkeep.cli.options import json_option, order_option, paging_options
from userkeep.cli.output.tables import erasures_table, print_erasure, print_list
from userkeep.cli.output.terminal import stderr_console
from userkeep.cli.output.verification import print_verification
from userkeep.cli.pages import selected_pages
from userkeep.client import Userkeep
from userkeep.config import SettingError
from userkeep.domain.values.text import decode_file

_MOST_BYTES = 1024 * 1024


@click.group(cls=OrderedGroup)
def erasures() -> None:
    """List, show, purge and verify data deletions.

    An erasure is the record of a deletion.

    \b
    userkeep erasures list
    userkeep erasures verify 01a204d3-fd4f-7b04-a503-2bf951c2c06d --search-terms-from jane.txt
    """


@erasures.command("list")
@paging_options
@order_option
@json_option
@with_client("read")
def list_(
    client: Userkeep, *, limit: int, cursor: str | None, is_all: bool, order: str, as_json: bool
) -> None:
    """List erasures in the order of their creation.

    \b
    userkeep erasures list
    userkeep erasures list --order=-created --limit 10
    """
    pages = selected_pages(client.erasure.list, limit, cursor, {"order": order}, is_all=is_all)
    print_list(pages, erasures_table, "No erasures.", as_json=as_json)


@erasures.command()
@click.argument("id", metavar="ID")
@json_option
@with_client("read")
def show(client: Userkeep, *, id: str, as_json: bool) -> None:
    """Show an erasure.

    It has the state, what was deleted, and when that was purged.

    \b
    userkeep erasures show 01a204d3-fd4f-7b04-a503-2bf951c2c06d
    """
    print_erasure(client.erasure.get(id), as_json=as_json)


@erasures.command()
@click.argument("id", metavar="ID")
@json_option
@with_client("write")
def purge(client: Userkeep, *, id: str, as_json: bool) -> None:
    """Purge all deleted data from the database files now.

    A server does this automatically, within USERKEEP_PURGE_WITHIN_MINUTES.

    \b
    userkeep erasures purge 01a204d3-fd4f-7b04-a503-2bf951c2c06d
    """
    run_deletion(
        client,
        f"erasure {id}",
        lambda: client.erasure.purge(id),
        verb="Purging",
        as_json=as_json,
    )


@erasures.command()
@click.argument("id", metavar="ID")
@click.option(
    "--subject-id",
    metavar="ID",
    help="The id that was deleted; for a message, the id of its session.",
)
@click.option(
    "--search-term",
    "given",
    metavar="TEXT",
    multiple=True,
    help="A text to search for; can be repeated. Other users of this machine can see it in the "
    "process list; prefer --search-terms-from.",
)
@click.option(
    "--search-terms-from",
    "place",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True),
    help="A file with a text to search for in each line; - is stdin, which on a terminal prompts "
    "for them.",
)
@json_option
@with_client("write")
def verify(
    client: Userkeep,
    *,
    id: str,
    subject_id: str | None,
    given: tuple[str, ...],
    place: str | None,
    as_json: bool,
) -> None:
    """Verify that deleted data is nowhere in the database.

    It reads every row, and every byte of the database files.

    The verification always searches for the uuid that the erasure has. Search terms are texts of
    the deleted user, of at least 6 bytes: an email address, a full name, a sentence. They are
    neither stored nor logged; the output refers to them by index, from 0: those of --search-term
    first, then the lines of the file. Until the erasure is purged, the database files still have
    them.

    The exit code is 3 if something was found, 0 if nothing was, and 7 if nothing was found but the
    result is inconclusive: files could not be read, or there was no text to look for in them, or a
    search term could not be looked for everywhere. The words of a search term that are shorter than
    6 bytes are listed: they are not looked for by themselves in the full-text index. Scanning takes
    about a second for 50 MiB.

    \b
    userkeep erasures verify 01a204d3-fd4f-7b04-a503-2bf951c2c06d --subject-id jane
    userkeep erasures verify 01a204d3-fd4f-7b04-a503-2bf951c2c06d --search-terms-from jane.txt
    """
    search_terms = [*given, *(_read_lines(place) if place else ())]
    with stderr_console().status("Verifying …"):
        verification = client.erasure.verify(id, subject_id=subject_id, search_terms=search_terms)
    print_verification(verification, search_terms, as_json=as_json)
    if verification.result == "found":
        sys.exit(PROBLEMS)
    if verification.result == "inconclusive":
        sys.exit(INCONCLUSIVE)


def _read_lines(place: str) -> list[str]:
    if place == DASH and sys.stdin.isatty():
        return list(_prompt())
    with open_input(place) as (file, _):
        text = file.read(_MOST_BYTES + 1)
    if len(text) > _MOST_BYTES:
        raise SettingError(f"The search terms in {place} are longer than {_MOST_BYTES:,} bytes.")
    try:
        # Not `splitlines`: it also splits at characters that are part of a text.
        lines = decode_file(text).split("\n")
    except ValueError as error:
        raise SettingError(f"The search terms in {place} cannot be read: {error}.") from error
    return [line.removesuffix("\r") for line in lines if line.strip()]


def _prompt() -> Iterator[str]:
    while line := click.prompt(
        "Search term (empty to end)", default="", show_default=False, err=True
    ):
        yield line
