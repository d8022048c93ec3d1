"""A client with the API of zep-python 1.x: programs for it change only their imports.

```python
from userkeep.zep import ZepClient                     # was: from zep_python import ZepClient
from userkeep.zep.user import CreateUserRequest        # was: from zep_python.user import …

client = ZepClient(api_key="…")                         # http://127.0.0.1:8000 by default
client.user.add(CreateUserRequest(user_id="jane"))
```

It uses the compatibility API `/api/v1`. Use `userkeep.Userkeep` for new code: it has more features.
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
