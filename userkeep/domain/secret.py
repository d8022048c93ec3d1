"""The secret of an instance, from which the key of every keyed hash is derived.

With keyed hashes, the database can recognize an id that it must not contain. The secret is never in
the database, and without it a guess cannot be tested against a hash.
"""

import hashlib
import hmac


def derive_key(secret: bytes, purpose: str) -> bytes:
    """Return a 32-byte key for one purpose: HKDF (RFC 5869) with SHA-256, no salt, one block."""
    extracted = hmac.digest(bytes(32), secret, "sha256")
    return hmac.digest(extracted, purpose.encode() + b"\x01", "sha256")


def fingerprint(secret: bytes) -> str:
    """Return the 64 hex digits by which a database recognizes its secret without revealing it."""
    return derive_key(secret, "fingerprint").hex()


class KeyedHash:
    """A hash that only the holder of the secret can compute: BLAKE2b with a key (RFC 7693).

    Call it with any number of texts or bytes; it returns 64 hex digits. Each part is preceded by
    its length, so that ("ab", "c") and ("a", "bc") differ.
    """

    def __init__(self, secret: bytes, purpose: str) -> None:
        self._keyed = hashlib.blake2b(key=derive_key(secret, purpose), digest_size=32)

    def __call__(self, *parts: str | bytes) -> str:
        """Return the hash of the parts."""
        hashed = self._keyed.copy()
        for part in parts:
            encoded = part.encode() if isinstance(part, str) else part
            hashed.update(len(encoded).to_bytes(8) + encoded)
        return hashed.hexdigest()
