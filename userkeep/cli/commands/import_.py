"""`userkeep import`."""

import click

from userkeep.cli.clients import with_client
from userkeep.cli.exits import Interrupted
from userkeep.cli.files import open_input
from userkeep.cli.instance import ClientInstance
from userkeep.cli.output.progress import progress_bar
from userkeep.cli.output.terminal import pluralize, print_json, stdout_console
from userkeep.client import Userkeep
from userkeep.domain.errors import Conflict, UserkeepError
from userkeep.jobs.import_ import Import, ImportResult
from userkeep.jobs.jsonl import BadLine, Counts


class Differing(Conflict):
    """Some users or sessions exist, but differ from the file."""


@click.command("import")
@click.argument(
    "place", metavar="FILE", type=click.Path(exists=True, dir_okay=False, allow_dash=True)
)
@click.option("--json", "as_json", is_flag=True, help="Print the counts as JSON.")
@with_client("create")
def import_(client: Userkeep, *, place: str, as_json: bool) -> None:
    """Import users with their sessions and messages from JSON Lines.

    FILE is the output of `userkeep export`; - is stdin. Messages keep their id and time; messages
    that exist already are skipped. If an import is interrupted, run it again: it completes the user
    it stopped in, and skips what is complete. Users that exist but differ from the file are skipped
    and listed, and the exit code is 1.

    \b
    userkeep import users.jsonl
    gunzip --stdout jane.jsonl.gz | userkeep import - --url http://127.0.0.1:8000
    """
    with open_input(place) as (file, size), progress_bar("Importing", total_bytes=size) as reporter:
        job = Import(ClientInstance(client), reporter)
        try:
            result = job.run(file)
        except Interrupted as interrupted:
            sentence = f"Interrupted. {_stopped(job)}"
            raise Interrupted(interrupted.number, sentence) from interrupted
        except BadLine as error:
            error.detail = f"{error.detail} {_stopped(job, 'correct the file and ')}"
            raise
        except UserkeepError as error:
            error.detail = f"{error.detail} {_stopped(job)}"
            raise
    _print_result(result, as_json=as_json)


def _stopped(job: Import, remedy: str = "") -> str:
    if job.user_id is None:
        return "The import stopped before the first user; nothing was added."
    return (
        f"The import stopped in user {job.user_id!r}, after line {job.line}. To continue, {remedy}"
        "run it again: it completes that user, and skips what is complete."
    )


def _print_result(result: ImportResult, *, as_json: bool) -> None:
    if as_json:
        print_json(result)
    else:
        stdout_console().print(f"Added {_format(result.added)}.")
        if result.present != Counts():
            stdout_console().print(f"Already present: {_format(result.present)}.")
    kinds = ((result.differing_users, "user"), (result.differing_sessions, "session"))
    differing = " and ".join(pluralize(len(ids), noun) for ids, noun in kinds if ids)
    if differing:
        raise Differing(
            f"Skipped {differing} that exist but differ from the file; everything else is imported."
        )


def _format(counts: Counts) -> str:
    return (
        f"{pluralize(counts.users, 'user')}, {pluralize(counts.sessions, 'session')}, "
        f"{pluralize(counts.messages, 'message')}"
    )
