"""Tables of users, sessions, messages, erasures, projects and keys."""

import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, UnsetType
from rich import box
from rich.table import Table
from rich.text import Text

from userkeep.api.erasures import DeletedCounts, Erasure
from userkeep.api.keys import Key
from userkeep.api.memory import Memory
from userkeep.api.messages import Message
from userkeep.api.projects import Project, ProjectDeletion
from userkeep.api.sessions import LastMessage, Session
from userkeep.api.users import User
from userkeep.cli.output.escaping import escape_control, json_line
from userkeep.cli.output.terminal import (
    format_time,
    humanize,
    one_line,
    print_json,
    stdout_console,
)
from userkeep.domain.values.counts import pluralize
from userkeep.sdk._sync.lists import Page

Row = TypeVar("Row")


_MAX_CONTENT = 500
_MAX_LINES = 20
_MAX_TITLE = 100
"""How much of a text a table has, in characters and lines. `--json` and `show` have the whole."""


def print_list(
    pages: Iterable[Page[Row]],
    make_table: Callable[[Sequence[Row]], Table],
    empty: str,
    *,
    as_json: bool,
) -> None:
    """Print a list, page by page.

    Args:
        pages: its pages; `next` of the last one is the cursor of the next page, if there is one.
        make_table: makes the table of a page.
        empty: the sentence for an empty list.
        as_json: print one JSON document instead.
    """
    if as_json:
        _print_json_list(pages)
        return
    cursor, total, is_empty = None, None, True
    for page in pages:
        cursor = page.next
        total = page.total if total is None else total
        if page:
            is_empty = False
            stdout_console().print(make_table(page))
    if is_empty:
        stdout_console().print(empty)
    if total:
        stdout_console().print(f"{total:,} in all.")
    if cursor:
        stdout_console().print(
            f"There are more. Add --cursor {cursor} for the next page, or --all for every page.",
            style="dim",
            soft_wrap=True,
        )


def _print_json_list(pages: Iterable[Page[Row]]) -> None:
    # Row by row, so that a list of any length needs no more memory than a page.
    file = sys.stdout.buffer
    cursor, total, separator = None, None, b'{"items": [\n'
    for page in pages:
        cursor = page.next
        total = page.total if total is None else total
        for row in page:
            file.write(separator + json_line(row))
            separator = b",\n"
    end = b"\n" if separator == b",\n" else b'{"items": ['
    count = b"" if total is None else b', "count": ' + json_line(total)
    file.write(end + b'], "next": ' + json_line(cursor) + count + b"}\n")
    file.flush()


def print_user(user: User, *, as_json: bool) -> None:
    """Print a user."""
    print_one(
        user,
        [
            ("user_id", user.user_id),
            ("email", user.email),
            ("first_name", user.first_name),
            ("last_name", user.last_name),
            ("metadata", json_text(user.metadata)),
            ("embedded", _embedded(user)),
            ("created", format_time(user.created_at)),
            ("updated", format_time(user.updated_at)),
            ("revision", str(user.revision)),
            ("uuid", user.uuid),
        ],
        as_json=as_json,
    )


def _embedded(resource: User | Session | Project) -> str | None:
    """Return what is shown where texts are not embedded; else nothing, as for most."""
    return "no" if resource.do_not_embed else None


def print_session(session: Session, *, as_json: bool) -> None:
    """Print a session."""
    print_one(
        session,
        [
            ("session_id", session.session_id),
            ("user_id", session.user_id or "none"),
            ("title", session.title),
            ("messages", f"{session.message_count:,}"),
            ("metadata", json_text(session.metadata)),
            ("embedded", _embedded(session)),
            ("created", format_time(session.created_at)),
            ("active", format_time(session.active_at)),
            ("updated", format_time(session.updated_at)),
            ("ended", format_time(session.ended_at) or "no"),
            ("revision", str(session.revision)),
            ("uuid", session.uuid),
        ],
        as_json=as_json,
    )


def print_message(message: Message, *, as_json: bool) -> None:
    """Print a message."""
    print_one(
        message,
        [
            ("seq", f"{message.seq:,}"),
            ("id", message.id),
            ("role", message.role),
            ("name", message.name),
            ("content", message.content),
            ("data", json_text(message.data)),
            ("metadata", json_text(message.metadata)),
            ("tokens", None if message.token_count is None else f"{message.token_count:,}"),
            ("created", format_time(message.created_at)),
            ("edited", format_time(message.edited_at)),
            ("revision", str(message.revision)),
        ],
        as_json=as_json,
    )


def print_memory(memory: Memory, *, as_json: bool) -> None:
    """Print a memory."""
    if as_json:
        print_json(memory)
        return
    console = stdout_console()
    if memory.messages:
        console.print(messages_table(memory.messages))
        console.print(f"{pluralize(memory.token_count, 'token')}.")
    if memory.truncated:
        console.print("Older messages are left out.")
    elif not memory.messages:
        console.print("There are no messages in this session.")


