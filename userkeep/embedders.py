"""The wiring of embeddings: what makes them, as the settings say."""

import logging
from contextlib import closing
from dataclasses import fields, replace
from functools import partial
from importlib.util import find_spec
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

import msgspec

from userkeep.config import SettingError, Settings
from userkeep.domain.embedding import Embedder, EmbeddingFailed, RecordedModel
from userkeep.domain.search.meaning import Meaning
from userkeep.key_files import read_key_file
from userkeep.storage.checks import Finding

logger = logging.getLogger(__name__)

_OF_A_SOURCE = (
    "embeddings_url",
    "embeddings_model",
    "embeddings_folder",
    "embeddings_dimensions",
    "embeddings_query_prefix",
    "embeddings_message_prefix",
)
_NOTHING_SET: dict[str, Any] = {
    each.name: each.default for each in fields(Settings) if each.name in _OF_A_SOURCE
}

_CHECK_S = 60.0
"""A model is loaded first."""


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


def source_of(settings: Settings) -> str | None:
    """Return, as JSON, the settings that another process needs to open the same embedder.

    They are recorded with the model, so that it can embed queries while another replaces it. The
    key is not among them. None if no model is set.
    """
    given = {name: getattr(settings, name) for name in _OF_A_SOURCE}
    is_set = settings.embeddings_url or settings.embeddings_folder
    return msgspec.json.encode({k: v for k, v in given.items() if v}).decode() if is_set else None


def open_former(source: str, settings: Settings) -> Embedder | None:
    """Return the embedder of a model that is being replaced; None if it cannot be opened any more.

    Its vectors are not compared with those of another: check the fingerprint of its model.

    Args:
        source: see `source_of`.
        settings: those of now. Their key is used if their URL has the same scheme, host and port,
            and goes to no other.
    """
    try:
        recorded = msgspec.json.decode(source, type=dict[str, str | int])
        former = replace(settings, **(_NOTHING_SET | _known(recorded)))
        if _origin(former.embeddings_url) != _origin(settings.embeddings_url):
            former = replace(former, embeddings_key="", embeddings_key_file="")
        return open_embedder(former)
    except (SettingError, msgspec.DecodeError) as error:
        logger.warning("the former embedding model cannot be used any more: %s", error)
        return None


def _known(recorded: dict[str, str | int]) -> dict[str, Any]:
    return {name: value for name, value in recorded.items() if name in _OF_A_SOURCE}


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc


def describe_embedder(embedder: Embedder, settings: Settings) -> str:
    """Return the name of the model and where it is."""
    place = settings.embeddings_url or settings.embeddings_folder
    return f"{embedder.model.name} {'in' if embedder.is_local else 'at'} {place}"


def check_embedder(settings: Settings, *, is_asked: bool) -> list[Finding]:
    """Return what the doctor finds out about embeddings: nothing if none are set.

    Args:
        is_asked: whether to have the embedding of the word hello made.
    """
    try:
        embedder = open_embedder(settings)
    except SettingError as error:
        return [Finding("embeddings", False, str(error))]
    if embedder is None:
        return []
    with closing(embedder):
        named = describe_embedder(embedder, settings)
        answer, is_well = _answer_of(embedder) if is_asked else ("", True)
        return [Finding("embeddings", is_well, f"{named}{answer}", _advice(settings))]


def _answer_of(embedder: Embedder) -> tuple[str, bool]:
    began = monotonic()
    try:
        embedder.embed_query("hello", _CHECK_S)
    except EmbeddingFailed as error:
        return f": {error.detail}", False
    milliseconds = (monotonic() - began) * 1000
    return f": {embedder.model.dimensions} dimensions, answered in {milliseconds:.0f} ms", True


def _advice(settings: Settings) -> str:
    if not settings.embeddings_url:
        return ""
    from userkeep.embeddings.endpoint import exposure_of

    return exposure_of(settings.embeddings_url)


def open_meaning(settings: Settings, embedder: Embedder | None) -> Meaning | None:
    """Return what searches by meaning need; None if there is no embedding model."""
    if embedder is None:
        return None
    from userkeep.embeddings.queries import QueryEmbeddings

    open_recorded = partial(_open_recorded, settings=settings)
    return QueryEmbeddings(embedder, settings.embeddings_query_timeout_ms / 1000, open_recorded)


def _open_recorded(model: RecordedModel, settings: Settings) -> Embedder | None:
    """Return the embedder of a model that is being replaced; None: it cannot be asked."""
    former = open_former(model.source, settings) if model.source else None
    if former is not None and former.model.fingerprint != model.fingerprint:
        former.close()
        return None
    return former


def _check_is_installed(variable: str, extra: str, *packages: str) -> None:
    missing = ", ".join(each for each in packages if find_spec(each) is None)
    if missing:
        raise SettingError(
            f"{variable} is set, but what it needs is not installed: {missing}. Install Userkeep "
            f"with the extra `{extra}` (`pip install '.[{extra}]'` in a checkout), or unset it."
        )


def _open_endpoint(settings: Settings) -> Embedder:
    # Imported only if it is used: numpy is an extra, and both cost memory and time.
    from userkeep.embeddings.endpoint import EndpointEmbedder, EndpointOptions, check_url

    key = settings.embeddings_key or read_key_file(settings.embeddings_key_file)
    if not (key.isascii() and key.isprintable()):
        raise SettingError(
            "USERKEEP_EMBEDDINGS_KEY must be visible ASCII characters: it is sent in a header."
        )
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
