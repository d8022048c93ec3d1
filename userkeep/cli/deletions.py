"""What every deletion does: ask for confirmation, show progress, and print the result."""

import sys
from collections.abc import Callable
from functools import wraps
from time import sleep
from typing import Any, NamedTuple, TypeVar

import click

from userkeep.api.erasures import MAX_COUNTED, DeletedCounts, Erasure, Purge
from userkeep.api.projects import Project
from userkeep.cli.exits import Interrupted
from userkeep.cli.output.escaping import escape_control
from userkeep.cli.output.tables import print_erasure, print_project
from userkeep.cli.output.terminal import print_note, stderr_console
from userkeep.client import Userkeep
from userkeep.config import SettingError
from userkeep.domain.errors import UserkeepError
from userkeep.domain.values.counts import pluralize
from userkeep.sdk.errors import ConnectionFailed, NotSent

T = TypeVar("T")

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


def confirm(question: str, aborted: str = "") -> None:
    """Ask on stderr, so that stdout has only the result.

    Args:
        aborted: the error if the answer is no; by default that nothing was deleted.

    Raises:
        NotConfirmed: the answer is no, or there is none.
    """
    try:
        is_confirmed = click.confirm(escape_control(question), err=True)
    except click.Abort:
        click.echo(err=True)
        is_confirmed = False
    if not is_confirmed:
        raise NotConfirmed(aborted)


def purge_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--purge now`."""
    return click.option(
        "--purge",
        type=click.Choice(["now"]),
        help="Also purge the data from the database files, and wait until that is done.",
    )(command)


class _View(NamedTuple):
    """What is shown of a deletion while it runs.

    Attributes:
        label: what continues automatically, if the command is interrupted.
    """

    is_deleting: bool
    counts: DeletedCounts
    purge: Purge
    label: str


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

    def poll(erasure: Erasure) -> Erasure:
        polled = client.erasure.get(erasure.id)
        polled.sessions_without_user = erasure.sessions_without_user
        return polled

    erasure = _wait(name, start, poll, _view_of_erasure, verb)
    print_erasure(erasure, as_json=as_json)
    if erasure.sessions_without_user and not as_json:
        print_note(
            f"{describe_sessions_without_user(erasure.sessions_without_user)} "
            "To list: userkeep sessions list --without-user"
        )


def describe_sessions_without_user(count: int) -> str:
    """Return a sentence about the sessions that the deletion of a user does not delete."""
    some = f"{pluralize(count, 'session')} without a user"
    if count == MAX_COUNTED:
        some = f"At least {some}"
    return f"{some} may have data of the user, and {'is' if count == 1 else 'are'} not deleted."


def run_project_deletion(
    client: Userkeep, name: str, start: Callable[[], Project], *, as_json: bool
) -> None:
    """Wait for the deletion of a project, as `run_deletion` does, and print the project."""

    def poll(project: Project) -> Project:
        return client.project.get(project.uuid)

    print_project(_wait(name, start, poll, _view_of_project, "Deleting"), as_json=as_json)


def _wait(
    name: str,
    start: Callable[[], T],
    poll: Callable[[T], T],
    view_of: Callable[[T], _View],
    verb: str,
) -> T:
    view: _View | None = None
    try:
        with stderr_console().status(f"{verb} {escape_control(name)} …") as status:
            resource = start()
            view = view_of(resource)
            while _is_running(view):
                status.update(_progress(name, view))
                sleep(_POLL_S)
                resource = poll(resource)
                view = view_of(resource)
    except Interrupted as interrupted:
        sentence = f"Interrupted. {_outlook(view)}"
        raise Interrupted(interrupted.number, sentence) from interrupted
    except ConnectionFailed as error:
        if view is None and isinstance(error, NotSent):
            raise
        error.detail = f"{error.detail} {_outlook(view)}"
        raise
    return resource


def _view_of_erasure(erasure: Erasure) -> _View:
    label = f"Erasure {erasure.id}"
    return _View(erasure.state == "deleting", erasure.counts, erasure.purge, label)


def _view_of_project(project: Project) -> _View:
    deletion = project.deletion
    if deletion is None:  # no server sends that
        raise UserkeepError("The project is not being deleted.")
    label = f"The deletion of project {project.uuid}"
    return _View(project.state == "deleting", deletion.counts, deletion.purge, label)


def _is_running(view: _View) -> bool:
    is_purging = view.purge.requested_at is not None and view.purge.problem is None
    return view.is_deleting or is_purging


def _progress(name: str, view: _View) -> str:
    if view.is_deleting:
        users = f"{pluralize(view.counts.users, 'user')}, " if view.counts.users else ""
        messages = pluralize(view.counts.messages, "message")
        return f"Deleting {escape_control(name)} … {users}{messages} deleted"
    return f"Purging {escape_control(name)} … {escape_control(view.purge.phase or 'starting')}"


def _outlook(view: _View | None) -> str:
    if view is None:
        return (
            "If the deletion has started, it continues automatically, at the latest when the "
            "database is opened for writing next."
        )
    return f"{view.label} continues automatically; its data can no longer be read."
