"""Which tests a worker of pytest-xdist runs one after the other, and which groups start first.

Its own `--dist loadgroup` has no effect with pytest 9.2: it writes the group of a test to an
attribute that pytest does not read any more. So a group is derived from the name of the test.
"""

import re
from typing import Any

from xdist.scheduler import LoadScopeScheduling

from tests import matrix

_WAY = re.compile(rf"\[({'|'.join(map(str, matrix.ALL))})[-\]]")
_HISTORIES = "tests/residue/test_residue.py::test_deleted_users_leave_no_residue_on_sqlite"

_FIRST = (
    # These read or rewrite the whole database that the tests of a way share: while it is small.
    "tests/conformance/test_verification.py",
    "tests/conformance/test_purges.py",
    "tests/conformance/",
    "tests/fuzz/test_malicious_requests.py",
    "tests/docs/test_examples.py",
    "tests/long/",
    "tests/storage/postgres/",
    "tests/cli/",
    "tests/compat/",
    "tests/http/",
    "tests/fuzz/",
    "tests/docs/",
    "tests/residue/test_every_step_is_needed.py",
)


def group_of(nodeid: str) -> str:
    """Return the group of a test: its way, else its file; a random history is one by itself."""
    if nodeid.startswith(_HISTORIES):
        return nodeid
    way = _WAY.search(nodeid)
    return way[1] if way else nodeid.partition("::")[0]


def rank_of(nodeid: str) -> int:
    """Return when a test runs: long groups first, and last what can fill the end."""
    if nodeid.startswith(_HISTORIES):
        return len(_FIRST) + 1
    ranks = (rank for rank, folder in enumerate(_FIRST) if nodeid.startswith(folder))
    return next(ranks, len(_FIRST))


class GroupScheduling(LoadScopeScheduling):  # type: ignore[misc]  # no types
    """Gives a group to one worker, so that its tests share servers; groups keep their order."""

    def __init__(self, config: Any, log: Any) -> None:
        config.option.loadscopereorder = False
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)
