"""User tokens as text: JSON Web Tokens (RFC 7519) with HMAC-SHA256 (`HS256`).

Their key is derived from the instance's secret, so that every server of the instance accepts them
without a trip to the database. Apart from domain.user_token, because the library takes 40 ms to
import, and an app that only uses the SDK does not need it.
"""

import jwt

from userkeep.domain.user_token import UserToken
from userkeep.domain.values.times import SECOND, Instant

_ALGORITHM = "HS256"
_AUDIENCE = "userkeep"
_RECOMMENDED_KEY_BYTES = 32
_REQUIRED = ("aud", "exp", "sub", "user_uuid", "project_id", "scope", "key_id")


def sign(token: UserToken, key: bytes, now: Instant) -> str:
    """Return the text of a token."""
    claims = {
        "aud": _AUDIENCE,
        "sub": token.user_id,
        "iat": now // SECOND,
        "exp": token.expires_at // SECOND,
        "user_uuid": token.user_uuid,
        "project_id": token.project_id,
        "scope": token.scope,
        "key_id": token.key_id,
    }
    return jwt.encode(claims, key, _ALGORITHM)


def read_token(text: bytes, key: bytes) -> UserToken | None:
    """Return what a token says; None if it is not one of this instance, or has expired."""
    try:
        claims = jwt.decode(
            text,
            key,
            [_ALGORITHM],
            audience=_AUDIENCE,
            # The clock of the server that signed it may be ahead of this one's.
            options={"require": [*_REQUIRED], "verify_iat": False},
        )
    except jwt.InvalidTokenError:
        return None
    return UserToken(
        user_id=claims["sub"],
        user_uuid=claims["user_uuid"],
        project_id=claims["project_id"],
        scope=claims["scope"],
        key_id=claims["key_id"],
        expires_at=Instant(claims["exp"] * SECOND),
    )


def is_signed(text: bytes, secret: bytes) -> bool:
    """Return whether a text is a token that was signed with a secret, and is valid now.

    Zep's tokens need no claim; `exp`, `nbf` and `iat` count if they are there.
    """
    # HMAC pads a short key with zeros itself (RFC 2104); padded here, the library accepts it.
    key = secret.ljust(_RECOMMENDED_KEY_BYTES, b"\0")
    try:
        jwt.decode(text, key, [_ALGORITHM], options={"verify_aud": False, "verify_sub": False})
    except jwt.InvalidTokenError:
        return False
    return True


def is_token(text: bytes) -> bool:
    """Return whether a text has the form of a token: three parts, between dots."""
    return text.count(b".") == 2
