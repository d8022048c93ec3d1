"""Sealed files in the age format, version 1 (C2SP, age-encryption.org/v1).

A file has a header, in which a random key is sealed for its recipient, and the payload: chunks of
64 KiB, each encrypted and authenticated with ChaCha20-Poly1305 under a number of its own, the last
one under a mark of its own. So a file that was altered, cut, extended or put together in another
order is rejected, and a file of any size needs the memory of one chunk. Every age tool opens it.

The recipient is a passphrase, by scrypt, or the public half of an X25519 key. With the latter, who
seals cannot open.
"""

import hashlib
import hmac
import os
from abc import ABC, abstractmethod
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from typing import BinaryIO, NamedTuple

from userkeep.domain.errors import StorageError
from userkeep.jobs.backup import bech32

try:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
except ImportError as error:
    raise StorageError(
        "Sealing a backup needs the package cryptography. Install it with "
        "`pip install 'userkeep[backup]'`."
    ) from error

MAGIC = b"age-encryption.org/v1\n"
"""The first line of a sealed file."""

_CHUNK_BYTES = 64 * 1024
_TAG_BYTES = 16
_KEY_BYTES = 16
_NONCE_BYTES = 16
_LONGEST_LINE = 1024
_MOST_LINES = 100
_BODY_COLUMNS = 64

_PUBLIC_PREFIX = "age"
_PRIVATE_PREFIX = "age-secret-key-"

# OWASP's recommendation for scrypt with r=8 and p=1. It takes 128 MiB of memory for a moment. A
# header is not authenticated before its key is known, so what it can demand is limited.
_SCRYPT_LOG_N = 17
_MOST_SCRYPT_LOG_N = 20

_ALTERED = "It was altered or cut short, or is damaged; nothing of it was used."


class Stanza(NamedTuple):
    """The part of a header in which the key of a file is sealed for one recipient."""

    arguments: tuple[str, ...]
    body: bytes


class Recipient(ABC):
    """For whom a file is sealed."""

    @abstractmethod
    def seal(self, file_key: bytes) -> Stanza:
        """Seal the key of a file."""

    def writer(self, file: BinaryIO) -> "SealingWriter":
        """Return what seals into a file."""
        return SealingWriter(file, self)


class Identity(ABC):
    """What opens a file.

    Attributes:
        mismatch: what is wrong if it does not open a file, as the begin of a sentence.
    """

    mismatch: str

    @abstractmethod
    def open(self, stanza: Stanza) -> bytes | None:
        """Return the key of a file; None if the stanza is not for this identity."""

    def reader(self, file: BinaryIO) -> "OpeningReader":
        """Return what opens a file; see OpeningReader."""
        return OpeningReader(file, self)


class Passphrase(Recipient, Identity):
    """A passphrase, which seals and opens."""

    mismatch = "The passphrase is not the one that this backup was sealed with"

    def __init__(self, text: str) -> None:
        self._text = text.encode()

    def seal(self, file_key: bytes) -> Stanza:
        salt = os.urandom(16)
        body = _encrypt(self._key(salt, _SCRYPT_LOG_N), file_key)
        return Stanza(("scrypt", _base64(salt), str(_SCRYPT_LOG_N)), body)

    def open(self, stanza: Stanza) -> bytes | None:
        if stanza.arguments[0] != "scrypt" or len(stanza.arguments) != 3:
            return None
        salt, log_n = _from_base64(stanza.arguments[1]), stanza.arguments[2]
        is_number = log_n.isascii() and log_n.isdigit()
        if len(salt) != 16 or not is_number or not 1 <= int(log_n[:3]) <= _MOST_SCRYPT_LOG_N:
            return None
        return _decrypt(self._key(salt, int(log_n)), stanza.body)

    def _key(self, salt: bytes, log_n: int) -> bytes:
        salted = b"age-encryption.org/v1/scrypt" + salt
        memory = 128 * 8 * (1 << log_n) + 1024 * 1024
        return hashlib.scrypt(
            self._text, salt=salted, n=1 << log_n, r=8, p=1, maxmem=memory, dklen=32
        )


