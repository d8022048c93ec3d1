"""`userkeep memory …`."""

from typing import Any

import click

from userkeep.cli.clients import with_client
from userkeep.cli.groups import OrderedGroup
from userkeep.cli.options import json_option, owner_option
from userkeep.cli.output.tables import print_memory
from userkeep.client import Userkeep
from userkeep.domain.message import MAX_TOKEN_COUNT
from userkeep.domain.values.paging import MAX_LIMIT


@click.group(cls=OrderedGroup)
def memory() -> None:
    """Show the memory of a session.

    \b
    userkeep memory show chat-1
    """


@memory.command()
@click.argument("session_id")
@click.option(
    "--last",
    type=click.IntRange(1, MAX_LIMIT),
    help="Maximum number of messages.  [USERKEEP_MEMORY_WINDOW of the instance]",
)
@click.option(
    "--max-tokens",
    type=click.IntRange(1, MAX_TOKEN_COUNT),
    help="Only as many of the newest messages as have so many tokens together.",
)
@owner_option
@json_option
@with_client("read")
def show(client: Userkeep, *, session_id: str, as_json: bool, **options: Any) -> None:
    """Show the newest messages of a session, oldest first.

    It is what the next prompt of the session needs.

    \b
    userkeep memory show chat-1
    userkeep memory show chat-1 --last 4 --json
    userkeep memory show chat-1 --max-tokens 4000
    """
    print_memory(client.memory.get(session_id, **options), as_json=as_json)
