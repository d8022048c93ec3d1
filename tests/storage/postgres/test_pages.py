"""Pages of messages: the server sends only as many bytes as a page may have."""

from contextlib import closing

import pytest

from tests.postgres import migrated_database
from tests.storage.postgres.notes import QUERIES, rows
from userkeep.domain.transaction import Transaction
from userkeep.storage.postgres import PostgresEngine

KIB = 1024

_SESSION = """
INSERT INTO sessions (
    project_id, session_id, uuid, state, revision, message_count, last_seq, total_length,
    active_at, created_at, updated_at, do_not_embed
) VALUES (1, 'long', gen_random_uuid(), 'active', 1, 100, 100, 100, now(), now(), now(), 0)
"""
_MESSAGES = """
INSERT INTO messages (
    project_id, session_id, seq, id, role, name, created_at, content, data, revision, word_count,
    words
)
SELECT 1, 'long', n, gen_random_uuid()::text, 'user', '', now(),
    CASE WHEN n = 100 THEN '' ELSE repeat('é', 50 * 1024) END,
    CASE WHEN n % 2 = 0 THEN repeat('x', 100 * 1024) END, 1, 1, ''
FROM generate_series(1, 100) AS n
"""


def seq_of(*columns: int) -> int:
    return columns[0]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        # Odd messages have 100 KiB, even ones 200 KiB. One more shows that there are more.
        ({"max_bytes": 250 * KIB}, [1, 2, 3]),
        ({"max_bytes": 1}, [1, 2]),
        ({"max_bytes": 250 * KIB, "descending": True}, [100, 99, 98, 97]),
        ({"max_bytes": 250 * KIB, "descending": True, "before": 100}, [99, 98, 97]),
        ({"max_bytes": 250 * KIB, "after": 97}, [98, 99, 100]),
        ({"max_bytes": 250 * KIB, "offset": 50}, [51, 52, 53]),
        ({"max_bytes": 100_000 * KIB}, list(range(1, 101))),
        ({}, list(range(1, 101))),
    ],
)
def test_the_server_sends_messages_until_they_have_the_bytes_of_a_page(
    values: dict[str, int], expected: list[int]
) -> None:
    url = migrated_database()
    rows(url, _SESSION)
    rows(url, _MESSAGES)

    def read(tx: Transaction) -> list[int]:
        return tx.fetch_all(
            "list_messages", seq_of, project_id=1, session_id="long", limit=1000, **values
        )

    with closing(PostgresEngine(url, QUERIES)) as engine:
        assert engine.read(read) == expected
