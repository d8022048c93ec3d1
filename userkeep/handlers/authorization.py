"""Authorization: what the key of a call permits, and for which user it runs.

A key that is bound to a user sees that user and their sessions, as a call with this `user_id` does.
All else does not exist for it: 404.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET

from userkeep.api.operation import APIOperation
from userkeep.domain.errors import Forbidden
from userkeep.domain.key import Permission, permits
from userkeep.domain.project import DEFAULT_PROJECT
from userkeep.domain.scope import Scope
from userkeep.domain.transaction import Operation, Transaction
from userkeep.domain.user import no_such_user
from userkeep.handlers.calls import Call
from userkeep.services.projects import read_in, write_in

T = TypeVar("T")

# Whether an id is free would reveal whether another user has a session with it.
_CHOSEN_ID = (
    "Your key is bound to a user, and cannot choose the id of a session. Leave session_id out: the "
    "server generates one."
)


def check_permission(operation: APIOperation, scope: Scope) -> None:
    """Check that a key may call an operation, whatever the call is about.

    Raises:
        Forbidden: it may not; the text says which scope is needed.
    """
    check_scope(scope, operation.scope)
    if not operation.is_for_users:
        check_is_of_app(scope)


def check_scope(scope: Scope, needed: Permission) -> None:
    """Check that a key has a scope, or one that includes it.

    Raises:
        Forbidden: it has not; the text says which scope is needed.
    """
    if not permits(scope.permission, needed):
        raise Forbidden(f"This needs a key with the scope {needed}; yours has {scope.permission}.")


def check_is_of_app(scope: Scope) -> None:
    """Check that a key is not bound to a user.

    Raises:
        Forbidden: it is.
    """
    if scope.is_bound:
        raise Forbidden("Your key is bound to a user; this needs a key of the app.")


def check_is_of_instance(scope: Scope) -> None:
    """Check that a key may see what is about the whole instance.

    Raises:
        Forbidden: it is not an admin key of the project default.
    """
    check_scope(scope, "admin")
    check_is_of_app(scope)
    check_is_of_default_project(scope)


def check_is_of_default_project(scope: Scope) -> None:
    """Check that a caller is of the project default, whose admin keys are about all projects.

    Raises:
        Forbidden: it is of another one.
    """
    if scope.project_id != DEFAULT_PROJECT:
        raise Forbidden("Only the admin keys and clients of the project default can do this.")


def narrow(operation: APIOperation, call: Call) -> Call:
    """Narrow the scope of a call to one user, if its key or its `user_id` says so; return the call.

    Raises:
        InvalidField: the `user_id` is invalid.
        NotFound: the call is about another user than the key.
        Forbidden: a key that is bound to a user asks for a purge, or chooses the id of a session.
    """
    if call.scope.is_bound:
        _bind_to_user(operation, call)
    if operation.is_about_owned and _user_of(call.query) is not None:
        call.scope = call.scope.for_user(call.query.user_id)
    return call


def in_scope(
    operation: APIOperation, function: Callable[[Transaction, Call], T], call: Call
) -> Operation[T]:
    """Return what runs a function in a transaction that is bound to the scope of a call.

    It raises Gone if the project of the scope is being deleted, and NotFound if it was deleted.
    """
    if operation.is_about_instance:
        return lambda tx: function(tx, call)
    run_in = read_in if operation.does == "read" else write_in
    return run_in(call.scope, function, call)


def _bind_to_user(operation: APIOperation, call: Call) -> None:
    """Check that a call names no other user than that of its key, and let it name this one.

    It creates a session only by the call for it, never by an append to one that is not there.
    """
    user_id = call.scope.user_id
    if getattr(call.query, "purge", None):
        raise Forbidden("Your key is bound to a user; a purge needs a key of the app.")
    named = (call.ids.get("user_id"), _user_of(call.query), _user_of(call.body))
    for each in named:
        if isinstance(each, str) and each != user_id:
            raise no_such_user(each)
    if operation.does == "write" and getattr(call.body, "session_id", None) is not None:
        raise Forbidden(_CHOSEN_ID)
    if hasattr(call.body, "create"):
        call.body = msgspec.structs.replace(call.body, create=False)
    call.query, call.body = _for_user(call.query, user_id), _for_user(call.body, user_id)


def _user_of(value: Any) -> Any:
    return getattr(value, "user_id", None)


def _for_user(value: Any, user_id: str | None) -> Any:
    """Return a query or a body that names the user, if it can name one and does not."""
    if getattr(value, "user_id", UNSET) is not None:
        return value
    return msgspec.structs.replace(value, user_id=user_id)
