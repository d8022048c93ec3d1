"""Options that several commands have, and how their values are read."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

import click
import msgspec

from userkeep.domain.values.metadata import decode_json
from userkeep.domain.values.paging import DEFAULT_LIMIT, MAX_LIMIT

F = TypeVar("F", bound=Callable[..., Any])


def json_object(value: str) -> dict[str, Any]:
    """A JSON object."""
    try:
        found = decode_json(value)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError) as error:
        raise click.BadParameter(f"{value!r} is not JSON: {error}.") from error
    if not isinstance(found, dict):
        raise click.BadParameter(f'{value!r} is not a JSON object, such as \'{{"plan": "pro"}}\'.')
    return found


def moment(value: str) -> datetime:
    """A point in time; without a zone it is UTC."""
    try:
        return datetime.fromisoformat(value)
    except ValueError as error:
        raise click.BadParameter(
            f"{value!r} is not a time; write it like 2026-11-22 or 2026-11-22T11:30:00Z."
        ) from error


def condition(value: str) -> tuple[str, Any]:
    """`PATH=VALUE`: a path into metadata and what is looked for there, JSON or else text."""
    path, equals, text = value.partition("=")
    if not path or not equals:
        raise click.BadParameter(f"{value!r} is not PATH=VALUE, such as plan=pro.")
    try:
        return path, decode_json(text)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return path, text


def as_json(command: F) -> F:
    """`--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, for machines.")(
        command
    )


def metadata_given(command: F) -> F:
    """`--metadata JSON`, of something that is added."""
    return click.option(
        "--metadata", type=json_object, metavar="JSON", help="A JSON object of your own."
    )(command)


def paged(command: F) -> F:
    """The options of every list."""
    options = (
        click.option(
            "--limit",
            type=click.IntRange(1, MAX_LIMIT),
            default=DEFAULT_LIMIT,
            show_default=True,
            help="How many at most.",
        ),
        click.option("--cursor", metavar="CURSOR", help="The page after: the one before names it."),
        click.option("--all", "is_all", is_flag=True, help="Every page, from --cursor on."),
        click.option(
            "--order",
            type=click.Choice(["created", "-created"]),
            default="created",
            show_default=True,
            help="In the order of creation, or the newest first.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def filtered(command: F) -> F:
    """`--filter JSON`, of a list."""
    return click.option(
        "--filter",
        type=json_object,
        metavar="JSON",
        help='On metadata, such as \'{"field": "metadata.age", "op": "gte", "value": 18}\'.',
    )(command)


def dated(command: F) -> F:
    """The filters that users and sessions share."""
    options = (
        click.option(
            "--created-after", type=moment, metavar="TIME", help="Exclusive; UTC without a zone."
        ),
        click.option(
            "--created-before", type=moment, metavar="TIME", help="Exclusive; UTC without a zone."
        ),
        click.option(
            "--metadata",
            type=condition,
            multiple=True,
            metavar="PATH=VALUE",
            callback=_conditions,
            help="With this in the metadata, such as address.city=Paris; may be repeated.",
        ),
        filtered,
    )
    for option in reversed(options):
        command = option(command)
    return command


def _conditions(
    _: click.Context, __: click.Parameter, value: tuple[tuple[str, Any], ...]
) -> dict[str, Any] | None:
    conditions = dict(value)
    if len(conditions) < len(value):
        raise click.BadParameter("a path is named twice.")
    return conditions or None
