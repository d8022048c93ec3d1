"""The native interface as data: the table of operations, and the types that travel.

HTTP routes, the OpenAPI document and callers in this process are all made from here, so that they
cannot drift apart.
"""
