"""What may be done, one module per noun; each operation is a function of a transaction.

A service knows no database (it names queries), no HTTP (it raises domain errors) and no setting
(the rules come with the scope). Everything that an operation does happens, or nothing.
"""
