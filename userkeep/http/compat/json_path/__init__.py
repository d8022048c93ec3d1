"""SQL/JSON paths as PostgreSQL reads them in lax mode: the filters of Zep's clients.

`parser` parses a path into a tree; `translator` turns the tree into a filter of
`domain.values.filters`, which both engines support.
"""
