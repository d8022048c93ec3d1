"""`recollect memory …`."""

import click

from recollect.cli.options import as_json
from recollect.cli.tables import print_memory
from recollect.cli.target import with_client
from recollect.client import Recollect
from recollect.domain.paging import MAX_LIMIT


@click.command()
@click.argument("session_id")
@click.option(
    "--last",
    type=click.IntRange(1, MAX_LIMIT),
    help="How many messages; else as many as the installation is set to.",
)
@as_json
@with_client
def show(client: Recollect, *, session_id: str, last: int | None, as_json: bool) -> None:
    """Show what the next prompt needs of a session: the newest messages, oldest first.

    \b
    recollect memory show chat-1
    recollect memory show chat-1 --last 4 --json
    """
    print_memory(client.memory.get(session_id, last=last), as_json=as_json)


COMMANDS = (show,)
