"""What both engines tell those whose operation is not run, or fails."""

CLOSED = "The server is shutting down."
TOO_MANY = "Too many requests are waiting for the database; try again in a moment."

OTHER_PURGE = "Another purge of this database is under way."
PURGE_STOPPED = "The purge was stopped; it begins again later."

# What has no index has a limit instead.
SEARCHED_LONG = (
    "The search took longer than {} s and was stopped. "
    "Narrow it by user_id, session_id or email, or ask for fewer rows at a time."
)


def carried(error: Exception) -> BaseException:
    """An error in a form that a future can carry."""
    if isinstance(error, StopIteration):
        return RuntimeError("an operation ended in StopIteration, which no future can carry")
    return error
