"""The check of the system clock, before anything else is imported.

After 2262, Python's own modules fail when they are imported, because its clock has no such times.
"""

import sys
import time

try:
    time.time_ns()
except OverflowError:
    sys.exit(
        "userkeep: The system clock of this machine is wrong: it is after the year 2262. Set it; "
        "nothing was changed."
    )
