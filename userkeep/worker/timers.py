"""How long background work waits. A test passes shorter times, so that it need not wait."""

from typing import NamedTuple

from userkeep.domain.purge import IDLE_S


class Timers(NamedTuple):
    """Times of a server's background work, in seconds.

    Attributes:
        respond_after_s: a deletion that takes longer gets a response while it continues.
        record_s: how much longer a response waits for a deletion to be in the deletion ledger.
        find_abandoned_s: the time between two searches for deletions that no server works on.
        check_purge_s: the time between two checks whether a purge is due.
        retry_purge_s: the time after a first failed purge; it doubles with each further one.
        check_backup_s: the time between two checks whether a backup is due.
        retry_backup_s: the time after a first failed backup; it doubles with each further one.
        embed_s: the time between two looks for messages and documents to embed that other servers
            have added, or whose embeddings are to be removed.
        index_s: the time between two looks for collections that need an index.
        idle_s: a server without requests for this long purges what is not yet due.
    """

    respond_after_s: float = 5.0
    record_s: float = 5.0
    find_abandoned_s: float = 5.0
    check_purge_s: float = 5.0
    retry_purge_s: float = 10.0
    check_backup_s: float = 30.0
    retry_backup_s: float = 60.0
    embed_s: float = 5.0
    index_s: float = 30.0
    idle_s: float = IDLE_S


SERVER_TIMERS = Timers()
