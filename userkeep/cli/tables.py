"""Users, sessions, messages and erasures as a human being reads them."""

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import msgspec
from rich import box
from rich.table import Table
from rich.text import Text

from userkeep.api.erasures import Erasure
from userkeep.api.memory import Memory
from userkeep.api.messages import Message
from userkeep.api.sessions import Session
from userkeep.api.users import User
from userkeep.cli.terminal import ago, counted, exactly, in_one_line, output, print_json, visible
from userkeep.sdk import pages

Row = TypeVar("Row")


def print_list(
    chunks: Iterable[pages.Page[Row]],
    table: Callable[[Sequence[Row]], Table],
    empty: str,
    *,
    as_json: bool,
) -> None:
    """Print a list, page by page.

    Args:
        chunks: its pages; the last one's `next` leads on where more is left.
        table: makes the table of some rows.
        empty: what is said where there are none.
        as_json: one JSON document instead.
    """
    if as_json:
        _print_json_list(chunks)
        return
    following, is_empty = None, True
    for chunk in chunks:
        following = chunk.next
        if chunk:
            is_empty = False
            output().print(table(chunk))
    if is_empty:
        output().print(empty)
    elif following:
        output().print(
            f"There are more: the same command with --cursor {following} shows them, "
            "with --all every one.",
            style="dim",
            soft_wrap=True,
        )


def _print_json_list(chunks: Iterable[pages.Page[Row]]) -> None:
    # Row by row, so that a list of any length needs no more memory than a page.
    file = sys.stdout.buffer
    following, before = None, b'{"items": [\n'
    for chunk in chunks:
        following = chunk.next
        for row in chunk:
            file.write(before + msgspec.json.encode(row))
            before = b",\n"
    end = b"\n" if before == b",\n" else b'{"items": ['
    file.write(end + b'], "next": ' + msgspec.json.encode(following) + b"}\n")
    file.flush()


def print_user(user: User, *, as_json: bool) -> None:
    """Print a user."""
    _print_one(
        user,
        [
            ("user_id", user.user_id),
            ("email", user.email),
            ("first_name", user.first_name),
            ("last_name", user.last_name),
            ("metadata", _json(user.metadata)),
            ("created", exactly(user.created_at)),
            ("updated", exactly(user.updated_at)),
            ("revision", str(user.revision)),
            ("uuid", user.uuid),
        ],
        as_json=as_json,
    )


def print_session(session: Session, *, as_json: bool) -> None:
    """Print a session."""
    _print_one(
        session,
        [
            ("session_id", session.session_id),
            ("user_id", session.user_id or "nobody"),
            ("messages", f"{session.message_count:,}"),
            ("metadata", _json(session.metadata)),
            ("created", exactly(session.created_at)),
            ("updated", exactly(session.updated_at)),
            ("ended", exactly(session.ended_at) or "no"),
            ("revision", str(session.revision)),
            ("uuid", session.uuid),
        ],
        as_json=as_json,
    )


def print_message(message: Message, *, as_json: bool) -> None:
    """Print a message."""
    if as_json:
        print_json(message)
    else:
        output().print(messages_table([message]))


def print_memory(memory: Memory, *, as_json: bool) -> None:
    """Print a memory."""
    if as_json:
        print_json(memory)
    elif memory.messages:
        output().print(messages_table(memory.messages))
    else:
        output().print("There are no messages in this session.")


def print_erasure(erasure: Erasure, *, as_json: bool) -> None:
    """Print an erasure."""
    _print_one(
        erasure,
        [
            ("erasure", erasure.id),
            ("subject", f"{erasure.subject} {erasure.subject_uuid}"),
            ("state", erasure.state),
            ("gone", _gone(erasure)),
            ("started", exactly(erasure.started_at)),
            ("deleted", exactly(erasure.deleted_at) or "not yet"),
            ("purged", _purge_of(erasure)),
        ],
        as_json=as_json,
    )


def _gone(erasure: Erasure) -> str:
    counts = erasure.counts
    gone = (
        (counts.users, "user"),
        (counts.sessions, "session"),
        (counts.messages, "message"),
    )
    return ", ".join(counted(count, name) for count, name in gone if count) or "nothing yet"


def _purge_of(erasure: Erasure) -> str:
    if erasure.purged_at is not None:
        return exactly(erasure.purged_at)
    purge = erasure.purge
    left = [f"skipped: {each.step}. {each.reason}" for each in purge.skipped_steps]
    return "; ".join(filter(None, [*left, purge.problem, purge.phase])) or "not yet"


def users_table(users: Sequence[User]) -> Table:
    """Users, a line each."""
    table = plain_table()
    table.add_column("user_id", overflow="fold", min_width=10)
    table.add_column("name", overflow="fold", min_width=8)
    table.add_column("email", overflow="fold", min_width=10)
    table.add_column("created", style="dim", no_wrap=True)
    for user in users:
        name = " ".join(filter(None, (user.first_name, user.last_name)))
        table.add_row(
            in_one_line(user.user_id),
            in_one_line(name),
            in_one_line(user.email),
            ago(user.created_at),
        )
    return table


def sessions_table(sessions: Sequence[Session]) -> Table:
    """Sessions, a line each."""
    table = plain_table()
    table.add_column("session_id", overflow="fold", min_width=10)
    table.add_column("user_id", overflow="fold", min_width=8)
    table.add_column("messages", justify="right", no_wrap=True)
    table.add_column("updated", style="dim", no_wrap=True)
    table.add_column("ended", style="dim", no_wrap=True)
    for session in sessions:
        table.add_row(
            in_one_line(session.session_id),
            in_one_line(session.user_id) if session.user_id else Text("nobody", style="dim"),
            f"{session.message_count:,}",
            ago(session.updated_at),
            ago(session.ended_at),
        )
    return table


def messages_table(messages: Sequence[Message]) -> Table:
    """Messages with all that was said."""
    table = plain_table()
    table.add_column("seq", justify="right", style="dim", no_wrap=True)
    table.add_column("role", overflow="fold", max_width=16)
    table.add_column("content", overflow="fold", ratio=1)
    table.add_column("created", style="dim", no_wrap=True)
    for message in messages:
        table.add_row(
            f"{message.seq:,}", role_of(message), visible(message.content), ago(message.created_at)
        )
    return table


def erasures_table(erasures: Sequence[Erasure]) -> Table:
    """Erasures, a line each."""
    table = plain_table()
    table.add_column("erasure", no_wrap=True)
    table.add_column("subject", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column("gone", overflow="fold", min_width=10)
    table.add_column("started", style="dim", no_wrap=True)
    for erasure in erasures:
        table.add_row(
            erasure.id, erasure.subject, erasure.state, _gone(erasure), ago(erasure.started_at)
        )
    return table


def role_of(message: Message) -> Text:
    """Who says a message, and what that means to a model where it says more."""
    role = in_one_line(message.role)
    if message.role_type in {"norole", message.role}:
        return role
    return Text(message.role_type) if not message.role else role + Text(f" ({message.role_type})")


def plain_table() -> Table:
    """A table without lines but the one below its head."""
    return Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")


def _print_one(value: Any, lines: Sequence[tuple[str, str | None]], *, as_json: bool) -> None:
    if as_json:
        print_json(value)
        return
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, text in lines:
        if text:
            grid.add_row(name, Text(visible(text)))
    output().print(grid)


def _json(value: dict[str, Any] | None) -> str | None:
    return None if value is None else msgspec.json.encode(value).decode()
