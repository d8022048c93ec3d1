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
    if settings.embeddings_folder:
        packages = ("numpy", "onnxruntime", "tokenizers")
        _check_is_installed("USERKEEP_EMBEDDINGS_FOLDER", "local", *packages)
        return _open_folder(settings)
    return None


def _check_is_installed(variable: str, extra: str, *packages: str) -> None:
    missing = ", ".join(each for each in packages if find_spec(each) is None)
    if missing:
        raise SettingError(
            f"{variable} is set, but not installed: {missing}. Install Userkeep "
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


def _open_folder(settings: Settings) -> Embedder:
    from userkeep.embeddings.local import LocalEmbedder
    from userkeep.embeddings.model_folder import read_model_folder

    try:
        folder = read_model_folder(
            settings.embeddings_folder,
            settings.embeddings_query_prefix,
            settings.embeddings_message_prefix,
        )
    except ValueError as error:
        raise SettingError(f"USERKEEP_EMBEDDINGS_FOLDER: {error}") from error
    return LocalEmbedder(
        folder,
        batch_size=settings.embeddings_batch_size,
        threads=settings.embeddings_threads,
        timeout_s=settings.embeddings_timeout_seconds,
    )
