"""`userkeep memory …`."""

import click

from userkeep.cli.options import as_json
from userkeep.cli.tables import print_memory
from userkeep.cli.target import with_client
from userkeep.client import Userkeep
from userkeep.domain.values.paging import MAX_LIMIT


@click.command()
@click.argument("session_id")
@click.option(
    "--last",
    type=click.IntRange(1, MAX_LIMIT),
    help="How many messages; else as many as the instance is set to.",
)
@as_json
@with_client
def show(client: Userkeep, *, session_id: str, last: int | None, as_json: bool) -> None:
    """Show what the next prompt needs of a session: the newest messages, oldest first.

    \b
    userkeep memory show chat-1
    userkeep memory show chat-1 --last 4 --json
    """
    print_memory(client.memory.get(session_id, last=last), as_json=as_json)


COMMANDS = (show,)