class PublicKey(Recipient):
    """The public half of a key, which seals and cannot open."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def __str__(self) -> str:
        return bech32.encode(_PUBLIC_PREFIX, self._key)

    def seal(self, file_key: bytes) -> Stanza:
        ephemeral = X25519PrivateKey.generate()
        share = ephemeral.public_key().public_bytes_raw()
        shared = ephemeral.exchange(X25519PublicKey.from_public_bytes(self._key))
        body = _encrypt(_x25519_key(shared, share, self._key), file_key)
        return Stanza(("X25519", _base64(share)), body)


class PrivateKey(Recipient, Identity):
    """A whole key, which seals and opens."""

    mismatch = "The key is not the one that this backup was sealed for"

    def __init__(self, key: bytes) -> None:
        self._key = X25519PrivateKey.from_private_bytes(key)
        self.public = PublicKey(self._key.public_key().public_bytes_raw())

    @classmethod
    def generate(cls) -> "PrivateKey":
        """Return a new key."""
        return cls(X25519PrivateKey.generate().private_bytes_raw())

    @property
    def text(self) -> str:
        """The text form, which is secret."""
        return bech32.encode(_PRIVATE_PREFIX, self._key.private_bytes_raw()).upper()

    def seal(self, file_key: bytes) -> Stanza:
        return self.public.seal(file_key)

    def open(self, stanza: Stanza) -> bytes | None:
        if stanza.arguments[0] != "X25519" or len(stanza.arguments) != 2:
            return None
        share = _from_base64(stanza.arguments[1])
        try:
            shared = self._key.exchange(X25519PublicKey.from_public_bytes(share))
        except ValueError:  # it is no key, or one that no one generates
            return None
        own = self._key.public_key().public_bytes_raw()
        return _decrypt(_x25519_key(shared, share, own), stanza.body)


def parse_key(text: str) -> PrivateKey | PublicKey | None:
    """Return the key in the text of a key file of age; None if there is not exactly one.

    Lines that begin with `#` are comments. A file with a private key seals and opens, one with a
    public key only seals.
    """
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    if len(lines) != 1:
        return None
    private, public = (
        bech32.decode(prefix, lines[0]) for prefix in (_PRIVATE_PREFIX, _PUBLIC_PREFIX)
    )
    if private is not None and len(private) == 32:
        return PrivateKey(private)
    return PublicKey(public) if public is not None and len(public) == 32 else None


class SealingWriter:
    """Seals what is written to it; nothing of it can be opened before `finish`."""

    def __init__(self, file: BinaryIO, recipient: Recipient) -> None:
        self._file = file
        file_key, nonce = os.urandom(_KEY_BYTES), os.urandom(_NONCE_BYTES)
        header = _header_text(recipient.seal(file_key))
        file.write(header + b" " + _base64(_header_mac(file_key, header)).encode() + b"\n" + nonce)
        self._cipher = ChaCha20Poly1305(_hkdf(file_key, nonce, b"payload"))
        self._number = 0
        self._waiting = bytearray()

    def write(self, data: bytes) -> int:
        """Seal the next bytes."""
        self._waiting += data
        # A full chunk waits for the next byte, because the last chunk is marked.
        while len(self._waiting) > _CHUNK_BYTES:
            self._write_chunk(bytes(self._waiting[:_CHUNK_BYTES]), is_last=False)
            del self._waiting[:_CHUNK_BYTES]
        return len(data)

    def finish(self) -> None:
        """Write the end."""
        self._write_chunk(bytes(self._waiting), is_last=True)

    def _write_chunk(self, chunk: bytes, *, is_last: bool) -> None:
        nonce = _chunk_nonce(self._number, is_last=is_last)
        self._file.write(self._cipher.encrypt(nonce, chunk, None))
        self._number += 1


class OpeningReader:
    """Reads a sealed file. What it returns is authentic; that it is whole is known at the end."""

    def __init__(self, file: BinaryIO, identity: Identity) -> None:
        """Read the header.

        Args:
            file: open for reading, at its begin.
            identity: what opens it.

        Raises:
            StorageError: it is not a sealed file, was altered, or is sealed for another identity.
        """
        self._file = file
        stanzas, header, mac = _read_header(file)
        if len(stanzas) > 1 and any(each.arguments[0] == "scrypt" for each in stanzas):
            raise StorageError(_ALTERED)  # the format forbids it: each would cost time and memory
        file_key = next(filter(None, map(identity.open, stanzas)), None)
        if file_key is None:
            raise StorageError(f"{identity.mismatch}, or it was altered or cut short.")
        if not hmac.compare_digest(_header_mac(file_key, header), mac):
            raise StorageError(_ALTERED)
        nonce = file.read(_NONCE_BYTES)
        self._cipher = ChaCha20Poly1305(_hkdf(file_key, nonce, b"payload"))
        self._number = 0
        self._next = file.read(_CHUNK_BYTES + _TAG_BYTES)
        self._opened = b""
        self._is_ended = False

    def read(self, amount: int) -> bytes:
        """Return the next bytes; fewer than `amount` only at the end.

        Raises:
            StorageError: it was altered or cut short.
        """
        parts = []
        while amount > 0 and (self._opened or not self._is_ended):
            if not self._opened:
                self._open_chunk()
            part, self._opened = self._opened[:amount], self._opened[amount:]
            amount -= len(part)
            parts.append(part)
        return b"".join(parts)

    def _open_chunk(self) -> None:
        sealed, self._next = self._next, self._file.read(_CHUNK_BYTES + _TAG_BYTES)
        self._is_ended = not self._next
        nonce = _chunk_nonce(self._number, is_last=self._is_ended)
        try:
            self._opened = self._cipher.decrypt(nonce, sealed, None)
        except InvalidTag as error:
            raise StorageError(_ALTERED) from error
        self._number += 1


def _read_header(file: BinaryIO) -> tuple[list[Stanza], bytes, bytes]:
    """Return the stanzas, the text that is authenticated, and its code."""
    lines = [file.readline(_LONGEST_LINE)]
    while len(lines) < _MOST_LINES and lines[-1].endswith(b"\n") and not _is_mac(lines[-1]):
        lines.append(file.readline(_LONGEST_LINE))
    if lines[0] != MAGIC or not _is_mac(lines[-1]):
        raise StorageError(_ALTERED)
    header = b"".join(lines[:-1]) + b"---"
    mac = _from_base64(lines[-1][4:-1].decode("ascii", "replace"))
    return _parse_stanzas(lines[1:-1]), header, mac


def _is_mac(line: bytes) -> bool:
    return line.startswith(b"--- ") and line.endswith(b"\n")


def _parse_stanzas(lines: list[bytes]) -> list[Stanza]:
    stanzas: list[Stanza] = []
    for line in lines:
        text = line[:-1].decode("ascii", "replace")
        if text.startswith("-> "):
            stanzas.append(Stanza(tuple(text.split(" ")[1:]), b""))
        elif stanzas:
            arguments, body = stanzas[-1]
            stanzas[-1] = Stanza(arguments, body + _from_base64(text))
    return stanzas


def _header_text(stanza: Stanza) -> bytes:
    body = _base64(stanza.body)
    lines = [body[at : at + _BODY_COLUMNS] for at in range(0, len(body) + 1, _BODY_COLUMNS)]
    return MAGIC + "\n".join((f"-> {' '.join(stanza.arguments)}", *lines, "---")).encode()


def _header_mac(file_key: bytes, header: bytes) -> bytes:
    return hmac.digest(_hkdf(file_key, b"", b"header"), header, "sha256")


def _x25519_key(shared: bytes, share: bytes, recipient: bytes) -> bytes:
    return _hkdf(shared, share + recipient, b"age-encryption.org/v1/X25519")


def _hkdf(key: bytes, salt: bytes, purpose: bytes) -> bytes:
    """Return 32 bytes: HKDF (RFC 5869) with SHA-256, one block."""
    return hmac.digest(hmac.digest(salt or bytes(32), key, "sha256"), purpose + b"\x01", "sha256")


def _chunk_nonce(number: int, *, is_last: bool) -> bytes:
    return number.to_bytes(11) + (b"\x01" if is_last else b"\x00")


def _encrypt(key: bytes, file_key: bytes) -> bytes:
    return ChaCha20Poly1305(key).encrypt(bytes(12), file_key, None)


def _decrypt(key: bytes, body: bytes) -> bytes | None:
    if len(body) != _KEY_BYTES + _TAG_BYTES:
        return None
    try:
        return ChaCha20Poly1305(key).decrypt(bytes(12), body, None)
    except InvalidTag:
        return None


def _base64(data: bytes) -> str:
    return b64encode(data).decode().rstrip("=")


def _from_base64(text: str) -> bytes:
    """Return the bytes; none if it is not base64 without padding, in its one canonical form."""
    try:
        data = b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (Base64Error, ValueError):
        return b""
    return data if _base64(data) == text else b""
