"""What each native operation does: a function of a transaction, from wire types to wire types.

The HTTP door and callers in this process perform the same functions, found by the operation's
name in `performers`.
"""
