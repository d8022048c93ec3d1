"""The table of handlers: which function performs which operation, by the operation's name.

A handler that starts a job returns a StartedJob, which the caller then runs. All others return what
is sent.
"""

from userkeep.handlers import erasures, memory, messages, search, sessions, users
from userkeep.handlers.calls import Handler

HANDLERS: dict[str, Handler] = {
    **users.HANDLERS,
    **sessions.HANDLERS,
    **messages.HANDLERS,
    **search.HANDLERS,
    **memory.HANDLERS,
    **erasures.HANDLERS,
}
