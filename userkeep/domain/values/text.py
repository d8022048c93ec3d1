"""What a text must be to be kept on every engine and sent back unchanged."""

from userkeep.domain.errors import InvalidField

MAX_NAME_LENGTH = 512
"""Characters in a name, an e-mail address, a role."""

MAX_CONTENT_BYTES = 1024 * 1024
"""UTF-8 bytes in a message's content, and in its data."""


def check_characters(value: str, field: str) -> str:
    """Refuse what PostgreSQL or UTF-8 cannot hold: NUL, and half a surrogate pair.

    Raises:
        InvalidField: naming `field`.
    """
    if "\0" in value:
        raise InvalidField(f"{field} has a NUL character in it, which cannot be stored.", field)
    return check_is_utf8(value, field)


def check_is_utf8(value: str, field: str) -> str:
    """Refuse half a surrogate pair, which no JSON and no URL can carry.

    Raises:
        InvalidField: naming `field`.
    """
    if value.isascii():
        return value
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InvalidField(
            f"{field} has half a surrogate pair in it, which is no character.", field
        ) from error
    return value


def check_name(value: str | None, field: str) -> str | None:
    """A name, an e-mail address or a role: up to 512 characters of any kind but NUL.

    Raises:
        InvalidField: naming `field`.
    """
    if value is None:
        return None
    if len(value) > MAX_NAME_LENGTH:
        raise InvalidField(f"{field} is longer than {MAX_NAME_LENGTH} characters.", field)
    return check_characters(value, field)


def check_content(value: str, field: str) -> str:
    """The text of a message: up to 1 MiB in UTF-8.

    Raises:
        InvalidField: naming `field`.
    """
    check_characters(value, field)
    may_be_too_long = len(value) * 4 > MAX_CONTENT_BYTES
    if may_be_too_long and len(value.encode()) > MAX_CONTENT_BYTES:
        raise InvalidField(f"{field} is larger than 1 MiB.", field)
    return value
