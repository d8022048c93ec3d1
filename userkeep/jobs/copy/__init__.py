"""Copy a whole instance into a new database, of the same engine or the other.

`tables` lists what is copied, `job` copies it, `sqlite` and `postgres` read the source and fill the
target.
"""
