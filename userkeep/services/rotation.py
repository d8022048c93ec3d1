"""Rotation of the secret: what was hashed under the former one is hashed again, or removed.

Keyed hashes cannot be converted. The ids of running erasures are there, and are hashed again. Those
of finished erasures are not, so their hashes are removed, as are tombstones and the records of
requests with an Idempotency-Key.
"""

from typing import NamedTuple

from userkeep.domain.scope import Rules
from userkeep.domain.secret import derive_key
from userkeep.domain.transaction import Transaction
from userkeep.services import erasures
from userkeep.services.instance import secret_fingerprint

LEDGER_PURPOSE = "ledger of erasures"
"""The key of the deletion ledger is derived for this purpose from the first fingerprint."""


class _Running(NamedTuple):
    project_id: int
    uuid: str
    subject: str
    subject_id: str


def rotate(tx: Transaction, fingerprint: str, rules: Rules) -> None:
    """Bind the database to another secret.

    The key of the deletion ledger stays what it was: from now on it is stored.

    Args:
        fingerprint: of the other secret.
        rules: with its keys.
    """
    former = secret_fingerprint(tx)
    if former is None:
        tx.execute("set_secret_fingerprint", value=fingerprint)
        return
    tx.see_all_projects()
    tx.execute("keep_ledger_key", value=derive_key(bytes.fromhex(former), LEDGER_PURPOSE).hex())
    tx.execute("remove_subject_hashes")
    for running in tx.fetch_all("all_running_erasures", _Running):
        project_id, uuid, subject, subject_id = running
        subject_hash = erasures.hash_of_subject(rules, project_id, subject, subject_id)
        tx.defer("set_subject_hash", project_id=project_id, uuid=uuid, subject_hash=subject_hash)
    tx.execute("delete_all_tombstones")
    tx.execute("delete_all_idempotency_records")
    tx.execute("replace_secret_fingerprint", value=fingerprint)
