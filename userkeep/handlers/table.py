"""The table of handlers: which function performs which operation, by the operation's name.

A handler that starts a job returns a StartedJob, which the caller then runs. All others return what
is sent.
"""

from userkeep.domain.scope import Rules
from userkeep.handlers import (
    collections,
    documents,
    erasures,
    imports,
    keys,
    memory,
    messages,
    projects,
    search,
    sessions,
    users,
)
from userkeep.handlers.calls import Call, Handler, Prepare

HANDLERS: dict[str, Handler] = {
    **users.HANDLERS,
    **sessions.HANDLERS,
    **messages.HANDLERS,
    **search.HANDLERS,
    **memory.HANDLERS,
    **collections.HANDLERS,
    **documents.HANDLERS,
    **erasures.HANDLERS,
    **imports.HANDLERS,
    **keys.HANDLERS,
    **projects.HANDLERS,
}

_PREPARE: dict[str, Prepare] = {
    **messages.PREPARE,
    **documents.PREPARE,
    **imports.PREPARE,
    **keys.PREPARE,
}


def prepare(operation_name: str, rules: Rules, call: Call) -> Call:
    """Compute, before the transaction, what the handler of an operation needs; return the call.

    Raises:
        InvalidField: naming the field.
    """
    compute = _PREPARE.get(operation_name)
    if compute is not None:
        call.prepared = compute(rules, call)
    return call
