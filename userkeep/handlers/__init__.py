"""Handlers of native operations: functions of a transaction and a call, giving wire types.

HTTP and embedded clients run the same handlers, found by the operation's name in `table`.
"""
