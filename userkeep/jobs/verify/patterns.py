"""What a text looks like in a file: the bytes to look for, each with the name of its encoding.

A text may have been written as it is, by a program that escapes JSON, by an index that keeps folded
words, in hex or in base64. Each encoding is a sequence of bytes that is found wherever it stands.

Not found are:

- a text that is cut in two, by the end of a page or of a row's part: of a long text give several
  pieces as search terms, each of which is short against a page;
- what is compressed or encrypted: PostgreSQL compresses values of more than 2 KB or so;
- words of less than six bytes, base64 with line ends in it, and the first letters of a word alone,
  as the list of pages of an FTS5 index has them.

Words are looked for as entries of an index, with the numbers that say where each begins and ends:
`exampl`, of an address, is not found in whatever file speaks of an example.
"""

import base64
import re
import struct
import unicodedata
from array import array
from collections.abc import Iterable, Iterator, Sequence, Set
from enum import StrEnum
from math import sqrt
from operator import mul
from typing import Literal, NamedTuple

from userkeep.domain.embedding import Vector, quantize
from userkeep.domain.errors import InvalidField
from userkeep.domain.search.analyzer import Analyzer, fold
from userkeep.domain.search_terms import MIN_DIFFERENT_BYTES, MIN_SEARCH_TERM_BYTES
from userkeep.domain.vectors.encoding import SCALE_BYTES, encode_embedding, quantize_embedding

Index = Literal["fts5", "gin", "tsvector"]
"""How an engine stores words: SQLite in pages of FTS5; PostgreSQL as the keys of a GIN index, and
in the rows in values of type tsvector, side by side without a separator (so a word is found there
wherever its letters are: only useful for a distinctive word)."""

MIN_TAIL_BYTES = 6
"""The least that is looked for of a word whose beginning is left out.

FTS5 writes how many bytes a word shares with the one before, how many follow, and those. With the
two numbers, a tail is that of a word of the same length which was cut at the same place: chance is
far less than for six bytes that stand alone. For tails of four letters it would still be too great,
because many words of a language end alike (`-tion`, `-sson`) and lengths agree often. So a word
that shares all but five letters with the one before it goes unnoticed there; in another page, where
it has another neighbour, or in its row, it does not.
"""


VECTOR_PIECE_BYTES = 24
"""So much of an embedding is looked for in one piece: no two texts have the same by chance."""


class Encoding(StrEnum):
    """How a text is encoded where it is found."""

    UTF8 = "utf-8"
    OTHER_CASE = "utf-8, in another case"
    UTF16_LE = "utf-16, low byte first"
    UTF16_BE = "utf-16, high byte first"
    JSON = "json, escaped"
    BASE64 = "base64"
    HEX = "hex"
    UUID = "uuid"
    UUID_BYTES = "uuid, in 16 bytes"
    WORD = "word of the index"
    TAIL = "end of a word of the index"
    VECTOR = "embedding"


IN_ROWS = frozenset(
    {
        Encoding.UTF8,
        Encoding.OTHER_CASE,
        Encoding.JSON,
        Encoding.BASE64,
        Encoding.HEX,
        Encoding.UUID,
    }
)
"""The encodings in which a text can stand in a text."""


class Pattern(NamedTuple):
    """Bytes to look for.

    Attributes:
        data: at least six.
        search_term: the index of the search term that they stand for.
        encoding: how it is encoded.
    """

    data: bytes
    search_term: int
    encoding: Encoding


def patterns_of(search_terms: Sequence[str]) -> list[Pattern]:
    """The patterns of some texts, without those of their words.

    Each sequence of bytes is there once for a search term, under the first encoding that has it.
    """
    return [
        Pattern(data, number, encoding)
        for number, search_term in enumerate(search_terms)
        for data, encoding in _once(_encodings(search_term))
    ]


def vector_patterns_of(vectors: Sequence[Vector | None]) -> list[Pattern]:
    """The patterns of the embeddings of texts: pieces, because a page may end within one.

    Args:
        vectors: of each search term, in their order, as the model makes them; None: it has none.
    """
    return [
        Pattern(data, number, Encoding.VECTOR)
        for number, vector in enumerate(vectors)
        if vector is not None
        for data, _ in _once((each, Encoding.VECTOR) for each in _pieces_as_stored(vector))
    ]


