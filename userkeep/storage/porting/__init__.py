"""Copying a whole instance from one database to another, of the same engine or not.

`tables` says what is copied, `copying` how, `sqlite` and `postgres` where from and where to.
"""
