"""`userkeep export`."""

import sys
from contextlib import AbstractContextManager, nullcontext
from typing import BinaryIO

import click

from userkeep.cli.clients import with_client
from userkeep.cli.exits import Interrupted
from userkeep.cli.files import DASH, open_output
from userkeep.cli.gzip_files import SUFFIX, compressed
from userkeep.cli.instance import ClientInstance
from userkeep.cli.output.counts import format_counts
from userkeep.cli.output.escaping import TerminalFile
from userkeep.cli.output.progress import progress_bar
from userkeep.cli.output.terminal import print_json, print_note, stdout_console
from userkeep.client import Userkeep
from userkeep.config import SettingError, load_client_settings, load_settings
from userkeep.domain.errors import NotFound, UserkeepError
from userkeep.domain.values.counts import pluralize
from userkeep.jobs.export import Export, all_users, count_sessions_without_user, find_users
from userkeep.jobs.jsonl import Counts, ExportedUser, Output


@click.command()
@click.argument("user_ids", metavar="[USER_ID]...", nargs=-1)
@click.option(
    "--output",
    "-o",
    "place",
    default=DASH,
    metavar="FILE",
    help="The file to write; - is stdout. It appears when it is complete. A name that ends in .gz "
    "makes it compressed.  [-]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the counts as JSON.")
@with_client("read")
def export(client: Userkeep, *, user_ids: tuple[str, ...], place: str, as_json: bool) -> None:
    """Export users with their sessions, messages and documents as JSON Lines.

    Without USER_ID, all users are exported, the sessions without a user, and all collections with
    all documents. An import into an
    empty database restores all fields, so an export of it is the same file again. Data that is
    added during the export may be missing.

    \b
    userkeep export --output users.jsonl.gz
    userkeep export jane | gzip > jane.jsonl.gz
    """
    if place == DASH and as_json:
        raise SettingError("--json needs --output: without it, stdout has the export itself.")
    instance = ClientInstance(client)
    users = _find_users(instance, user_ids) if user_ids else all_users(instance)
    # There may be more of these users in sessions that have no user yet.
    rest = count_sessions_without_user(instance) if user_ids else 0
    # A terminal that shows the export itself has no room for a progress bar.
    is_hidden = place == DASH and sys.stdout.isatty()
    secrets = (load_settings().secret_file, load_client_settings().api_key_file)
    with (
        open_output(place, secrets) as file,
        _encoded(file, place) as output,
        progress_bar("Exporting", is_hidden=is_hidden) as reporter,
    ):
        job = Export(instance, output, reporter)
        try:
            counts = job.run(users, has_rest=not user_ids)
        except Interrupted as interrupted:
            sentence = f"Interrupted. {_stopped(job, place)}"
            raise Interrupted(interrupted.number, sentence) from interrupted
        except UserkeepError as error:
            error.detail = f"{error.detail} {_stopped(job, place)}"
            raise
    _print_counts(counts, place, as_json=as_json)
    if rest:
        print_note(
            f"{pluralize(rest, 'session')} without a user may have more of theirs, and "
            f"{'was' if rest == 1 else 'were'} not exported. To list: userkeep sessions list "
            "--without-user"
        )


def _find_users(instance: ClientInstance, user_ids: tuple[str, ...]) -> list[ExportedUser]:
    try:
        return find_users(instance, user_ids)
    except NotFound as error:
        if DASH in user_ids:
            error.detail += " To export to stdout, leave - out."
        raise


def _encoded(file: BinaryIO, place: str) -> AbstractContextManager[Output]:
    """Return the file as the export writes it: compressed, or without control characters."""
    if place.endswith(SUFFIX):
        return compressed(file)
    return nullcontext(TerminalFile(file) if file.isatty() else file)


def _stopped(job: Export, place: str) -> str:
    where = "before the first user"
    if job.place is not None:
        complete = pluralize(job.counts.users - job.place.startswith("user"), "complete user")
        where = f"in {job.place}, after {complete}"
    result = "its output is incomplete" if place == DASH else f"{place} was not written"
    return f"The export stopped {where}; {result}. Run it again."


def _print_counts(counts: Counts, place: str, *, as_json: bool) -> None:
    if as_json:
        print_json(counts)
        return
    sentence = f"Exported {format_counts(counts)}"
    if place == DASH:
        print_note(f"{sentence}.")
    else:
        stdout_console().print(f"{sentence} to {place}.", soft_wrap=True)