def _pieces_as_stored(vector: Vector) -> Iterator[bytes]:
    """Iterate over the pieces of an embedding as it is stored of a message, and of a document.

    A document's is stored with all digits and rounded, and an HNSW index has the latter as half
    floats of unit length. A model may compute the last digits otherwise for several texts at once,
    so what is rounded is found in more cases.
    """
    yield from _pieces(quantize(vector).data)
    try:
        embedding = encode_embedding(list(vector), "embedding")
    except InvalidField:
        return  # of no direction: no document is stored with it
    rounded = quantize_embedding(embedding)[SCALE_BYTES:]
    yield from _pieces(rounded)
    yield from _pieces(_as_indexed(rounded))
    yield from _pieces(embedding)


def _as_indexed(rounded: bytes) -> bytes:
    values = array("b", rounded)
    length = sqrt(sum(map(mul, values, values)))
    quotients = array("f", [value / length for value in values])  # pgvector divides so
    return struct.pack(f"<{len(quotients)}e", *quotients)


def _pieces(data: bytes) -> Iterator[bytes]:
    for first in range(0, max(len(data) - VECTOR_PIECE_BYTES, 0) + 1, VECTOR_PIECE_BYTES):
        yield data[first : first + VECTOR_PIECE_BYTES]


def word_patterns_of(words: Sequence[Set[str]], index: Index) -> list[Pattern]:
    """The patterns of words as an index keeps them.

    Args:
        words: of each search term, in their order, as `distinctive_terms` gives them.
        index: how the engine keeps them.
    """
    encodings_of = {"fts5": _in_fts5, "gin": _in_gin, "tsvector": _in_tsvector}[index]
    return [
        Pattern(data, number, encoding)
        for number, of_term in enumerate(words)
        for data, encoding in _once(each for word in sorted(of_term) for each in encodings_of(word))
    ]


def distinctive_terms(search_term: str, analyzer: Analyzer) -> frozenset[str]:
    """The words of a search term that can be looked for by themselves, as the index keeps them."""
    return frozenset(
        word for word in analyzer.tokenize(search_term) if _is_distinctive(word.encode())
    )


def short_words_of(search_term: str, analyzer: Analyzer) -> list[tuple[int, int]]:
    """Where the words are that `distinctive_terms` leaves out, in their order; end exclusive.

    Not those that are a part of a longer word which is looked for.
    """
    looked_for = distinctive_terms(search_term, analyzer)
    left_out = frozenset(analyzer.tokenize(search_term)) - looked_for
    longer = [(each.start, each.end) for each in analyzer.find_terms(search_term, looked_for)]
    found = {(each.start, each.end) for each in analyzer.find_terms(search_term, left_out)}
    covered = {at for start, end in longer for at in range(start, end)}
    return sorted(each for each in found if not covered.issuperset(range(*each)))


def _once(encoded: Iterable[tuple[bytes, Encoding]]) -> Iterator[tuple[bytes, Encoding]]:
    known: set[bytes] = set()
    for data, encoding in encoded:
        if data not in known and _is_distinctive(data):
            known.add(data)
            yield data, encoding


def _is_distinctive(data: bytes) -> bool:
    return len(data) >= MIN_SEARCH_TERM_BYTES and len(set(data)) >= MIN_DIFFERENT_BYTES


def _encodings(text: str) -> Iterator[tuple[bytes, Encoding]]:
    yield text.encode(), Encoding.UTF8
    yield from ((data, Encoding.UUID) for data in _uuid_texts(text))
    yield from ((data, Encoding.UUID_BYTES) for data in _uuid_bytes(text))
    variants = _variants(text)
    for variant in variants:
        yield variant.encode(), Encoding.OTHER_CASE
    for variant in variants:
        yield from ((each.encode(), Encoding.JSON) for each in _json_forms(variant))
        yield variant.encode("utf-16-le"), Encoding.UTF16_LE
        yield variant.encode("utf-16-be"), Encoding.UTF16_BE
    yield text.encode().hex().encode(), Encoding.HEX
    yield text.encode().hex().upper().encode(), Encoding.HEX
    yield from ((each, Encoding.BASE64) for each in _base64_forms(text.encode()))


def _variants(text: str) -> tuple[str, ...]:
    """The text first, then as it is in other cases, without accents, and composed otherwise."""
    cases = (
        text,
        text.lower(),
        text.upper(),
        text.title(),
        text.capitalize(),
        text.casefold(),
        fold(text),
    )
    composed = (unicodedata.normalize(form, case) for form in ("NFC", "NFD") for case in cases)
    return tuple(dict.fromkeys((*cases, *composed)))


