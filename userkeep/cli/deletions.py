"""What every deletion does: ask for confirmation, show progress, and print the erasure."""

import sys
from collections.abc import Callable
from functools import wraps
from time import sleep
from typing import Any

import click

from userkeep.api.erasures import Erasure
from userkeep.cli.exits import Interrupted
from userkeep.cli.output.escaping import escape_control
from userkeep.cli.output.tables import print_erasure
from userkeep.cli.output.terminal import pluralize, stderr_console
from userkeep.client import Userkeep
from userkeep.config import SettingError
from userkeep.domain.errors import UserkeepError
from userkeep.sdk.errors import ConnectionFailed, NotSent

_POLL_S = 0.25


class NotConfirmed(UserkeepError):
    """Nothing was deleted."""


def confirmation_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--yes`; without it a deletion asks, and needs a terminal to ask on."""

    @wraps(command)
    def run(*, is_confirmed: bool, **arguments: Any) -> None:
        if not is_confirmed and not sys.stdin.isatty():
            raise SettingError(
                "Aborted: cannot prompt for confirmation because stdin is not a terminal. "
                "Pass --yes."
            )
        command(is_confirmed=is_confirmed, **arguments)

    return click.option(
        "--yes", "-y", "is_confirmed", is_flag=True, help="Do not ask for confirmation."
    )(run)


def confirm(question: str) -> None:
    """Ask on stderr, so that stdout has only the result.

    Raises:
        NotConfirmed: the answer is no, or there is none.
    """
    try:
        is_confirmed = click.confirm(escape_control(question), err=True)
    except click.Abort:
        click.echo(err=True)
        is_confirmed = False
    if not is_confirmed:
        raise NotConfirmed


def purge_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--purge now`."""
    return click.option(
        "--purge",
        type=click.Choice(["now"]),
        help="Also purge the data from the database files, and wait until that is done.",
    )(command)


def run_deletion(
    client: Userkeep,
    name: str,
    start: Callable[[], Erasure],
    *,
    verb: str = "Deleting",
    as_json: bool,
) -> None:
    """Wait for the end of an erasure, and of its purge if one was requested, and print it.

    Args:
        name: what is deleted, for the progress.
        start: requests the deletion.
        verb: what the progress begins with.
    """
    erasure: Erasure | None = None
    try:
        with stderr_console().status(f"{verb} {escape_control(name)} …") as status:
            erasure = start()
            while _is_running(erasure):
                status.update(_progress(name, erasure))
                sleep(_POLL_S)
                erasure = client.erasure.get(erasure.id)
    except Interrupted as interrupted:
        sentence = f"Interrupted. {_outlook(erasure)}"
        raise Interrupted(interrupted.number, sentence) from interrupted
    except ConnectionFailed as error:
        if erasure is None and isinstance(error, NotSent):
            raise
        error.detail = f"{error.detail} {_outlook(erasure)}"
        raise
    print_erasure(erasure, as_json=as_json)


def _is_running(erasure: Erasure) -> bool:
    if erasure.state == "deleting":
        return True
    is_purging = erasure.state == "deleted" and erasure.purge.requested_at is not None
    return is_purging and erasure.purge.problem is None


def _progress(name: str, erasure: Erasure) -> str:
    if erasure.state == "deleting":
        messages = pluralize(erasure.counts.messages, "message")
        return f"Deleting {escape_control(name)} … {messages} deleted"
    return f"Purging {escape_control(name)} … {escape_control(erasure.purge.phase or 'starting')}"


def _outlook(erasure: Erasure | None) -> str:
    if erasure is None:
        return (
            "If the deletion has started, it continues automatically, at the latest when the "
            "database is opened for writing next."
        )
    return f"Erasure {erasure.id} continues automatically; its data can no longer be read."