def print_erasure(erasure: Erasure, *, as_json: bool) -> None:
    """Print an erasure."""
    print_one(
        erasure,
        [
            ("erasure", erasure.id),
            ("subject", f"{erasure.subject} {erasure.subject_uuid}"),
            ("state", erasure.state),
            ("counts", _counts(erasure.counts, is_deleting=erasure.state == "deleting")),
            ("started", format_time(erasure.started_at)),
            ("deleted", format_time(erasure.deleted_at) or "not yet"),
            ("purged", _purge_status(erasure)),
        ],
        as_json=as_json,
    )


def print_key(key: Key, *, as_json: bool) -> None:
    """Print a key, without its text."""
    print_one(
        key,
        [
            ("key", key.id),
            ("name", key.name),
            ("scope", key.scope),
            ("user_id", key.user_id),
            ("state", _state_of_key(key)),
            ("created", format_time(key.created_at)),
            ("expires", format_time(key.expires_at) or "never"),
            ("last used", format_time(key.last_used_at) or "never"),
            ("revoked", format_time(key.revoked_at)),
            ("former text", format_time(key.former_expires_at)),
        ],
        as_json=as_json,
    )


def is_valid_key(key: Key) -> bool:
    """Return whether a key is neither revoked nor expired."""
    return _state_of_key(key) == "valid"


def _state_of_key(key: Key) -> str:
    if key.revoked_at is not None:
        return "revoked"
    if key.expires_at is not None and key.expires_at <= datetime.now(UTC):
        return "expired"
    return "valid"


def print_project(project: Project, *, as_json: bool) -> None:
    """Print a project, with the progress or the receipt of its deletion."""
    deletion = project.deletion
    print_one(
        project,
        [
            ("project", project.name),
            ("uuid", project.uuid),
            ("state", project.state),
            ("max_messages_per_user", _quota(project.max_messages_per_user)),
            ("max_bytes_per_user", _quota(project.max_bytes_per_user)),
            ("max_documents_per_user", _quota(project.max_documents_per_user)),
            ("embedded", _embedded(project)),
            ("created", format_time(project.created_at)),
            ("updated", format_time(project.updated_at)),
            *([] if deletion is None else _deletion_lines(project, deletion)),
        ],
        as_json=as_json,
    )


def _deletion_lines(project: Project, deletion: ProjectDeletion) -> list[tuple[str, str | None]]:
    return [
        ("counts", _counts(deletion.counts, is_deleting=project.state == "deleting")),
        ("started", format_time(deletion.started_at)),
        ("deleted", format_time(deletion.deleted_at) or "not yet"),
        ("purged", _purge_status(deletion)),
    ]


def _quota(value: int | None) -> str:
    return "no limit" if value is None else f"{value:,}"


def _counts(counts: DeletedCounts, *, is_deleting: bool) -> str:
    parts = (
        (counts.users, "user"),
        (counts.sessions, "session"),
        (counts.messages, "message"),
        (counts.documents, "document"),
    )
    none = "nothing yet" if is_deleting else "nothing"
    return ", ".join(pluralize(count, name) for count, name in parts if count) or none


def _purge_status(deletion: Erasure | ProjectDeletion) -> str:
    if deletion.purged_at is not None:
        return format_time(deletion.purged_at)
    purge = deletion.purge
    skipped = [f"skipped: {each.step}. {each.reason}" for each in purge.skipped_steps]
    return "; ".join(filter(None, [*skipped, purge.problem, purge.phase])) or "not yet"


def users_table(users: Sequence[User]) -> Table:
    """Return a table of users, a line each."""
    table = plain_table()
    table.add_column("user_id", overflow="fold", min_width=10)
    table.add_column("name", overflow="fold", min_width=8)
    table.add_column("email", overflow="fold", min_width=10)
    table.add_column("created", style="dim", no_wrap=True)
    for user in users:
        name = " ".join(filter(None, (user.first_name, user.last_name)))
        table.add_row(
            one_line(user.user_id),
            one_line(name),
            one_line(user.email),
            humanize(user.created_at),
        )
    return table


def projects_table(projects: Sequence[Project]) -> Table:
    """Return a table of projects, a line each."""
    table = plain_table()
    table.add_column("name", overflow="fold", min_width=10)
    table.add_column("uuid", overflow="fold", min_width=10)
    table.add_column("state", no_wrap=True)
    table.add_column("created", style="dim", no_wrap=True)
    for project in projects:
        created = humanize(project.created_at)
        table.add_row(one_line(project.name), project.uuid, project.state, created)
    return table


