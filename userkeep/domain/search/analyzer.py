"""Turn texts into terms: the words in the form in which the full-text index stores them.

Each engine has a tokenizer of its own, and they differ: the same query would find a message on one
engine and not on the other. So both engines get terms from here, and only store and look them up.

- A term is a sequence of letters and digits of any script. Everything else separates terms,
  including an apostrophe, a hyphen and an underscore.
- Case and accents are ignored: `Café`, `cafe` and `CAFÉ` are the same term. Marks that a script
  cannot be read without (a vowel in Devanagari or Thai, the dots of `が`) are kept.
- The language's stemmer removes endings: `shoe` finds `shoes`.
- Chinese, Japanese, Korean, Thai, Lao, Burmese and Khmer have no spaces between words, or attach
  endings to them, and cannot be segmented well without a dictionary. There, each character and each
  pair of adjacent characters is a term: a query for 京都 finds texts that have the pair.
- An emoji is a term.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence, Set
from functools import cache, lru_cache
from threading import Lock
from typing import NamedTuple

import Stemmer

from userkeep.domain.search.languages import Language

RULES_VERSION = 2
"""The version of the rules in this module. An index built by other rules is rebuilt."""

MAX_TERM_LENGTH = 64
"""In code points; longer words are split, because people do not type them."""

MAX_INDEXED_BYTES = 256 * 1024
"""How much of a message's content is indexed. The rest is stored, but not found."""

_CACHE_SIZE = 1 << 16

# Scripts that do not separate words by spaces, and emoji, as ranges of code points.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u1100-\u11ff\u3005-\u3007\u3040-\u30ff\u3130-\u318f"
    "\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff"
    "\U00020000-\U000323af"
)
_EMOJI = "\u231a-\u23ff\u2600-\u27bf\u2b00-\u2bff\U0001f000-\U0001faff"
_IS_UNSPACED = re.compile(f"[{_UNSPACED}]")
_ASCII_PIECE = re.compile(rf"[A-Za-z0-9]{{1,{MAX_TERM_LENGTH}}}")
_BETWEEN_PUNCTUATION = re.compile(r"[^\x00-/:-@\[-`{-\xa9\xab-\xb1\xb4\xb6-\xb8\xbb\xbf\s]+")


class TermSpan(NamedTuple):
    """Where terms are in a text; `end` is exclusive."""

    terms: tuple[str, ...]
    start: int
    end: int


class Analyzer:
    """Turns texts of one language into terms. Thread-safe."""

    def __init__(self, language: Language) -> None:
        self.language = language
        self._stemmer = Stemmer.Stemmer(language.stemmer, 0) if language.stemmer else None
        self._stemmer_lock = Lock()  # a stemmer is not thread-safe
        self._cached_stem = lru_cache(_CACHE_SIZE)(self._stem)
        self._cached_terms = lru_cache(_CACHE_SIZE)(self._terms)
        self._cached_longest = lru_cache(_CACHE_SIZE)(lambda piece: _longest(self._terms(piece)))
        self.stop_words = frozenset(fold(word) for word in language.stop_words)

    @property
    def version(self) -> str:
        """The language and the version of the rules that an index is built by."""
        return f"{self.language.name} {RULES_VERSION}"

    def tokenize(self, text: str) -> list[str]:
        """Return all terms of a text, in their order, with repetitions."""
        if text.isascii():
            return list(map(self._cached_stem, _ASCII_PIECE.findall(text.lower())))
        # A paragraph without spaces is not worth a place in the cache.
        cached, uncached = self._cached_terms, self._terms
        return [
            term
            for piece in _BETWEEN_PUNCTUATION.findall(text)
            for term in (cached(piece) if len(piece) <= MAX_TERM_LENGTH else uncached(piece))
        ]

    def query_terms(self, query: str) -> dict[str, str]:
        """Return the terms to search for, each with the word of the query that it stands for.

        Stop words are left out, unless the query has no other words.
        """
        all_terms: dict[str, str] = {}
        content_terms: dict[str, str] = {}
        for piece in dict.fromkeys(_pieces(query)):
            terms = _longest(self._terms(piece))
            all_terms |= {term: piece for term in terms if term not in all_terms}
            if fold(piece) not in self.stop_words:
                content_terms |= {term: piece for term in terms if term not in content_terms}
        return content_terms or all_terms

    def find_terms(self, text: str, wanted: Set[str]) -> Iterator[TermSpan]:
        """Find where any of the wanted terms are in a text."""
        for match in _piece_pattern(text).finditer(text):
            piece = match[0]
            if _IS_UNSPACED.match(piece):
                yield from self._find_in_unspaced(piece, match.start(), wanted)
                continue
            terms = self._cached_terms(piece)
            if not wanted.isdisjoint(terms):
                yield TermSpan(terms, match.start(), match.end())

    def _find_in_unspaced(self, run: str, offset: int, wanted: Set[str]) -> Iterator[TermSpan]:
        for start in range(len(run)):
            for end in range(start + 1, min(start + 2, len(run)) + 1):
                terms = self._cached_longest(run[start:end])
                if not wanted.isdisjoint(terms):
                    yield TermSpan(terms, offset + start, offset + end)

    def _terms(self, piece: str) -> tuple[str, ...]:
        if piece.isascii() and piece.isalnum() and len(piece) <= MAX_TERM_LENGTH:
            return (self._stem(piece.lower()),)
        return tuple(term for part in _pieces(piece) for term in self._terms_of_part(part))

    def _terms_of_part(self, part: str) -> Iterator[str]:
        if _IS_UNSPACED.match(part):
            yield from _characters_and_pairs(fold(part))
            return
        # The English stemmer only knows a to z. Those of other languages need the accents.
        needs_accents = self.language.stemmer not in {"", "porter"}
        text = self._stem(unicodedata.normalize("NFC", part.lower())) if needs_accents else part
        # Folding can turn one letter into several words, none, or one of an unspaced script.
        for each in _pieces(fold(text)):
            if _IS_UNSPACED.match(each):
                yield from _characters_and_pairs(each)
            else:
                yield each if needs_accents else self._stem(each)

    def _stem(self, word: str) -> str:
        if self._stemmer is None:
            return word
        with self._stemmer_lock:
            stem: str = self._stemmer.stemWord(word)
        return stem or word


