"""What update commands have in common: the fields they change, remove, and the revision."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def change_options(*removable: str) -> Callable[[F], F]:
    """Add `--remove` for these fields, and `--if-revision`."""

    def decorate(command: F) -> F:
        revision = click.option(
            "--if-revision",
            type=click.IntRange(1),
            metavar="REVISION",
            help="Update it only if this is its revision.",
        )
        remove = click.option(
            "--remove",
            "removed",
            type=click.Choice(removable),
            multiple=True,
            help="Remove a field; can be repeated.",
        )
        return remove(revision(command))

    return decorate


do_not_embed_option = click.option(
    "--do-not-embed/--embed",
    "do_not_embed",
    default=None,
    help="Give no text of it to an embedding model, or do again.",
)
"""Of users, sessions and projects."""


def without_none(fields: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return fields, without the one with this name if it was not given."""
    return {key: value for key, value in fields.items() if key != name or value is not None}


def changed_fields(given: Mapping[str, Any], removed: tuple[str, ...]) -> dict[str, Any]:
    """Return the fields to change: those that are given, and None for those to remove.

    Raises:
        UsageError: there are none, or a field is in both.
    """
    change = {name: value for name, value in given.items() if value is not None}
    for name in removed:
        if name in change:
            raise click.UsageError(f"{name} cannot be set and removed at the same time.")
        change[name] = None
    if not change:
        raise click.UsageError("Nothing to update; give at least one field.")
    return change
