"""The table of handlers: which function performs which operation, by the operation's name.

A handler that starts a job returns the StartedJob, which the caller then runs. One that verifies
returns the checked request, which the caller then runs (see jobs.verify). All others return what
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
