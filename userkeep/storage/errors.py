"""Error messages of both engines, for operations that cannot run now or fail."""

READ_ONLY = "This instance was opened read-only. Open it without read_only to change it."
CLOSED = "The server is shutting down."
QUEUE_FULL = "Too many requests are waiting for the database; retry."
OUT_OF_MEMORY = "The server has no memory for this now; nothing was changed."

PURGE_RUNNING = "Another purge of this database is running."
PURGE_STOPPED = "The purge was stopped; it will start again later."


def as_future_exception(error: Exception) -> BaseException:
    """Return the error, or a replacement for one that a future rejects."""
    if isinstance(error, StopIteration):
        return RuntimeError("an operation raised StopIteration, which a future cannot hold")
    return error
