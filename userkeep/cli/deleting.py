"""What every deletion does: it asks first, shows how far it is, and tells what is gone."""

import sys
from collections.abc import Callable
from functools import wraps
from time import sleep
from typing import Any

import click

from userkeep.api.erasures import Erasure
from userkeep.cli.exits import Interrupted
from userkeep.cli.tables import print_erasure
from userkeep.cli.terminal import counted, progress, visible
from userkeep.client import Userkeep
from userkeep.config import SettingError
from userkeep.domain.errors import UserkeepError
from userkeep.sdk.errors import ConnectionFailed, NotSent

_ASK_AGAIN_S = 0.25


class NotConfirmed(UserkeepError):
    """Nothing was deleted."""


def confirmed(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--yes`: without it a deletion asks, and where nobody can be asked it is wrong usage."""

    @wraps(command)
    def run(*, is_sure: bool, **arguments: Any) -> None:
        if not is_sure and not sys.stdin.isatty():
            raise SettingError(
                "Nothing was deleted: nobody is there to confirm it; say --yes to do it unasked."
            )
        command(is_sure=is_sure, **arguments)

    return click.option("--yes", "-y", "is_sure", is_flag=True, help="Do not ask.")(run)


def ask(question: str) -> None:
    """Ask on stderr, so that what is printed can be read by a program.

    Raises:
        NotConfirmed: the answer is no, or none.
    """
    try:
        is_sure = click.confirm(visible(question), err=True)
    except click.Abort:
        click.echo(err=True)
        is_sure = False
    if not is_sure:
        raise NotConfirmed


def purging(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--purge now`, of every deletion."""
    return click.option(
        "--purge",
        type=click.Choice(["now"]),
        help="Write the files anew at once, so that nothing of it is in them.",
    )(command)


def delete_one(
    client: Userkeep,
    name: str,
    begin: Callable[[], Erasure],
    *,
    doing: str = "Deleting",
    as_json: bool,
) -> None:
    """Carry out an erasure to its end, and its purge if that was asked for, and print it.

    Args:
        name: of what is deleted, as it is shown meanwhile.
        begin: asks for it.
        doing: what is shown at first.
    """
    console = progress()
    begun: Erasure | None = None
    try:
        with console.status(f"{doing} {visible(name)} …") as status:
            erasure = begun = begin()
            while _goes_on(erasure):
                status.update(_progress(name, erasure))
                sleep(_ASK_AGAIN_S)
                erasure = client.erasure.get(erasure.id)
    except Interrupted as interrupted:
        sentence = f"Interrupted. {_left(begun)}"
        raise Interrupted(interrupted.number, sentence) from interrupted
    except ConnectionFailed as error:
        if begun is None and isinstance(error, NotSent):
            raise
        error.detail = f"{error.detail} {_left(begun)}"
        raise
    print_erasure(erasure, as_json=as_json)


def _goes_on(erasure: Erasure) -> bool:
    if erasure.state == "deleting":
        return True
    is_purging = erasure.state == "deleted" and erasure.purge.requested_at is not None
    return is_purging and erasure.purge.problem is None


def _progress(name: str, erasure: Erasure) -> str:
    if erasure.state == "deleting":
        return f"Deleting {visible(name)} … {counted(erasure.counts.messages, 'message')} gone"
    return f"Purging {visible(name)} … {visible(erasure.purge.phase or 'begins')}"


def _left(begun: Erasure | None) -> str:
    if begun is None:
        return (
            "If the deletion has begun, it goes on by itself, at the latest when the database is "
            "opened next."
        )
    return f"Erasure {begun.id} goes on by itself; nothing of it can be read any more."
