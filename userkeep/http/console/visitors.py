"""Who visits the console: a signed cookie in place of a key, for half an hour after the last page.

The cookie has no key. It says with which key its visitor signed in, and a keyed hash of that key's
hash, so that it ends when the key is revoked, expires, or is replaced. Every instance has the key
of the signature, so any server of it can continue a visit.
"""

import hmac
import secrets
from typing import Any

import jwt
import msgspec

from userkeep.domain.errors import Forbidden, Unauthenticated
from userkeep.domain.scope import Rules, Scope
from userkeep.http.authentication import Authenticator
from userkeep.http.requests import Request

COOKIE = "userkeep-console"
IDLE_S = 30 * 60
"""How long a visit lasts after its last page."""

LONGEST_S = 12 * 3600
"""How long it lasts at most."""

_ALGORITHM = "HS256"
_AUDIENCE = "userkeep-console"
_CLAIMS = ("aud", "exp", "iat", "begun", "form")
_OTHER_FORM = (
    "This form is too old, or was not sent from a page of the console. Open its page again, and "
    "send it from there."
)


class Visitor(msgspec.Struct, frozen=True):
    """A visitor whose request is admitted.

    Attributes:
        scope: what the visitor may do.
        form_token: what every form of the visit sends along, so that no other site can send one.
        begun_at_s: when the visit began.
        key_id, proof: the key of the visit; both None on an open server.
    """

    scope: Scope
    form_token: str
    begun_at_s: int
    key_id: str | None = None
    proof: str | None = None

    def check_form(self, token: str) -> None:
        """Check the token of a form.

        Raises:
            Forbidden: it is not that of this visit.
        """
        if not secrets.compare_digest(token.encode(), self.form_token.encode()):
            raise Forbidden(_OTHER_FORM)


class Visitors:
    """Admits visitors, and writes their cookies."""

    def __init__(self, authenticator: Authenticator, rules: Rules) -> None:
        self._authenticator = authenticator
        self._key = rules.token_key
        # Cookies do not know ports: two servers of one machine would end each other's visits.
        instance = hmac.digest(self._key, COOKIE.encode(), "sha256").hex()[:8]
        self._cookie_name = f"{COOKIE}-{instance}"

    @property
    def is_open(self) -> bool:
        """Whether visitors need no key."""
        return self._authenticator.is_open

    async def sign_in(self, request: Request, key: str, now_s: int) -> Visitor:
        """Admit a visitor by a key.

        Raises:
            Unauthenticated: it is not valid. RateLimited: too many were not.
            Forbidden: it is bound to a user.
        """
        credential = key.strip().encode()
        scope = await self._authenticator.admit(request, credential)
        if scope.is_bound:
            raise Forbidden("This key is bound to a user. The console needs a key of the app.")
        proof = self._authenticator.proof_of(credential)
        claims = self._claims(request, now_s)
        # Forms in other tabs, of a visit with the same key, stay valid.
        is_same = claims is not None and claims.get("proof") == proof
        token = claims["form"] if claims and is_same else secrets.token_urlsafe(24)
        return Visitor(scope, token, now_s, scope.key_id, proof)

    async def find(self, request: Request, now_s: int) -> Visitor | None:
        """Return the visitor of a request; None if it has none, who must sign in first."""
        claims = self._claims(request, now_s)
        if self.is_open:
            scope = await self._authenticator.authenticate(request)
            token = claims["form"] if claims else secrets.token_urlsafe(24)
            return Visitor(scope, token, claims["begun"] if claims else now_s)
        if claims is None or not isinstance(claims.get("key_id"), str):
            return None
        key_id, proof = claims["key_id"], claims["proof"]
        try:
            scope = await self._authenticator.admit_again(key_id, proof)
        except Unauthenticated:
            return None
        return Visitor(scope, claims["form"], claims["begun"], key_id, proof)

    def cookie_of(self, visitor: Visitor, request: Request, now_s: int) -> str:
        """Return the Set-Cookie header that continues a visit."""
        claims: dict[str, Any] = {
            "aud": _AUDIENCE,
            "iat": now_s,
            "exp": min(now_s + IDLE_S, visitor.begun_at_s + LONGEST_S),
            "begun": visitor.begun_at_s,
            "form": visitor.form_token,
        }
        if visitor.key_id is not None:
            claims |= {"key_id": visitor.key_id, "proof": visitor.proof}
        return self._cookie(jwt.encode(claims, self._key, _ALGORITHM), IDLE_S, request)

    def ended_cookie(self, request: Request) -> str:
        """Return the Set-Cookie header that ends a visit."""
        return self._cookie("", 0, request)

    def _claims(self, request: Request, now_s: int) -> dict[str, Any] | None:
        text = self._cookie_of(request)
        if not text:
            return None
        try:
            claims: dict[str, Any] = jwt.decode(
                text,
                self._key,
                [_ALGORITHM],
                audience=_AUDIENCE,
                options={"require": [*_CLAIMS], "verify_iat": False},
            )
        except jwt.InvalidTokenError:
            return None
        return claims if now_s < claims["begun"] + LONGEST_S else None

    def _cookie_of(self, request: Request) -> str:
        for pair in (request.header(b"cookie") or "").split(";"):
            name, _, value = pair.strip().partition("=")
            if name == self._cookie_name:
                return value
        return ""

    def _cookie(self, value: str, lifetime_s: int, request: Request) -> str:
        # A reverse proxy ends TLS where it says so; see http.proxies.
        secure = "; Secure" if request.scheme == "https" else ""
        place = f"Path={request.root_path}/console; Max-Age={lifetime_s}"
        return f"{self._cookie_name}={value}; {place}; HttpOnly; SameSite=Strict{secure}"
