"""Who speaks in a conversation, as far as search cares.

Between people, `name` is one. A query that names Caroline may ask for messages by Caroline, so
they weigh more. A name such as "customer" or "bot" is generic, and names no one.
"""

_NAMED_ROLES = frozenset({"norole", "user"})

_GENERIC = """
user users human person people me you i customer client guest visitor member caller patient student
agent assistant ai bot chatbot model system tool function operator admin support speaker norole none
unknown anonymous
"""
_GENERIC_NAMES = frozenset(_GENERIC.split())


def speaker_name(name: str, role: str) -> str | None:
    """Return the speaker's name, or None where it is generic, or a program speaks."""
    if role not in _NAMED_ROLES or not name or name.casefold() in _GENERIC_NAMES:
        return None
    return name
