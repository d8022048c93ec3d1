"""The table of native operations: all that the native API can do."""

from userkeep.api import (
    collections,
    documents,
    erasures,
    imports,
    keys,
    memory,
    messages,
    projects,
    search,
    sessions,
    users,
)
from userkeep.api.operation import APIOperation

OPERATIONS: tuple[APIOperation, ...] = (
    *users.OPERATIONS,
    *sessions.OPERATIONS,
    *messages.OPERATIONS,
    *search.OPERATIONS,
    *memory.OPERATIONS,
    *collections.OPERATIONS,
    *documents.OPERATIONS,
    *erasures.OPERATIONS,
    *imports.OPERATIONS,
    *keys.OPERATIONS,
    *projects.OPERATIONS,
)
