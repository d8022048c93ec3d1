"""The operations on each noun, as functions of a transaction.

A service knows no database (it names queries), no API (it raises domain errors) and no settings
(the rules come with the scope). An operation is committed as a whole, or rolled back.
"""
