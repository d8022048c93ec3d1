"""Which rows the statements of a connection see, where row-level security is on.

The parameter that the policies compare (see row_security) is set in each transaction, in the same
message as the first statement that needs it, and ends with the transaction. A read of a single
statement has no BEGIN; there the message is the transaction.
"""

from userkeep.storage.postgres.statements import statement

NO_PROJECT = b""
ALL_PROJECTS = b"all"
"""Values of the parameter; all others are numbers of projects."""

BIND = statement("SELECT set_config('userkeep.project_id', :projects, true)")
