"""User tokens: signed statements that their bearer is a user, for a short time.

Their text is in domain.json_web_tokens.
"""

from typing import Literal

import msgspec

from userkeep.domain.values.times import Instant

DEFAULT_LIFETIME_S = 15 * 60
MAX_LIFETIME_S = 24 * 3600

TokenScope = Literal["read", "write"]


class UserToken(msgspec.Struct, frozen=True):
    """What a token says.

    Attributes:
        user_id: the user: the claim `sub`.
        user_uuid: distinguishes the user from another one with the same id after a deletion.
        project_id: the user's project.
        scope: what the token permits.
        key_id: the key that made it, with which it ends.
        expires_at: in whole seconds: the claim `exp`.
    """

    user_id: str
    user_uuid: str
    project_id: int
    scope: TokenScope
    key_id: str
    expires_at: Instant
