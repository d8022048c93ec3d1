"""Which function performs which operation, by the operation's name.

A handler that starts a job returns the StartedJob, which the caller then runs. One that verifies
returns the checked request, which the caller then runs (see jobs.verify). All others return what
is sent.
"""

from userkeep.handlers import erasures, messages, sessions, users
from userkeep.handlers.calls import Handler

HANDLERS: dict[str, Handler] = {
    "users.add": users.add,
    "users.list": users.list_,
    "users.get": users.get,
    "users.put": users.put,
    "users.update": users.update,
    "users.delete": users.delete,
    "users.sessions": users.list_sessions,
    "sessions.add": sessions.add,
    "sessions.list": sessions.list_,
    "sessions.get": sessions.get,
    "sessions.update": sessions.update,
    "sessions.end": sessions.end,
    "sessions.delete": sessions.delete,
    "messages.append": messages.append,
    "messages.list": messages.list_,
    "messages.get": messages.get,
    "messages.update": messages.update,
    "messages.delete": messages.delete,
    "messages.search": messages.search,
    "memory.get": messages.get_memory,
    "erasures.list": erasures.list_,
    "erasures.get": erasures.get,
    "erasures.purge": erasures.purge,
    "erasures.verify": erasures.verify,
}
