"""The other nodes of a cluster of Citus, which have rows in files of their own.

Statements reach the rows of all nodes. What a purge, a verification or a check reads of files, of
the write-ahead log and of settings is that of the node which the connection leads to.
"""

from typing import Any

import psycopg

_HAS_NODES = "SELECT to_regclass('pg_dist_node') IS NOT NULL"
_OTHER_NODES = """
SELECT count(*) FROM pg_dist_node WHERE groupid <> (SELECT groupid FROM pg_dist_local_group)
"""


def other_nodes(connection: psycopg.Connection[Any]) -> str | None:
    """Return how many other nodes the cluster of a connection has, in words; None without any."""
    [(has_nodes,)] = connection.execute(_HAS_NODES)
    if not has_nodes:
        return None
    [(count,)] = connection.execute(_OTHER_NODES)
    if not count:
        return None
    return f"{count} other nodes of the cluster" if count > 1 else "1 other node of the cluster"
