"""Files with API keys."""

from userkeep.config import SettingError
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
        key = read_private(path, _LARGEST_KEY_BYTES).decode("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not ASCII text"
        raise SettingError(f"The file {path} of the API key cannot be read: {reason}.") from error
    if not key:
        raise SettingError(f"The file {path} of the API key is empty.")
    return key
