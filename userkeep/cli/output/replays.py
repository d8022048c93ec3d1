"""What a replay of the deletion ledger did, in words."""

from userkeep.domain.values.counts import pluralize
from userkeep.jobs.replay import ReplayReport


def replay_text(report: ReplayReport, *, is_dry: bool = False) -> str:
    """Return what a replay did, or would do: how many, and never who."""
    counts = (
        pluralize(report.projects, "project"),
        pluralize(report.users, "user"),
        pluralize(report.sessions, "further session"),
        pluralize(report.messages, "further message"),
        pluralize(report.collections, "collection"),
        pluralize(report.documents, "further document"),
    )
    done = "Would delete" if is_dry else "Deleted"
    return (
        f"The database lacks {pluralize(report.entries, 'deletion')} of the ledger. "
        f"{done} {', '.join(counts[:-1])} and {counts[-1]}."
    )
