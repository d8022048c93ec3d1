"""`userkeep search`."""

from typing import Any

import click

from userkeep.cli.clients import with_client
from userkeep.cli.options import filter_option, json_option, parse_time
from userkeep.cli.output.hits import print_hits
from userkeep.client import Userkeep
from userkeep.domain.message import ROLES
from userkeep.domain.values.paging import MAX_LIMIT


@click.command()
@click.argument("query", required=False)
@click.option(
    "--syntax",
    type=click.Choice(["plain", "web"]),
    default="plain",
    show_default=True,
    help='With web, QUERY can have "phrases", -excluded words and begin*.',
)
@click.option(
    "--mode",
    type=click.Choice(["auto", "words", "meaning"]),
    default="auto",
    show_default=True,
    help="What is compared; auto: words, and meaning if there is an embedding model.",
)
@click.option("--user-id", metavar="USER_ID", help="Only messages in sessions of this user.")
@click.option("--session-id", metavar="SESSION_ID", help="Only messages of this session.")
@click.option(
    "--limit",
    type=click.IntRange(1, MAX_LIMIT),
    default=10,
    show_default=True,
    help="Maximum number of hits.",
)
@click.option(
    "--offset",
    type=click.IntRange(0, MAX_LIMIT),
    default=0,
    show_default=True,
    help="How many of the first hits are left out.",
)
@click.option(
    "--min-score",
    type=click.FloatRange(min=0),
    default=0.0,
    metavar="SCORE",
    help="The lowest score of a hit.",
)
@click.option(
    "--no-context",
    "context",
    flag_value=False,
    default=True,
    help="Leave out messages that were found only because of messages near them.",
)
@click.option(
    "--role",
    "roles",
    type=click.Choice(ROLES),
    multiple=True,
    help="Only messages of this role; can be repeated.",
)
@click.option(
    "--after",
    "created_after",
    type=parse_time,
    metavar="TIME",
    help="Only messages after this time (UTC if it has no zone).",
)
@click.option(
    "--before",
    "created_before",
    type=parse_time,
    metavar="TIME",
    help="Only messages before this time (UTC if it has no zone).",
)
@filter_option
@click.option("--explain", is_flag=True, help="Show how the score of each hit is computed.")
@json_option
@with_client("read")
def search(client: Userkeep, *, roles: tuple[Any, ...], as_json: bool, **fields: Any) -> None:
    """Search messages.

    QUERY is some words, or a question; the best hits come first. Without QUERY, the newest messages
    are shown. Without --user-id and --session-id, all messages are searched.

    \b
    userkeep search "what shoes?" --user-id jane
    userkeep search hiking --session-id chat-1 --after 2026-11-01 --explain
    userkeep search --limit 3 --role user --json
    userkeep search --syntax web '"red shoes" -boots hik*'
    """
    print_hits(client.search(roles=roles or None, **fields), as_json=as_json)
