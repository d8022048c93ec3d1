"""Verification: search for deleted data in every row, and past the database in its files.

Rows are compared in this process, not by the database: a database server may log its queries, so
they never contain what is searched for. The search terms are neither stored nor logged.
"""
