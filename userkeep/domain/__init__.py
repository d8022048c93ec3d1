"""The nouns and their rules: users, sessions, messages, erasures, and how messages are searched.

Nothing here reads a file, a socket, a clock or a setting. It imports the standard library, msgspec
(for the types) and a stemmer, and nothing else.
"""
