"""The nouns and the pure rules: what a user, a session, a message is, and what may be said of it.

Nothing here reads a file, a socket, a clock or a setting; it imports the standard library and
msgspec (for the types) and nothing else.
"""
