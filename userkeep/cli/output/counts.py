"""Numbers of users, sessions, messages, collections and documents, as text."""

from userkeep.domain.values.counts import pluralize
from userkeep.jobs.jsonl import Counts


def format_counts(counts: Counts) -> str:
    """Return counts in words. Collections and documents are left out where there are none."""
    numbers = [
        pluralize(counts.users, "user"),
        pluralize(counts.sessions, "session"),
        pluralize(counts.messages, "message"),
    ]
    if counts.collections or counts.documents:
        numbers.append(pluralize(counts.collections, "collection"))
        numbers.append(pluralize(counts.documents, "document"))
    return ", ".join(numbers)