def sessions_table(sessions: Sequence[Session]) -> Table:
    """Return a table of sessions, a line each, and their last messages if they were requested."""
    has_ended = any(session.ended_at for session in sessions)
    has_last_message = any(session.last_message is not UNSET for session in sessions)
    table = plain_table()
    table.add_column("session_id", overflow="fold", min_width=10)
    table.add_column("user_id", overflow="fold", min_width=7)
    table.add_column("title", overflow="fold", min_width=6)
    table.add_column("messages", justify="right", no_wrap=True)
    table.add_column("active", style="dim", no_wrap=True)
    if has_ended:
        table.add_column("ended", style="dim", no_wrap=True)
    if has_last_message:
        table.add_column("last message", overflow="fold", min_width=9)
    for session in sessions:
        table.add_row(
            one_line(session.session_id),
            one_line(session.user_id) if session.user_id else Text("none", style="dim"),
            one_line(_cut(session.title or "", _MAX_TITLE)),
            f"{session.message_count:,}",
            humanize(session.active_at),
            *(["yes" if session.ended_at else ""] if has_ended else []),
            *([_beginning(session.last_message)] if has_last_message else []),
        )
    return table


def _beginning(message: LastMessage | UnsetType | None) -> Text:
    """Return the role of the last message, and as much of it as has room beside the rest."""
    if not message:
        return Text()
    length = min(stdout_console().width // 4, _MAX_CONTENT)
    beginning = _cut(message.content or "", length)
    return Text.assemble((f"{message.role}: ", "dim"), one_line(beginning))


def messages_table(messages: Sequence[Message], *, has_ids: bool = False) -> Table:
    """Return a table of messages, and their names if any has one. Long contents are cut."""
    has_names = any(message.name for message in messages)
    table = plain_table()
    table.add_column("seq", justify="right", style="dim", no_wrap=True)
    if has_ids:
        table.add_column("id", overflow="fold", min_width=12)
    table.add_column("role", no_wrap=True)
    if has_names:
        table.add_column("name", overflow="fold", max_width=16)
    table.add_column("content", overflow="fold", ratio=1)
    table.add_column("created", style="dim", no_wrap=True)
    for message in messages:
        table.add_row(
            f"{message.seq:,}",
            *([one_line(message.id)] if has_ids else []),
            message.role,
            *([one_line(message.name)] if has_names else []),
            _content(message),
            humanize(message.created_at),
        )
    return table


def _content(message: Message) -> Text:
    """Return the content of a message; without any, the beginning of its data."""
    if message.content or message.data is None:
        return Text(escape_control(cut_content(message.content)))
    return Text(escape_control(_cut(json_text(message.data) or "", 200)), style="dim")


def cut_content(content: str) -> str:
    """Return the beginning of a content, on a terminal and elsewhere: a table is an overview."""
    lines = content[: _MAX_CONTENT + 1].split("\n", _MAX_LINES)
    if len(lines) <= _MAX_LINES:
        return _cut(content, _MAX_CONTENT)
    return _cut("\n".join(lines[:_MAX_LINES]), _MAX_CONTENT).removesuffix("…").rstrip() + "…"


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[:length].rstrip()}…"


def erasures_table(erasures: Sequence[Erasure]) -> Table:
    """Return a table of erasures, a line each."""
    table = plain_table()
    table.add_column("erasure", no_wrap=True)
    table.add_column("subject", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column("counts", overflow="fold", min_width=10)
    table.add_column("started", style="dim", no_wrap=True)
    for erasure in erasures:
        table.add_row(
            erasure.id,
            erasure.subject,
            erasure.state,
            _counts(erasure.counts, is_deleting=erasure.state == "deleting"),
            humanize(erasure.started_at),
        )
    return table


def keys_table(keys: Sequence[Key]) -> Table:
    """Return a table of keys, a line each, without their texts."""
    has_users = any(key.user_id is not None for key in keys)
    table = plain_table()
    table.add_column("key", no_wrap=True)
    table.add_column("name", overflow="fold", min_width=8)
    table.add_column("scope", no_wrap=True)
    if has_users:
        table.add_column("user_id", overflow="fold", min_width=7)
    table.add_column("state", no_wrap=True)
    table.add_column("expires", style="dim", no_wrap=True)
    table.add_column("last used", style="dim", no_wrap=True)
    for key in keys:
        table.add_row(
            key.id,
            one_line(key.name),
            key.scope,
            *([one_line(key.user_id)] if has_users else []),
            _state_of_key(key),
            humanize(key.expires_at) or "never",
            humanize(key.last_used_at) or "never",
        )
    return table


def role_of(message: Message) -> Text:
    """Return who speaks: the name, followed by the role where that differs."""
    name = one_line(message.name)
    if message.role in {"norole", message.name}:
        return name
    return Text(message.role) if not message.name else name + Text(f" ({message.role})")


def plain_table() -> Table:
    """Return an empty table with one line, below its head."""
    return Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")


def print_one(value: Any, lines: Sequence[tuple[str, str | None]], *, as_json: bool) -> None:
    """Print a value: the lines that are not empty, or the whole as JSON."""
    if as_json:
        print_json(value)
        return
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, text in lines:
        if text:
            grid.add_row(name, Text(escape_control(text)))
    stdout_console().print(grid)


def json_text(value: Any) -> str | None:
    """Return a value as JSON; None for None."""
    return None if value is None else msgspec.json.encode(value).decode()
