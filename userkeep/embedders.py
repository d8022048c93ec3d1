"""The wiring of embeddings: what makes them, as the settings say."""

from importlib.util import find_spec

from userkeep.config import SettingError, Settings
from userkeep.domain.embedding import Embedder
from userkeep.key_files import read_key_file


def open_embedder(settings: Settings) -> Embedder | None:
    """Return what makes embeddings; None if nothing is set. It is asked nothing yet.

    Raises:
        SettingError: a setting or a file of it is wrong, or a package is missing.
    """
    if settings.embeddings_url:
        _check_is_installed("USERKEEP_EMBEDDINGS_URL", "embeddings", "numpy")
        return _open_endpoint(settings)
    return None


def _check_is_installed(variable: str, extra: str, *packages: str) -> None:
    missing = [each for each in packages if find_spec(each) is None]
    if missing:
        raise SettingError(
            f"{variable} is set, but {' and '.join(missing)} is not installed. Install Userkeep "
            f"with the extra `{extra}` (`pip install '.[{extra}]'` in a checkout), or unset it."
        )


def _open_endpoint(settings: Settings) -> Embedder:
    # Imported only if it is used: numpy is an extra, and both cost memory and time.
    from userkeep.embeddings.endpoint import EndpointEmbedder, EndpointOptions, check_url

    key = settings.embeddings_key or read_key_file(settings.embeddings_key_file)
    options = EndpointOptions(
        url=settings.embeddings_url,
        model=settings.embeddings_model,
        key=key,
        dimensions=settings.embeddings_dimensions,
        query_prefix=settings.embeddings_query_prefix,
        message_prefix=settings.embeddings_message_prefix,
        batch_size=settings.embeddings_batch_size,
        daily_budget=settings.embeddings_daily_budget,
        timeout_s=settings.embeddings_timeout_seconds,
    )
    try:
        check_url(options.url)
    except ValueError as error:
        raise SettingError(f"USERKEEP_EMBEDDINGS_URL {error}") from error
    try:
        return EndpointEmbedder(options)
    except ValueError as error:
        raise SettingError(str(error)) from error
