"""What the instance knows of itself: its secret's fingerprint, its projects."""

from userkeep.domain.errors import StorageError
from userkeep.domain.transaction import Transaction


def check_is_whole(tx: Transaction) -> None:
    """Refuse a database into which another is being copied, or was until something stopped it.

    Raises:
        StorageError: with what to do.
    """
    if tx.fetch_one("get_port_source", str) is not None:
        raise StorageError(
            "This database is the target of a port that has not finished: what it holds is a part, "
            "or was not verified. Run the same `userkeep port` again; it goes on from there."
        )


def check_secret(tx: Transaction, fingerprint: str) -> None:
    """Bind the database to its secret on the first start; refuse another one ever after.

    Raises:
        StorageError: the database was made with another secret.
    """
    known = tx.fetch_one("get_secret_fingerprint", str)
    if known is None:
        tx.execute("set_secret_fingerprint", value=fingerprint)
    elif known != fingerprint:
        raise StorageError(
            "This database belongs to another secret: with this one, deleted ids and idempotency "
            "keys would not be recognised. Set USERKEEP_SECRET or USERKEEP_SECRET_FILE to the "
            "secret it was made with."
        )


def project_ids(tx: Transaction) -> list[int]:
    """All projects."""
    return tx.fetch_all("project_ids", int)
