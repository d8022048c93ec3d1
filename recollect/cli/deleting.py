"""What every deletion does: it asks first, shows how far it is, and tells what is gone."""

import sys
from collections.abc import Callable
from functools import wraps
from time import sleep
from typing import Any

import click

from recollect.api.wire import Erasure
from recollect.cli.exits import Interrupted
from recollect.cli.tables import print_erasure
from recollect.cli.terminal import counted, progress, visible
from recollect.client import Recollect
from recollect.config import SettingError
from recollect.domain.errors import RecollectError
from recollect.sdk.errors import ConnectionFailed, NotSent

_ASK_AGAIN_S = 0.25


class NotConfirmed(RecollectError):
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


def scrubbing(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--scrub now`, of every deletion."""
    return click.option(
        "--scrub",
        type=click.Choice(["now"]),
        help="Write the files anew at once, so that nothing of it is in them.",
    )(command)


def erase(
    client: Recollect,
    name: str,
    begin: Callable[[], Erasure],
    *,
    doing: str = "Deleting",
    as_json: bool,
) -> None:
    """Carry out an erasure to its end, and its scrub if that was asked for, and print it.

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
    if erasure.state == "erasing":
        return True
    is_scrubbing = erasure.state == "erased" and erasure.scrub.asked_at is not None
    return is_scrubbing and erasure.scrub.problem is None


def _progress(name: str, erasure: Erasure) -> str:
    if erasure.state == "erasing":
        return f"Deleting {visible(name)} … {counted(erasure.counts.messages, 'message')} gone"
    return f"Scrubbing {visible(name)} … {visible(erasure.scrub.doing or 'begins')}"


def _left(begun: Erasure | None) -> str:
    if begun is None:
        return (
            "If the deletion has begun, it goes on by itself, at the latest when the database is "
            "opened next."
        )
    return f"Erasure {begun.id} goes on by itself; nothing of it can be read any more."
