"""Zep's old names over a Userkeep server: code for zep-python 1.x changes only its imports.

```python
from userkeep.zep import ZepClient                     # was: from zep_python import ZepClient
from userkeep.zep.user import CreateUserRequest        # was: from zep_python.user import …

client = ZepClient(api_key="…")                         # http://127.0.0.1:8000 by default
client.user.add(CreateUserRequest(user_id="jane"))
```

It speaks `/api/v1`. For new code `userkeep.Userkeep` has more to offer.
"""

from userkeep.zep.exceptions import APIError, AuthError, NotFoundError, ZepClientError
from userkeep.zep.memory.models import (
    Memory,
    MemorySearchPayload,
    MemorySearchResult,
    Session,
    Summary,
)
from userkeep.zep.message.models import Message
from userkeep.zep.zep_client import ZepClient

__all__ = [
    "APIError",
    "AuthError",
    "Memory",
    "MemorySearchPayload",
    "MemorySearchResult",
    "Message",
    "NotFoundError",
    "Session",
    "Summary",
    "ZepClient",
    "ZepClientError",
]
