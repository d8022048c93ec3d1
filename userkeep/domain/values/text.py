"""Check texts, so that both engines store them and return them unchanged."""

import codecs

from userkeep.domain.errors import InvalidField

MAX_NAME_LENGTH = 512
"""In characters, of a name, an e-mail address or a role."""

MAX_CONTENT_BYTES = 1024 * 1024
"""In bytes of UTF-8, of a message's content, and of its data."""

STORE_ELSEWHERE = (
    "Store large images and files elsewhere, such as in object storage, and send their URLs."
)
"""What to do about data that is too large."""


def utf8_bytes(text: str | None) -> int:
    """Return how many bytes a text has in UTF-8."""
    if text is None:
        return 0
    return len(text) if text.isascii() else len(text.encode())


def check_characters(value: str, field: str) -> str:
    """Reject NUL characters, which PostgreSQL cannot store, and half surrogate pairs.

    Raises:
        InvalidField: naming `field`.
    """
    if "\0" in value:
        raise InvalidField(f"{field} contains a NUL character, which cannot be stored.", field)
    return check_is_utf8(value, field)


def check_is_utf8(value: str, field: str) -> str:
    """Reject half surrogate pairs, which UTF-8 cannot encode.

    Raises:
        InvalidField: naming `field`.
    """
    if value.isascii():
        return value
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InvalidField(
            f"{field} contains half a surrogate pair, which is not a character.", field
        ) from error
    return value


def check_name(value: str | None, field: str) -> str | None:
    """Check a name, an e-mail address or a role: up to 512 characters, without NUL.

    Raises:
        InvalidField: naming `field`.
    """
    if value is None:
        return None
    if len(value) > MAX_NAME_LENGTH:
        raise InvalidField(f"{field} is longer than {MAX_NAME_LENGTH} characters.", field)
    return check_characters(value, field)


def check_content(value: str, field: str) -> str:
    """Check the text of a message: up to 1 MiB in UTF-8.

    Raises:
        InvalidField: naming `field`.
    """
    check_characters(value, field)
    may_be_too_long = len(value) * 4 > MAX_CONTENT_BYTES
    if may_be_too_long and len(value.encode()) > MAX_CONTENT_BYTES:
        raise InvalidField(f"{field} is larger than 1 MiB.", field)
    return value


_UTF_8_MARK = codecs.BOM_UTF8
_OTHER_MARKS = (
    ("UTF-32", (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)),  # before UTF-16, which begins alike
    ("UTF-16", (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)),
)


def other_encoding(content: bytes) -> str | None:
    """Return `UTF-16` or `UTF-32` if a text begins with the byte order mark of it, or None."""
    return next((name for name, marks in _OTHER_MARKS if content.startswith(marks)), None)


def has_mark(content: bytes) -> bool:
    """Return whether a UTF-8 text begins with a byte order mark (U+FEFF)."""
    return content.startswith(_UTF_8_MARK)


def without_mark(content: bytes) -> bytes:
    """Return a text from a file without the byte order mark that some editors write before it."""
    return content.removeprefix(_UTF_8_MARK)


def decode_file(content: bytes) -> str:
    """Return the UTF-8 text of a file, without its byte order mark.

    Raises:
        ValueError: with a reason, such as "it is UTF-16, not UTF-8".
    """
    other = other_encoding(content)
    if other is not None:
        raise ValueError(f"it is {other}, not UTF-8; save it as UTF-8")
    try:
        return without_mark(content).decode()
    except UnicodeDecodeError as error:
        raise ValueError("it is not UTF-8 text") from error
