"""The words of a text, as the index keeps them: made once, here, for both engines.

An engine's own tokenizer would do it in its own way, and the same history would be found on one
engine and not on the other. So the engines are handed words that are ready, and only look them up.

- Letters and digits make words, whatever their script; a word of several is cut at anything else,
  an apostrophe, a hyphen and an underscore included.
- Case and accents do not count: `Café`, `cafe` and `CAFÉ` are one word. Marks without which a
  script cannot be read (a vowel in Devanagari or Thai, the dots of `が`) stay.
- Endings are cut by the language's stemmer: `shoe` finds `shoes`.
- Chinese, Japanese, Korean, Thai, Lao, Burmese and Khmer are written without spaces between words,
  or with endings grown to them. Nobody cuts them well without a dictionary, so every character
  and every pair of neighbours is a word: who asks for 京都 gets what has the two side by side.
- An emoji is a word.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Set
from functools import cache, lru_cache
from threading import Lock
from typing import NamedTuple

import Stemmer

from userkeep.domain.search.languages import Language

WORDS_VERSION = 1
"""Of the rules in this module: an index made by other rules is made anew."""

MAX_WORD_LENGTH = 64
"""Code points; what is longer is no word that somebody types, and is cut."""

MAX_INDEXED_BYTES = 256 * 1024
"""Of a content: what comes after is stored, and not found by its words."""

MAX_WORDS_BYTES = 1000 * 1024
"""Of the words of one message: PostgreSQL takes 1 MiB."""

_CACHED_WORDS = 1 << 16

# Scripts whose words are not set apart by spaces, and emoji, as ranges of code points.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u1100-\u11ff\u3005-\u3007\u3040-\u30ff\u3130-\u318f"
    "\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff"
    "\U00020000-\U000323af"
)
_EMOJI = "\u231a-\u23ff\u2600-\u27bf\u2b00-\u2bff\U0001f000-\U0001faff"
_IS_UNSPACED = re.compile(f"[{_UNSPACED}]")
_ASCII_PIECE = re.compile(rf"[A-Za-z0-9]{{1,{MAX_WORD_LENGTH}}}")
_BETWEEN_SIGNS = re.compile(r"[^\x00-/:-@\[-`{-\xa9\xab-\xb1\xb4\xb6-\xb8\xbb\xbf\s]+")


class Piece(NamedTuple):
    """A place in a text and the words that it is found by; `end` is exclusive."""

    words: tuple[str, ...]
    start: int
    end: int


class Words:
    """The words of texts in one language. Safe to use from any thread."""

    def __init__(self, language: Language) -> None:
        self.language = language
        self._stemmer = Stemmer.Stemmer(language.stemmer, 0) if language.stemmer else None
        self._stemming = Lock()  # a stemmer works on itself
        self._stem_of = lru_cache(_CACHED_WORDS)(self._stemmed)
        self._words_of = lru_cache(_CACHED_WORDS)(self._of_piece)
        self._longest_of = lru_cache(_CACHED_WORDS)(lambda piece: _longest(self._of_piece(piece)))
        self.stop_words = frozenset(folded(word) for word in language.stop_words)

    @property
    def version(self) -> str:
        """Names the rules that an index was made by."""
        return f"{self.language.name} {WORDS_VERSION}"

    def of(self, text: str) -> list[str]:
        """All words, in their order, as often as they are there."""
        if text.isascii():
            return list(map(self._stem_of, _ASCII_PIECE.findall(text.lower())))
        # What was met before is looked up; a paragraph without spaces is not worth keeping.
        known, anew = self._words_of, self._of_piece
        return [
            word
            for piece in _BETWEEN_SIGNS.findall(text)
            for word in (known(piece) if len(piece) <= MAX_WORD_LENGTH else anew(piece))
        ]

    def asked(self, query: str) -> dict[str, str]:
        """The words to look for, each with what was written for it; grammar is left out.

        Where nothing else is asked for, the words of grammar are what is meant.
        """
        plain: dict[str, str] = {}
        telling: dict[str, str] = {}
        for piece in dict.fromkeys(_pieces(query)):
            words = _longest(self._of_piece(piece))
            plain |= {word: piece for word in words if word not in plain}
            if folded(piece) not in self.stop_words:
                telling |= {word: piece for word in words if word not in telling}
        return telling or plain

    def places(self, text: str, wanted: Set[str]) -> Iterator[Piece]:
        """Where in a text the wanted words are, or some of them."""
        for match in _piece_pattern(text).finditer(text):
            piece = match[0]
            if _IS_UNSPACED.match(piece):
                yield from self._characters(piece, match.start(), wanted)
                continue
            words = self._words_of(piece)
            if not wanted.isdisjoint(words):
                yield Piece(words, match.start(), match.end())

    def _characters(self, run: str, start: int, wanted: Set[str]) -> Iterator[Piece]:
        for place in range(len(run)):
            for end in range(place + 1, min(place + 2, len(run)) + 1):
                words = self._longest_of(run[place:end])
                if not wanted.isdisjoint(words):
                    yield Piece(words, start + place, start + end)

    def _of_piece(self, piece: str) -> tuple[str, ...]:
        if piece.isascii() and piece.isalnum() and len(piece) <= MAX_WORD_LENGTH:
            return (self._stemmed(piece.lower()),)
        return tuple(word for part in _pieces(piece) for word in self._of_part(part))

    def _of_part(self, part: str) -> Iterator[str]:
        if _IS_UNSPACED.match(part):
            yield from _characters_and_pairs(folded(part))
            return
        # English is stemmed by rules for a to z; the rules of other languages know their accents.
        knows_accents = self.language.stemmer not in {"", "porter"}
        text = self._stemmed(unicodedata.normalize("NFC", part.lower())) if knows_accents else part
        # One letter may be folded to several words, to none, or to one of an unspaced script.
        for each in _pieces(folded(text)):
            if _IS_UNSPACED.match(each):
                yield from _characters_and_pairs(each)
            else:
                yield each if knows_accents else self._stemmed(each)

    def _stemmed(self, word: str) -> str:
        if self._stemmer is None:
            return word
        with self._stemming:
            stem: str = self._stemmer.stemWord(word)
        return stem or word


def indexed_part(content: str) -> str:
    """The part of a content that is found by its words."""
    if len(content) * 4 <= MAX_INDEXED_BYTES:
        return content
    return content.encode()[:MAX_INDEXED_BYTES].decode(errors="ignore")


def folded(text: str) -> str:
    """A text without case and accents, as words are compared."""
    if text.isascii():
        return text.lower()
    # Twice, because a letter in mathematical bold has no case before it is a plain one.
    plain = unicodedata.normalize("NFKD", text).casefold()
    parts = unicodedata.normalize("NFKD", plain)
    return unicodedata.normalize("NFC", "".join(part for part in parts if not _is_accent(part)))


def _pieces(text: str) -> list[str]:
    pieces: list[str] = _piece_pattern(text).findall(text)
    return pieces


def _piece_pattern(text: str) -> re.Pattern[str]:
    return _ASCII_PIECE if text.isascii() else _any_piece()


@cache
def _any_piece() -> re.Pattern[str]:
    """An unspaced run, an emoji, or letters, digits and the marks that go with them.

    Python's `\\w` has no marks, without which words of many scripts would fall apart.
    """
    marks = "".join(
        character
        for character in map(chr, range(0x300, 0x1E950))
        if unicodedata.category(character).startswith("M")
        and not _is_selector(character)
        and not _IS_UNSPACED.match(character)
    )
    word = f"(?:[^\\W_{_UNSPACED}]|[{marks}]){{1,{MAX_WORD_LENGTH}}}"
    return re.compile(f"[{_UNSPACED}]+|[{_EMOJI}]|{word}")


def _is_selector(character: str) -> bool:
    return "\ufe00" <= character <= "\ufe0f"


def _is_accent(character: str) -> bool:
    # Marks above and below letters (200 and more), and the points of Hebrew and Arabic (10 to 35):
    # people write with and without them. Others are part of what is said.
    order = unicodedata.combining(character)
    return order >= 200 or 10 <= order <= 35


def _characters_and_pairs(run: str) -> list[str]:
    pairs = [run[place : place + 2] for place in range(len(run) - 1)]
    return [*run, *pairs]


def _longest(words: Iterable[str]) -> tuple[str, ...]:
    """Without the single characters that a pair has in it anyway."""
    several = list(words)
    pairs = "".join(word for word in several if len(word) == 2 and _IS_UNSPACED.match(word))
    return tuple(word for word in several if len(word) > 1 or word not in pairs)
