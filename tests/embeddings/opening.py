"""Opening what makes embeddings, by settings as an operator writes them."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from userkeep.config import load_settings
from userkeep.domain.embedding import Embedder
from userkeep.embedders import open_embedder
from userkeep.embeddings.local import LocalEmbedder


@contextmanager
def opened(**settings: Any) -> Iterator[Embedder]:
    """The embedder of an instance with the settings; `url` is USERKEEP_EMBEDDINGS_URL."""
    named = {f"USERKEEP_EMBEDDINGS_{name.upper()}": str(each) for name, each in settings.items()}
    embedder = open_embedder(load_settings(environment=named))
    assert embedder is not None
    with closing(embedder):
        yield embedder


@contextmanager
def opened_folder(folder: str | Path, **settings: Any) -> Iterator[LocalEmbedder]:
    """The embedder of the model in a folder."""
    with opened(folder=folder, **settings) as embedder:
        assert isinstance(embedder, LocalEmbedder)
        yield embedder
