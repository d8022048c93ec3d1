"""Texts that take much longer to normalize, to cut or to index than their length says."""

from collections.abc import Callable, Mapping
from random import Random

MIB = 1 << 20

Maker = Callable[[int], str]
"""Makes a text of about so many bytes in UTF-8."""


def _repeated(pattern: str) -> Maker:
    size = len(pattern.encode(errors="surrogatepass"))
    return lambda size_bytes: pattern * (size_bytes // size)


def _in_halves(first: str, second: str) -> Maker:
    """Return what sorting by insertion is slowest for: all that goes last stands first."""
    size = len((first + second).encode())
    return lambda size_bytes: first * (size_bytes // size) + second * (size_bytes // size)


TEXTS: Mapping[str, Maker] = {
    "Thai marks": _in_halves("\u0e48", "\u0e38"),
    "Latin marks on one letter": lambda size: "a" + _in_halves("\u0301", "\u0316")(size),
    "Latin marks in turn": _repeated("\u0301\u0316\u0334"),
    "Arabic marks": _in_halves("\u0651", "\u064b"),
    "Hebrew marks": _in_halves("\u05c1", "\u05b0"),
    "Tibetan marks": _in_halves("\u0f72", "\u0f71"),
    "musical marks": _in_halves("\U0001d165", "\U0001d167"),
    "ligatures that expand to 18 letters": _repeated("\ufdfa"),
    "Hangul": _repeated("한국어로"),
    "Hangul jamo": _repeated("\u1112\u1161\u11ab"),
    "Chinese without spaces": _repeated("天地玄黄宇宙洪荒日月盈昃辰宿列张"),
    "Thai without spaces": _repeated("ภาษาไทยไม่มีช่องว่าง"),
    "emoji families": _repeated("👩\u200d👩\u200d👧\u200d👦"),
    "emoji with marks": _repeated("👍\U0001f3fd\ufe0f\u20e3"),
    "one word": _repeated("a"),
    "one number": _repeated("1234567890"),
    "one word of capitals that lower to two": _repeated("İ"),
    "letters and digits in turn": _repeated("a1"),
    "joined by apostrophes": _repeated("a'"),
    "joined by dots": _repeated("a."),
    "one-letter words": _repeated("a "),
    "other one-letter words": _repeated("a b c d e f g h i j k l m n o p q r s t u v w x y z "),
    "spaces": _repeated(" "),
    "zero-width joiners": _repeated("\u200d"),
    "half surrogates": _repeated("\ud800"),
    "controls": _repeated("\x01\x7f\x85"),
    "quotes and backslashes": _repeated('"\\'),
}


def random_words(random: Random, size_bytes: int) -> str:
    """Return different words of eight letters."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    drawn = "".join(random.choices(letters, k=size_bytes))
    return " ".join(drawn[start : start + 8] for start in range(0, size_bytes - 9, 9))


_RANGES = (
    (0x20, 0x7F),
    (0xC0, 0x24F),
    (0x300, 0x36F),
    (0x370, 0x5FF),
    (0x591, 0x5C7),
    (0x610, 0x6ED),
    (0x900, 0xDFF),
    (0xE00, 0xFFF),
    (0x1100, 0x11FF),
    (0x1AB0, 0x1AFF),
    (0x1DC0, 0x1DFF),
    (0x1E00, 0x1FFF),
    (0x2000, 0x2BFF),
    (0x302A, 0x302F),
    (0x3040, 0x9FFF),
    (0xA66F, 0xA69F),
    (0xAC00, 0xD7A3),
    (0xFB00, 0xFDFF),
    (0xFE00, 0xFFEF),
    (0x1D100, 0x1D1FF),
    (0x1E000, 0x1E2FF),
    (0x1F000, 0x1FAFF),
    (0xE0100, 0xE01EF),
)


def random_text(random: Random, size_bytes: int) -> str:
    """Return a text of one or two scripts, in long or short runs, with or without spaces."""
    alphabet = [_drawn(random) for _ in range(random.choice((1, 2, 3, 20, 500)))]
    run, gap = random.choice((1, 2, 50, 50_000)), random.choice(("", "", " ", "\n", "-"))
    parts: list[str] = []
    size = 0
    while size < size_bytes:
        part = random.choice(alphabet) * random.randint(1, run) + gap
        parts.append(part)
        size += len(part.encode())
    return "".join(parts).encode()[:size_bytes].decode(errors="ignore")


def _drawn(random: Random) -> str:
    return chr(random.randint(*random.choice(_RANGES)))
