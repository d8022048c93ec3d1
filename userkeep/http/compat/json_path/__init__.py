"""SQL/JSON paths as PostgreSQL reads them in lax mode: the filters of Zep's clients.

`syntax` reads a path; `meaning` says it as a tree of domain.filters, which both engines know.
"""
