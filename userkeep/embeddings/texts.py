"""Texts as a model gets them."""

from userkeep.domain.embedding import LONGEST_EMBEDDED_TEXT


def prepare(prefix: str, text: str) -> str:
    """Return the beginning of a text after a prefix, with nothing that UTF-8 cannot have."""
    given = f"{prefix}{text[:LONGEST_EMBEDDED_TEXT]}"
    return given.encode("utf-8", "replace").decode()
