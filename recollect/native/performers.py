"""Which function performs which operation, by the operation's name.

What erases gives the stored erasure, begun and committed; the caller then advances it (see
services.erasures), and scrubs if that was asked for. What verifies gives what is wanted, checked;
the caller then looks for it (see recollect.verifying). All others give what travels.
"""

from recollect.native import erasures, messages, sessions, users
from recollect.native.calls import Perform

PERFORMERS: dict[str, Perform] = {
    "users.add": users.add,
    "users.list": users.list_,
    "users.get": users.get,
    "users.put": users.put,
    "users.update": users.update,
    "users.erase": users.erase,
    "users.sessions": users.list_sessions,
    "sessions.add": sessions.add,
    "sessions.list": sessions.list_,
    "sessions.get": sessions.get,
    "sessions.update": sessions.update,
    "sessions.end": sessions.end,
    "sessions.erase": sessions.erase,
    "messages.append": messages.append,
    "messages.list": messages.list_,
    "messages.get": messages.get,
    "messages.update": messages.update,
    "messages.erase": messages.erase,
    "messages.search": messages.search,
    "memory.get": messages.get_memory,
    "erasures.list": erasures.list_,
    "erasures.get": erasures.get,
    "erasures.scrub": erasures.scrub,
    "erasures.verify": erasures.verify,
}
