"""API keys: handlers, and what is sent of a key."""

import msgspec

from userkeep.api import keys as wire
from userkeep.api.common import Page
from userkeep.domain.errors import Forbidden, NotFound
from userkeep.domain.key import Key, KeyText, new_key_text
from userkeep.domain.project import DEFAULT_PROJECT
from userkeep.domain.scope import Rules, Scope
from userkeep.domain.transaction import Transaction
from userkeep.domain.values.ids import check_id
from userkeep.handlers.calls import Call, Handler, Prepare
from userkeep.handlers.lists import page_request, serialize_page
from userkeep.handlers.values import optional_time, time_to_send
from userkeep.services import keys, projects


def add(tx: Transaction, call: Call) -> wire.KeyWithText:
    """Create a key."""
    body: wire.CreateKey = call.body
    projects.enter_to_write(tx, _scope(tx, call, body.project))
    return _with_text(keys.add(tx, body, call.prepared), call.prepared)


def list_(tx: Transaction, call: Call) -> Page[wire.Key]:
    """List keys."""
    query: wire.ListKeys = call.query
    projects.enter_to_read(tx, _scope(tx, call, query.project))
    request = page_request(query)
    return serialize_page(keys.page(tx, request), request, serialize_key)


def get(tx: Transaction, call: Call) -> wire.Key:
    """Return a key."""
    projects.enter_to_read(tx, _scope(tx, call, call.query.project))
    return serialize_key(keys.get(tx, call.ids["id"]))


def rotate(tx: Transaction, call: Call) -> wire.KeyWithText:
    """Give a key a new text."""
    query: wire.RotateQuery = call.query
    projects.enter_to_write(tx, _scope(tx, call, query.project))
    text: KeyText = call.prepared
    return _with_text(keys.rotate(tx, call.ids["id"], text, query.overlap_hours), text)


def revoke(tx: Transaction, call: Call) -> wire.Key:
    """Revoke a key."""
    projects.enter_to_write(tx, _scope(tx, call, call.query.project))
    return serialize_key(keys.revoke(tx, call.ids["id"]))


def serialize_key(key: Key) -> wire.Key:
    """Return a key as it is sent, without its text."""
    return wire.Key(
        id=key.id,
        name=key.name,
        scope=key.scope,  # type: ignore[arg-type]
        user_id=key.user_id,
        created_at=time_to_send(key.created_at),
        expires_at=optional_time(key.expires_at),
        last_used_at=optional_time(key.last_used_at),
        revoked_at=optional_time(key.revoked_at),
        former_expires_at=optional_time(key.former_expires_at),
    )


def _with_text(key: Key, text: KeyText) -> wire.KeyWithText:
    fields = msgspec.structs.asdict(serialize_key(key))
    return wire.KeyWithText(**fields, key=text.text)


def _scope(tx: Transaction, call: Call, project: str | None) -> Scope:
    """Return the scope of the project whose keys a call is about.

    Raises:
        Forbidden: another project is named, and the caller is not of the project default.
        NotFound: there is no such project.
    """
    scope = call.scope
    if project is None:
        return scope
    check_id(project, "project")
    if scope.project_id != DEFAULT_PROJECT:
        raise Forbidden("Only an admin key of the project default can name a project.")
    try:
        number = projects.get(tx, project).number
    except NotFound as error:
        raise NotFound(f"There is no project with the name {project!r}.", "project") from error
    return msgspec.structs.replace(scope, project_id=number)


def _new_text(_rules: Rules, _call: Call) -> KeyText:
    return new_key_text()


def _next_text(_rules: Rules, call: Call) -> KeyText:
    return new_key_text(call.ids["id"])


HANDLERS: dict[str, Handler] = {
    "keys.add": add,
    "keys.list": list_,
    "keys.get": get,
    "keys.rotate": rotate,
    "keys.revoke": revoke,
}

PREPARE: dict[str, Prepare] = {"keys.add": _new_text, "keys.rotate": _next_text}