_UUID = re.compile(r"[0-9a-f]{8}(-?)[0-9a-f]{4}\1[0-9a-f]{4}\1[0-9a-f]{4}\1[0-9a-f]{12}")


def _uuid_texts(text: str) -> Iterator[bytes]:
    if _UUID.fullmatch(text.lower()):
        digits = text.lower().replace("-", "")
        parts = (digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])
        for written in ("-".join(parts), digits):
            yield written.encode()
            yield written.upper().encode()


def _uuid_bytes(text: str) -> Iterator[bytes]:
    if _UUID.fullmatch(text.lower()):
        yield bytes.fromhex(text.replace("-", ""))


_JSON_PLAIN = re.compile(r"[ !#-%(-.0-;=?-\[\]-~]*")
_JSON_SHORT = {
    '"': '\\"',
    "\\": "\\\\",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\b": "\\b",
    "\f": "\\f",
}


class _Escapes(dict[int, str]):
    """What one way of writing JSON makes of each character; for `str.translate`."""

    def __init__(self, escaped: re.Pattern[str], digits: str) -> None:
        super().__init__({ord(character): text for character, text in _JSON_SHORT.items()})
        self._escaped = escaped
        self._digits = digits

    def __missing__(self, code: int) -> str:
        character = chr(code)
        text = self._written_out(character) if self._escaped.match(character) else character
        self[code] = text
        return text

    def _written_out(self, character: str) -> str:
        units = character.encode("utf-16-be")
        numbers = (int.from_bytes(units[at : at + 2], "big") for at in range(0, len(units), 2))
        return "".join(f"\\u{number:{self._digits}}" for number in numbers)


# Who writes JSON escapes control characters alone, what HTML would obey too, or all but ASCII.
_WAYS_TO_ESCAPE = tuple(
    _Escapes(re.compile(escaped), digits)
    for escaped in (
        r"[\x00-\x1f]",
        r"[\x00-\x1f<>&'\u2028\u2029]",
        r"[^\x20-\x7e]",
        r"[^\x20-\x7e]|[<>&']",
    )
    for digits in ("04x", "04X")
)


def _json_forms(text: str) -> Iterator[str]:
    """The text as those who write JSON escape it, and as JSON that stands in JSON."""
    if _JSON_PLAIN.fullmatch(text):
        return
    for escapes in _WAYS_TO_ESCAPE:
        escaped = text.translate(escapes)
        for each in (escaped, escaped.replace("/", "\\/")):
            yield each
            yield each.replace("\\", "\\\\").replace('"', '\\"')


def _base64_forms(data: bytes) -> Iterator[bytes]:
    """The characters that stand for nothing but the data, wherever it begins in what is encoded."""
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + data)
        first = (before * 8 + 5) // 6
        end = (before + len(data)) * 8 // 6
        yield encoded[first:end]
        yield encoded[first:end].translate(_URL_ALPHABET)


_URL_ALPHABET = bytes.maketrans(b"+/", b"-_")


def _in_tsvector(word: str) -> Iterator[tuple[bytes, Encoding]]:
    yield word.encode(), Encoding.WORD


def _in_gin(word: str) -> Iterator[tuple[bytes, Encoding]]:
    """A key is a text after its length, which is in one byte or in four."""
    for mark in ("", "@"):
        key = f"{mark}{word}".encode()
        size = len(key) + 1
        length = bytes([size << 1 | 1]) if size < 0x80 else (size + 3 << 2).to_bytes(4, "little")
        yield length + key, Encoding.WORD


def _in_fts5(word: str) -> Iterator[tuple[bytes, Encoding]]:
    """The first of a page is written whole after its length, all others as MIN_TAIL_BYTES says.

    Each begins with a `0`, which stands for the main index, and perhaps the `@` of names. So a word
    differs from a longer one with the same beginning, which another user may have written.
    """
    for mark in (b"0", b"0@"):
        term = mark + word.encode()
        yield _varint(len(term)) + term, Encoding.WORD
        for shared in range(1, len(term) - MIN_TAIL_BYTES + 1):
            encoding = Encoding.WORD if shared <= len(mark) else Encoding.TAIL
            yield _varint(shared) + _varint(len(term) - shared) + term[shared:], encoding


def _varint(number: int) -> bytes:
    """A number of less than 2^14, as SQLite writes it."""
    return bytes([number]) if number < 0x80 else bytes([0x80 | number >> 7, number & 0x7F])
