"""Who speaks in a conversation, as far as search cares.

Between people, `role` is a name. A query that names Caroline asks for messages by Caroline, not for
messages that mention her, so her name is not a term to search for. Between a person and a program,
`role` is the part that they play, and not a name.
"""

_NAMED_ROLE_TYPES = frozenset({"norole", "user"})

_GENERIC = """
user users human person people me you i customer client guest visitor member caller patient student
agent assistant ai bot chatbot model system tool function operator admin support speaker norole none
unknown anonymous
"""
_GENERIC_ROLES = frozenset(_GENERIC.split())


def speaker_name(role: str, role_type: str) -> str | None:
    """Return the speaker's name, or None where the message's role is not a name."""
    if role_type not in _NAMED_ROLE_TYPES or not role or role.casefold() in _GENERIC_ROLES:
        return None
    return role
