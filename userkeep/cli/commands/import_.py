"""`userkeep import`."""

from collections.abc import Iterable
from typing import BinaryIO

import click

from userkeep.cli.clients import with_client
from userkeep.cli.exits import Interrupted
from userkeep.cli.files import open_input
from userkeep.cli.gzip_files import BadGzip, decompressed
from userkeep.cli.instance import ClientInstance
from userkeep.cli.output.counts import format_counts
from userkeep.cli.output.progress import progress_bar
from userkeep.cli.output.terminal import print_json, stdout_console
from userkeep.client import Userkeep
from userkeep.domain.errors import Conflict, InvalidField, UserkeepError
from userkeep.domain.values.counts import pluralize
from userkeep.jobs.import_ import Import, ImportResult
from userkeep.jobs.jsonl import BadLine, Counts


class Differing(Conflict):
    """Some of the file was skipped, because it exists in another way, or was deleted."""


@click.command("import")
@click.argument(
    "place", metavar="FILE", type=click.Path(exists=True, dir_okay=False, allow_dash=True)
)
@click.option(
    "--as-new",
    is_flag=True,
    help="Give users and sessions new uuids, and create again those that were deleted.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the counts as JSON.")
@with_client("create")
def import_(client: Userkeep, *, place: str, as_new: bool, as_json: bool) -> None:
    """Import users with their sessions, messages and documents from JSON Lines.

    FILE is the output of `userkeep export`, compressed or not; - is stdin. An import only adds:
    what exists stays as it is. What exists and differs from the file is skipped and listed, with
    the fields that differ, as is what was deleted; the exit code is then 1. If an import is
    interrupted, run it again: it skips what is complete. A server needs a key with the scope admin.

    \b
    userkeep import users.jsonl.gz
    ssh other userkeep export jane | userkeep import - --url http://127.0.0.1:8000
    """
    with open_input(place) as (given, size):
        file, is_compressed = decompressed(given)
        total_bytes = None if is_compressed else size
        with progress_bar("Importing", total_bytes=total_bytes) as reporter:
            result = _run(Import(ClientInstance(client), reporter, as_new=as_new), file)
    _print_result(result, as_json=as_json)


def _run(job: Import, file: BinaryIO) -> ImportResult:
    try:
        return job.run(file)
    except Interrupted as interrupted:
        sentence = f"Interrupted. {_stopped(job)}"
        raise Interrupted(interrupted.number, sentence) from interrupted
    except (BadLine, BadGzip, InvalidField) as error:
        error.detail = f"{error.detail} {_stopped(job, 'correct the file and ')}"
        raise
    except UserkeepError as error:
        error.detail = f"{error.detail} {_stopped(job)}"
        raise


def _stopped(job: Import, remedy: str = "") -> str:
    if job.place is None:
        return "The import stopped before the first user; nothing was added."
    return (
        f"The import stopped in {job.place}, after line {job.line}. To continue, {remedy}"
        "run it again: it skips what is complete."
    )


def _print_result(result: ImportResult, *, as_json: bool) -> None:
    if as_json:
        print_json(result)
    else:
        stdout_console().print(f"Added {format_counts(result.added)}.")
        if result.present != Counts():
            stdout_console().print(f"Already present: {format_counts(result.present)}.")
    reasons = (_differing(result), _rejected(result), _without_user(result))
    skipped = "; ".join(filter(None, reasons))
    if skipped:
        raise Differing(f"Skipped {skipped}. Everything else is imported.")


def _differing(result: ImportResult) -> str:
    kinds = (
        (len(result.differing_users), "user"),
        (len(result.differing_sessions), "session"),
        (len(result.differing_messages), "message"),
        (len(result.differing_collections), "collection"),
        (len(result.differing_documents), "document"),
    )
    names = _names(kinds)
    return f"because of differences: {names}" if names else ""


def _rejected(result: ImportResult) -> str:
    kinds = (
        (len(result.rejected_users), "user"),
        (len(result.rejected_sessions), "session"),
        (len(result.rejected_collections), "collection"),
    )
    names = _names(kinds)
    reason = "because they were deleted or their uuid is in use (see --as-new)"
    return f"{reason}: {names}" if names else ""


def _without_user(result: ImportResult) -> str:
    count = len(result.rejected_documents)
    return f"because their users do not exist: {pluralize(count, 'document')}" if count else ""


def _names(kinds: Iterable[tuple[int, str]]) -> str:
    return ", ".join(pluralize(count, noun) for count, noun in kinds if count)
