"""What both engines tell those whose operation is not run, or fails."""

CLOSED = "The server is shutting down."
TOO_MANY = "Too many requests are waiting for the database; try again in a moment."


def carried(error: Exception) -> BaseException:
    """An error in a form that a future can carry."""
    if isinstance(error, StopIteration):
        return RuntimeError("an operation ended in StopIteration, which no future can carry")
    return error
