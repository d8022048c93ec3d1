"""Who takes part in a conversation, as far as search cares.

Between people, a `role` is a name: whoever asks what Caroline said means messages of hers, and not
those in which she is named, nor is her name a word that tells one message from another. Between a
person and a program it is what they are, and names nobody.
"""

_NAMED_ROLE_TYPES = frozenset({"norole", "user"})

_GENERIC = """
user users human person people me you i customer client guest visitor member caller patient student
agent assistant ai bot chatbot model system tool function operator admin support speaker norole none
unknown anonymous
"""
_GENERIC_ROLES = frozenset(_GENERIC.split())


def name_of(role: str, role_type: str) -> str | None:
    """The name in a message's role, or None where it is nobody's."""
    if role_type not in _NAMED_ROLE_TYPES or not role or role.casefold() in _GENERIC_ROLES:
        return None
    return role
