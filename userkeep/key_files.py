"""Files with API keys."""

from userkeep.config import SettingError
from userkeep.domain.values.text import decode_file
from userkeep.storage.private_files import read_private

_LARGEST_KEY_BYTES = 64 * 1024


def read_key_file(path: str) -> str:
    """Return the API key in a file; nothing if no file is named.

    Raises:
        SettingError: the file cannot be read, or is empty.
    """
    if not path:
        return ""
    try:
        key = decode_file(read_private(path, _LARGEST_KEY_BYTES)).strip()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise SettingError(f"The file {path} of the API key cannot be read: {reason}.") from error
    if not key.isascii():
        raise SettingError(f"The file {path} of the API key cannot be read: it is not ASCII text.")
    if not key:
        raise SettingError(f"The file {path} of the API key is empty.")
    return key