def indexed_part(content: str) -> str:
    """Return the part of a message's content that is indexed."""
    if len(content) * 4 <= MAX_INDEXED_BYTES:
        return content
    return content.encode()[:MAX_INDEXED_BYTES].decode(errors="ignore")


def fold(text: str) -> str:
    """Return a text without case and accents."""
    if text.isascii():
        return text.lower()
    if len(text) > MAX_TERM_LENGTH:
        # Normalization sorts a run of marks in quadratic time, in C, while no other thread runs.
        pieces = range(0, len(text), MAX_TERM_LENGTH)
        return "".join(fold(text[start : start + MAX_TERM_LENGTH]) for start in pieces)
    # Twice, because a mathematical bold letter has no case before it is normalized.
    plain = unicodedata.normalize("NFKD", text).casefold()
    parts = unicodedata.normalize("NFKD", plain)
    return unicodedata.normalize("NFC", "".join(part for part in parts if not _is_accent(part)))


def is_unspaced(word: str) -> bool:
    """Return whether a word is of a script that does not separate words by spaces."""
    return _IS_UNSPACED.match(word) is not None


def folded_words(text: str) -> list[str]:
    """Return the words of a text without case and accents, but with their endings.

    A word has up to MAX_TERM_LENGTH characters; what follows is another word. A text of a script
    without spaces is one word.
    """
    return _pieces(fold(text))


def _pieces(text: str) -> list[str]:
    pieces: list[str] = _piece_pattern(text).findall(text)
    return pieces


def _piece_pattern(text: str) -> re.Pattern[str]:
    return _ASCII_PIECE if text.isascii() else _any_piece()


@cache
def _any_piece() -> re.Pattern[str]:
    """Match a run of an unspaced script, an emoji, or letters and digits with their marks.

    Python's `\\w` leaves the marks out, which would split the words of many scripts.
    """
    marks = "".join(
        character
        for character in map(chr, range(0x300, 0x1E950))
        if unicodedata.category(character).startswith("M")
        and not _is_selector(character)
        and not _IS_UNSPACED.match(character)
    )
    word = f"(?:[^\\W_{_UNSPACED}]|[{marks}]){{1,{MAX_TERM_LENGTH}}}"
    return re.compile(f"[{_UNSPACED}]+|[{_EMOJI}]|{word}")


def _is_selector(character: str) -> bool:
    return "\ufe00" <= character <= "\ufe0f"


def _is_accent(character: str) -> bool:
    # Marks above and below letters (200 and more), and the points of Hebrew and Arabic (10 to 35),
    # which people may leave out. Other marks are part of the word.
    order = unicodedata.combining(character)
    return order >= 200 or 10 <= order <= 35


def _characters_and_pairs(run: str) -> list[str]:
    pairs = [run[start : start + 2] for start in range(len(run) - 1)]
    return [*run, *pairs]


def _longest(terms: Sequence[str]) -> tuple[str, ...]:
    """Leave out the single characters that are also in a pair."""
    pairs = "".join(term for term in terms if len(term) == 2 and _IS_UNSPACED.match(term))
    return tuple(term for term in terms if len(term) > 1 or term not in pairs)
