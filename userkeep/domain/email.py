"""E-mail addresses are compared without case, without blanks around, and in one form of accents."""

import unicodedata
from hashlib import sha256

FOLDING_VERSION = "1"
"""Of the rules below. When it changes, the folded addresses of all users are made again."""

MAX_FOLDED_BYTES = 2_048
"""As many as 512 characters can have. PostgreSQL's index takes little more."""

_MAX_CHARACTERS = 2_048
"""No form of an address of 512 characters has more. Normalization sorts marks in quadratic time."""

_DOTLESS = "\N{LATIN SMALL LETTER DOTLESS I}"
_DOT_ABOVE = "\N{COMBINING DOT ABOVE}"


def fold_email(email: str | None) -> str | None:
    """Return an address in the form in which addresses are compared.

    Accents match whether they are composed or not (Unicode's canonical caseless matching). Turkish
    has a dotted and a dotless i, with capitals of their own: all four are the same letter here,
    because a text does not show its language.
    """
    if email is None:
        return None
    text = email.strip()
    if text.isascii():
        return text.lower()
    if len(text) > _MAX_CHARACTERS:
        return _digest(text)
    folded = unicodedata.normalize("NFD", unicodedata.normalize("NFD", text).casefold())
    folded = folded.replace(f"i{_DOT_ABOVE}", "i").replace(_DOTLESS, "i")
    folded = unicodedata.normalize("NFC", folded)
    return folded if len(_encode(folded)) <= MAX_FOLDED_BYTES else _digest(folded)


def _digest(text: str) -> str:
    return sha256(_encode(text)).hexdigest()


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")  # half a pair is in no stored address
