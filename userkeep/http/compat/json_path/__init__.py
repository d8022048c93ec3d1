"""SQL/JSON paths as PostgreSQL reads them in lax mode: the filters of Zep's clients.

`syntax` reads a path; `meaning` turns it into a tree of `domain.values.filters`, which both engines
understand.
"""
