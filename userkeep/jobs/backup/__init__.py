"""Back up an instance on SQLite into one file, and restore it.

`age` seals and opens files, `archive` is what is in one, `job` writes it, `restore` reads it, and
`folder` names and removes those of a schedule.
"""
