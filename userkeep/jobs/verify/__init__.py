"""Looking again for somebody who was deleted: in every row, and past the database in its files.

Rows are compared here, and not by the database: a server is told nothing of what is looked for,
because it may keep a log of what it is asked. What is looked for is neither kept nor logged.
"""

from userkeep.jobs.verify.verification import Verifying

__all__ = ["Verifying"]
