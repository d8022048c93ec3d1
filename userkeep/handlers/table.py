"""The table of handlers: which function performs which operation, by the operation's name.

What deletes gives the stored erasure, begun and committed; the caller then advances it (see
services.erasures), and purges if that was asked for. What verifies gives what is wanted, checked;
the caller then looks for it (see userkeep.verifying). All others give what travels.
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
