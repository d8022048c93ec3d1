"""Check texts, so that both engines store them and return them unchanged."""

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
